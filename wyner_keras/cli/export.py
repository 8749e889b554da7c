"""`wyner export`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wyner_keras import runs
from wyner_keras.cli import options as shared
from wyner_keras.cli.engine import import_tensorflow
from wyner_keras.cli.options import CommandFailed, Result
from wyner_keras.files import refuse_existing
from wyner_serving.signature import new_key, read_secret_key

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

A bundle can be signed, in minisign's format: whoever has KEY.pub can tell that it comes from you.

  wyner export --new-key KEY                       (once; KEY stays with you)
  wyner export RUN --out BUNDLE --sign KEY
  wyner export --verify BUNDLE --key KEY.pub
"""


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "export",
        help="make a bundle of a run, to be used without TensorFlow",
        description=_DESCRIPTION,
        epilog=shared.examples(
            "wyner export runs/mine --out bundle",
            "wyner export --verify bundle",
        ),
    )
    parser.add_argument("folder", nargs="?", metavar="RUN", help="run folder of `wyner train`")
    parser.add_argument("--out", metavar="BUNDLE", help="folder to write; must be new")
    parser.add_argument("--sign", metavar="KEY", help="sign it by this secret key")
    parser.add_argument("--verify", metavar="BUNDLE", help="check this bundle instead")
    parser.add_argument(
        "--key",
        metavar="PUBLIC",
        help="with --verify: the key that signed it, a file or its line of 56 characters",
    )
    parser.add_argument(
        "--new-key", metavar="KEY", help="make a key instead: KEY, which is secret, and KEY.pub"
    )
    shared.add_common(parser, "of which held-out examples become samples (default: 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Export a run, verify a bundle, or make a key."""
    _check_asked(options)
    if options.new_key:
        secret, public = new_key(options.new_key)
        said = f"{secret} is secret and signs; {public} is for everybody"
        return Result(said, {"secret": str(secret), "public": str(public)})
    if options.verify:
        import_tensorflow("tensorflow")
        import wyner_export

        manifest = wyner_export.verify_bundle(options.verify, public_key=options.key)
        path, said = options.verify, "is whole, and its engines agree"
        said += ", and it is signed by that key" if options.key else ""
    else:
        opened, out = runs.Run.open(options.folder), refuse_existing(options.out)
        if options.sign:
            read_secret_key(options.sign)
        import_tensorflow("tensorflow")  # a model that JAX trained is exported by it too
        import wyner_export

        written = _export(opened, out, options.seed or 0, options.sign)
        manifest = wyner_export.read_manifest(written)
        path, said = options.out, "written and signed" if options.sign else "written"
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    values = {
        "bundle": path,
        "graphs": sorted(manifest["graphs"]),
        "bytes": size,
        "parity": manifest["parity"],
    }
    return Result(f"{path} {said}: {len(manifest['graphs'])} graphs, {size / 1e6:.0f} MB", values)


def _check_asked(options: argparse.Namespace) -> None:
    """Refuse words that do not say which of the three is to be done."""
    given = ("folder", "out", "sign", "verify", "key", "new_key")
    asked = {name for name in given if getattr(options, name) is not None}
    ways = (
        {"folder", "out"},
        {"folder", "out", "sign"},
        {"verify"},
        {"verify", "key"},
        {"new_key"},
    )
    if asked not in ways:
        raise ValueError(
            "export takes RUN and --out BUNDLE, with --sign KEY or without; or --verify BUNDLE, "
            "with --key PUBLIC or without; or --new-key KEY alone. Received: "
            f"RUN={options.folder!r}, --out {options.out!r}, --sign {options.sign!r}, "
            f"--verify {options.verify!r}, --key {options.key!r}, --new-key {options.new_key!r}"
        )


def _export(opened: runs.Run, out: Path, seed: int, secret_key: str | None) -> Path:
    import wyner_export

    model, metrics = opened.load_model(), opened.metrics() or {}
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
            secret_key=secret_key,
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
