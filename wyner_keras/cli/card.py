"""`wyner card`."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wyner_keras import runs
from wyner_keras.cli import options as shared
from wyner_keras.cli.engine import import_tensorflow
from wyner_keras.cli.options import Result
from wyner_keras.files import refuse_existing
from wyner_serving import presets

_DESCRIPTION = """\
Hand a run on as a preset, with a card; or run the figures of a preset's card again.

A preset is a folder with the model, its bundle, its figures, and a card that says what the model
is, whose its data are, how well it does and by which commands it was made. Anybody opens it by
`WynerModel.from_preset`, `Bundle.from_preset`, or as preset:NAME on the command line. NAME is one
of the installed wheel wyner-keras-models, a folder, or hf://owner/name.

--check evaluates the model again, on the pairs that the card names or those given here. It says
which figures differ by more than the card's interval, and then exits by 1.
"""
# What is said of a preset, by option.
_SAID = ("about", "licence", "data_name", "data_licence")
_MAKES = ("out", *_SAID, "steps", "repeats", "no_bundle")


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "card",
        help="hand a run on as a preset, or check a preset's figures",
        description=_DESCRIPTION,
        epilog=shared.examples(
            "wyner card --check digits_add_one",
            "wyner card runs/mine --out mine --about 'Left and right eyes' --licence Apache-2.0 "
            "--data-name 'Eyes of 2024, ours' --data-licence CC-BY-4.0",
        ),
    )
    parser.add_argument("folder", nargs="?", metavar="RUN", help="run folder of `wyner train`")
    parser.add_argument(
        "--out",
        metavar="PRESET",
        help="folder to write, which must be new; or hf://owner/name, which needs wyner-keras[hub]",
    )
    parser.add_argument("--check", metavar="PRESET", help="run the figures of this one again")
    parser.add_argument("--about", metavar="TEXT", help="what the pairs are, in a sentence or two")
    parser.add_argument("--licence", metavar="SPDX", help="of the model, such as Apache-2.0")
    parser.add_argument("--data-name", metavar="TEXT", help="which data these are, and whose")
    parser.add_argument("--data-licence", metavar="TEXT", help="of the data, such as CC-BY-4.0")
    parser.add_argument(
        "--steps",
        type=shared.positive,
        metavar="N",
        help="round kernels to N steps in their root mean square, so that the preset can be "
        "compressed: of 16, to a quarter (default: they stay as they are)",
    )
    parser.add_argument(
        "--repeats",
        type=shared.several,
        metavar="N",
        help="evaluations in all, which tell the intervals of the figures (default: 4)",
    )
    parser.add_argument(
        "--no-bundle", action="store_const", const=True, help="leave the bundle out"
    )
    shared.add_source(parser, "with --check, those that the card names; else those of the run")
    shared.add_common(parser, "of the figures (default: the run's, or the card's)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Write, push or check a preset."""
    if options.check is not None:
        return _checked(options)
    missing = [name for name in ("folder", "out", *_SAID) if getattr(options, name) is None]
    if missing or shared.said(options):
        needed = ", ".join(f"--{name.replace('_', '-')}" for name in ("out", *_SAID))
        raise ValueError(
            f"card should have RUN, {needed}, and no pairs but the run's; or --check PRESET. "
            f"Received: {' and '.join(_options(missing)) or 'pairs'} "
            f"{'missing' if missing else 'given'}"
        )
    hub = options.out.startswith("hf://")
    if hub:
        repository, _ = presets.parse_hub(options.out)
        presets.hub_module(repository)
    else:
        refuse_existing(options.out)
    opened = runs.Run.open(options.folder)
    import_tensorflow("tensorflow")  # which a bundle is made by
    from wyner_keras.presets import Card, write

    train, held_out = opened.pairs()
    model = opened.load_model()
    card = Card(
        about=options.about,
        licence=options.licence,
        data=options.data_name,
        data_licence=options.data_licence,
        commands=_commands(opened, options),
        source=opened.source.to_dict(),
    )
    settings: dict[str, Any] = {
        "held_out": held_out,
        "train": train,
        "seed": opened.seed if options.seed is None else options.seed,
        "steps": options.steps,
        "repeats": options.repeats or 4,
        "bundle": not options.no_bundle,
        "verbose": not options.quiet,
    }
    if hub:
        where = model.push(options.out, card, **settings)
        return Result(
            f"{options.out} has the preset: {where}", {"preset": options.out, "at": where}
        )
    write(model, options.out, card, **settings)
    return Result(f"{options.out} holds the preset", {"preset": options.out})


def _checked(options: argparse.Namespace) -> Result:
    given = [name for name in ("folder", *_MAKES) if getattr(options, name) is not None]
    if given:
        raise ValueError(
            "card should have --check PRESET alone, with --seed and pairs or without. "
            f"Received: {' and '.join(_options(given))} too"
        )
    # Before TensorFlow, which takes seconds.
    folder = presets.find(options.check.removeprefix(shared.PRESET))
    facts = presets.facts(folder)
    import_tensorflow()
    from wyner_keras.presets import check

    train, held_out = _pairs(options, facts)
    found = check(
        folder, held_out=held_out, train=train, seed=options.seed, verbose=not options.quiet
    )
    values = {
        "preset": options.check,
        "compared": len(found.figures),
        "missing": list(found.missing),
        "differing": {name: each._asdict() for name, each in found.differing.items()},
    }
    return Result(str(found), values, int(bool(found.differing or found.missing)))


def _pairs(options: argparse.Namespace, facts: Mapping[str, Any]) -> tuple[Any, Any]:
    """Pairs that are given in place of the card's."""
    said = shared.said(options)
    if not said:
        return None, None
    named = (facts.get("data") or {}).get("source") or {}
    own = {"pairs", "x", "y", "data"} & set(said)
    source = (
        runs.Source(**said) if own else dataclasses.replace(runs.Source.from_dict(named), **said)
    )
    return source.load()


def _options(names: list[str]) -> list[str]:
    return ["RUN" if name == "folder" else f"--{name.replace('_', '-')}" for name in names]


def _commands(opened: runs.Run, options: argparse.Namespace) -> list[str]:
    """Lines that make the preset again, without the folders of this machine."""
    from wyner_keras.presets.card import without_folders

    asked = opened.settings.get("asked")
    name = options.out if options.out.startswith("hf://") else Path(options.out).name
    words = ["wyner", "train"]
    for option, value in (asked if isinstance(asked, Mapping) else {}).items():
        words.append(f"--{option.replace('_', '-')}")
        if value is not True:
            text = (
                value
                if not isinstance(value, Mapping)
                else ",".join(f"{column}={kind}" for column, kind in value.items())
            )
            words.append(without_folders(str(text)))
    card = ["wyner", "card", "run", "--out", name]
    for option in (*_SAID, "steps", "repeats"):
        value = getattr(options, option)
        card += [] if value is None else [f"--{option.replace('_', '-')}", str(value)]
    card += ["--no-bundle"] if options.no_bundle else []
    return [shlex.join([*words, "--out", "run"]), shlex.join(card)]
