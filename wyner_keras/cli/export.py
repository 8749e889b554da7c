"""`wyner export`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from wyner_keras import runs
from wyner_keras.cli import options as shared
from wyner_keras.cli.options import CommandFailed, Result
from wyner_keras.files import refuse_existing

_DESCRIPTION = """\
Turn a run into a bundle, or check a bundle.

A bundle holds the model as ONNX files and as a SavedModel for TensorFlow Serving, a manifest that
describes and seals them, sample images and a model card. It is written whole or not at all, after
Keras, SavedModel and ONNX have given the same answers on test images.
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
    import wyner_export

    if options.verify:
        manifest = wyner_export.verify_bundle(options.verify)
        path, said = options.verify, "is whole, and its engines agree"
    else:
        path, said = str(_export(options)), "written"
        manifest = wyner_export.read_manifest(Path(path))
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    values = {
        "bundle": path,
        "graphs": sorted(manifest["graphs"]),
        "bytes": size,
        "parity": manifest["parity"],
    }
    return Result(f"{path} {said}: {len(manifest['graphs'])} graphs, {size / 1e6:.0f} MB", values)


def _export(options: argparse.Namespace) -> Path:
    import wyner_export
    from wyner_keras.cli import evaluate, pictures

    out = refuse_existing(options.out)
    opened = runs.Run.open(options.folder)
    source, target, seed = opened.source(), opened.target(), options.seed or 0
    x, y = (
        pictures.by_class(each.test, min(32, len(each.test)), seed)
        for each in (source, target or source)
    )
    model, path = opened.load_model(), opened.folder / runs.METRICS
    metrics = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    nats = metrics.pop("nats", None) or evaluate.measured(model, source, opened.settings, target)
    try:
        return wyner_export.write_bundle(
            model,
            out,
            images=(x, y),
            name=opened.folder.resolve().name,
            label_map={str(x): int(y) for x, y in opened.settings["label_map"].items()},
            metrics=metrics or None,
            nats=nats,
        )
    except wyner_export.ExportError as error:
        raise CommandFailed(str(error)) from error
