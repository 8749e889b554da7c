"""Presets written, read and pushed to a hub."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wyner_keras import runs
from wyner_keras.data import Pairs
from wyner_keras.data.checks import check_whole
from wyner_keras.files import refuse_existing, to_json, write_json
from wyner_keras.model import WynerModel
from wyner_keras.presets.card import Card, page
from wyner_keras.presets.judging import judged
from wyner_keras.presets.stepped import stepped
from wyner_keras.received import received
from wyner_serving import presets
from wyner_serving.whole import whole_folder

_VERSIONED = ("wyner-keras", "tensorflow", "keras", "numpy")
_EXAMPLES = 32


def load(name: str | os.PathLike[str]) -> WynerModel:
    """The W-model of a preset; what `WynerModel.from_preset` calls.

    Args:
        name: see `wyner_serving.presets.find`.

    Raises:
        ValueError: if there is no such preset, or its model is damaged.
        OSError: if it cannot be downloaded.
    """
    return runs.load_model(presets.find(name) / presets.MODEL)


def write(
    model: WynerModel,
    path: str | os.PathLike[str],
    card: Card,
    *,
    held_out: Pairs,
    train: Pairs | None = None,
    name: str | None = None,
    seed: int = 0,
    repeats: int = 4,
    steps: int | None = None,
    bundle: bool = True,
    verbose: bool = True,
) -> Path:
    """Write a preset: the model, its bundle, its figures and its card, whole or not at all.

    Args:
        model: a trained W-model.
        path: of the folder, which must not exist.
        card: what is said of it.
        held_out: pairs that it was not trained on: its figures are of these.
        train: pairs that it was trained on, see `evaluate`.
        name: of the preset; default the folder's.
        seed: of the figures.
        repeats: evaluations in all, by one seed after the other, which tell the intervals.
        steps: rounds kernels, see `stepped`; None keeps them.
        bundle: whether a bundle is written too, which needs `wyner-keras[export]`.
        verbose: shows progress on stderr.

    Returns:
        The path.

    Raises:
        ValueError: if the path exists, or an argument is not as said.

    Example:
        >>> write(trained.model, "presets/mine", card, held_out=held_out)  # doctest: +SKIP
    """
    path = refuse_existing(path, "path")
    for what, value, kind in (("model", model, WynerModel), ("card", card, Card)):
        if not isinstance(value, kind):
            raise ValueError(
                f"`{what}` should be a {kind.__name__}. Received: {what}={received(value)}"
            )
    check_whole(repeats, "`repeats`", minimum=2)
    if bundle:
        # Before the figures, which take minutes.
        import wyner_export
    given = model if steps is None else stepped(model, steps)
    figures = judged(given, held_out, train, seed=seed, repeats=repeats, verbose=verbose)
    facts: dict[str, Any] = {
        "format": presets.FORMAT,
        "name": name or path.name,
        **card.to_dict(),
        "steps": steps,
        "judged": figures,
        "versions": {each: runs.version(each) for each in _VERSIONED},
    }
    facts = json.loads(to_json(facts))  # what has no number becomes None, for the card too
    with whole_folder(path) as folder:
        given.save(folder / presets.MODEL)
        if bundle:
            examples = runs.Examples.of(held_out, _EXAMPLES, seed)
            wyner_export.write_bundle(
                given,
                folder / presets.BUNDLE,
                examples=examples.rows,
                name=facts["name"],
                pairing=card.about,
                metrics={
                    key: figures[key]
                    for key in ("figures", "counts", "seed", "left_out")
                    if key in figures
                },
                nats=figures["nats"],
            )
        write_json(folder / presets.FACTS, facts)
        text = page(facts, given, bundle)
        (folder / presets.CARD).write_text(text, encoding="utf-8")
    return path


def push(folder: str | os.PathLike[str], target: str) -> str:
    """Upload a preset to a hub; the repository is made where absent.

    Args:
        folder: of the preset, as `write` writes it.
        target: `hf://owner/name`.

    Returns:
        The repository's address.

    Raises:
        ValueError: if the folder holds no preset, or the target is not so written.
        ModuleNotFoundError: if huggingface_hub is not installed: `wyner-keras[hub]`.
        OSError: if it cannot be uploaded.

    Example:
        >>> push("presets/mine", "hf://me/mine")  # doctest: +SKIP
    """
    repository, revision = presets.parse_hub(target)
    folder = Path(folder)
    facts = presets.facts(folder)
    api = presets.hub_module(repository).HfApi()
    with _taken(target):
        address = api.create_repo(repository, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            revision=revision,
            commit_message=f"{facts['name']}, written by wyner-keras {runs.version()}",
            # What an earlier upload left would not be in the bundle's manifest.
            delete_patterns=f"{presets.BUNDLE}/*",
        )
    return str(address)


@contextlib.contextmanager
def _taken(target: str) -> Iterator[None]:
    """What a hub says, as an error of the system's."""
    try:
        yield
    except Exception as error:  # of HTTP or of the hub: they have no type in common
        raise OSError(
            f"{target} should take the upload. Received: {type(error).__name__}: {error!s:.300}"
        ) from error


def push_model(model: WynerModel, target: str, card: Card, **settings: Any) -> str:
    """Write a preset into a folder for the time being, and push it; see `write` and `push`."""
    repository, _ = presets.parse_hub(target)
    hub = presets.hub_module(repository)
    with _taken(target):
        hub.HfApi().whoami()  # before the figures, which take minutes
    with tempfile.TemporaryDirectory() as place:
        name = repository.partition("/")[2]
        return push(write(model, Path(place) / name, card, **settings), target)
