"""`wyner export`."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wyner_keras import runs
from wyner_keras.cli import options as shared
from wyner_keras.cli.engine import import_tensorflow
from wyner_keras.cli.options import CommandFailed, Result
from wyner_keras.files import refuse_existing

if TYPE_CHECKING:
    from wyner_keras.models import WynerModel

logger = logging.getLogger(__name__)
# Engines are compared on as many images of each side.
_EXAMPLES = 32

_DESCRIPTION = """\
Turn a run into a bundle, or check a bundle.

A bundle holds the model as ONNX files and as a SavedModel for TensorFlow Serving, a manifest that
describes and seals them, sample images and a model card. It is written whole or not at all, after
Keras, SavedModel and ONNX have given the same answers on test images: the same up to what rounding
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
    shared.add_common(parser, "of which test images become samples (default: 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Export a run, or verify a bundle."""
    if bool(options.verify) == bool(options.folder) or bool(options.verify) == bool(options.out):
        raise ValueError(
            "export takes RUN and --out BUNDLE, or --verify BUNDLE alone. Received: "
            f"RUN={options.folder!r}, --out {options.out!r}, --verify {options.verify!r}"
        )
    if options.verify:
        import_tensorflow()
        import wyner_export

        manifest = wyner_export.verify_bundle(options.verify)
        path, said = options.verify, "is whole, and its engines agree"
    else:
        opened, out = runs.Run.open(options.folder), refuse_existing(options.out)
        import_tensorflow()
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
    nats = metrics.pop("nats", None) or _nats(opened, model)
    try:
        return wyner_export.write_bundle(
            model,
            out,
            images=_images(opened, seed),
            name=opened.folder.resolve().name,
            label_map={str(x): int(y) for x, y in opened.settings["label_map"].items()},
            metrics=metrics or None,
            nats=nats,
        )
    except wyner_export.ExportError as error:
        raise CommandFailed(str(error)) from error


def _images(opened: runs.Run, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Held-out images of x and y; None where there are none any more, said in a warning."""
    try:
        pools = [opened.examples(side) for side in "xy"]
    except ValueError as error:
        logger.warning("Engines are compared on generated images: %s", error)
        return None
    x, y = (pool.by_class(min(_EXAMPLES, len(pool)), seed).images for pool in pools)
    return x, y


def _nats(opened: runs.Run, model: WynerModel) -> dict[str, float] | None:
    """What the latents hold of test images, of a run that was not judged; None without its data."""
    from wyner_keras.cli import evaluate

    try:
        source, target = opened.source(), opened.target()
    except ValueError as error:
        logger.warning("The bundle will not say how much the latents hold: %s", error)
        return None
    return evaluate.measured(model, source, opened.settings, target)
