"""`wyner export`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wyner_keras import runs
from wyner_keras.cli import options as shared
from wyner_keras.cli.engine import import_tensorflow
from wyner_keras.cli.options import CommandFailed, Result
from wyner_keras.files import refuse_existing

if TYPE_CHECKING:
    from wyner_keras.model import WynerModel

# Engines are compared on as many pairs.
_EXAMPLES = 32

_DESCRIPTION = """\
Turn a run into a bundle, or check a bundle.

A bundle holds the model as ONNX files and as a SavedModel for TensorFlow Serving, a manifest that
describes and seals them, samples and a model card. It is written whole or not at all, after Keras,
SavedModel and ONNX have given the same answers on held-out examples: the same up to what rounding
does to this model, which is measured. All that it needs is in the run folder.
"""


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "export",
        help="make a bundle of a run, to be used without TensorFlow",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", nargs="?", metavar="RUN", help="run folder of `wyner train`")
    parser.add_argument("--out", metavar="BUNDLE", help="folder to write; must be new")
    parser.add_argument("--verify", metavar="BUNDLE", help="check this bundle instead")
    shared.add_common(parser, "of which held-out examples become samples (default: 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Export a run, or verify a bundle."""
    if bool(options.verify) == bool(options.folder) or bool(options.verify) == bool(options.out):
        raise ValueError(
            "export takes RUN and --out BUNDLE, or --verify BUNDLE alone. Received: "
            f"RUN={options.folder!r}, --out {options.out!r}, --verify {options.verify!r}"
        )
    if options.verify:
        import_tensorflow("tensorflow")
        import wyner_export

        manifest = wyner_export.verify_bundle(options.verify)
        path, said = options.verify, "is whole, and its engines agree"
    else:
        opened, out = runs.Run.open(options.folder), refuse_existing(options.out)
        import_tensorflow("tensorflow")  # a model that JAX trained is exported by it too
        import wyner_export

        manifest = wyner_export.read_manifest(_export(opened, out, options.seed or 0))
        path, said = options.out, "written"
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    values = {
        "bundle": path,
        "graphs": sorted(manifest["graphs"]),
        "bytes": size,
        "parity": manifest["parity"],
    }
    return Result(f"{path} {said}: {len(manifest['graphs'])} graphs, {size / 1e6:.0f} MB", values)


def _export(opened: runs.Run, out: Path, seed: int) -> Path:
    import wyner_export

    model, path = opened.load_model(), opened.folder / runs.METRICS
    metrics = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    examples = opened.examples()
    metrics.pop("data", None)  # where the data lie is no business of the bundle's
    nats = metrics.pop("nats", None) or _nats(model, examples, opened.seed)
    chosen = examples.positions("x", min(_EXAMPLES, len(examples)), seed)
    try:
        return wyner_export.write_bundle(
            model,
            out,
            examples={side: rows[chosen] for side, rows in examples.rows.items()},
            name=opened.folder.resolve().name,
            label_map=_label_map(examples) if opened.source.data else None,
            metrics=metrics or None,
            nats=nats,
        )
    except wyner_export.ExportError as error:
        raise CommandFailed(str(error)) from error


def _label_map(examples: runs.Examples) -> dict[str, Any]:
    """From labels of x to labels of y, as the examples have them."""
    x, y = (np.asarray(examples.labels[side]).tolist() for side in runs.SIDES)
    return {str(label): partner for label, partner in sorted(zip(x, y, strict=True))}


def _nats(model: WynerModel, examples: runs.Examples, seed: int) -> dict[str, float]:
    """What the latents hold of the examples, of a run that was not judged."""
    from wyner_keras import information
    from wyner_keras.data import Pairs

    kinds: dict[str, Any] = {f"{side.name}_modality": side.modality for side in model.sides}
    labels: dict[str, Any] = {f"{side}_labels": of for side, of in examples.labels.items()}
    pairs = Pairs(examples.rows["x"], examples.rows["y"], **labels, **kinds)
    return information.measure(model, pairs, seed=seed)
