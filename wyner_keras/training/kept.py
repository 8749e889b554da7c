"""A recipe carried out inside a run folder that is in the making."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wyner_keras import runs
from wyner_keras.data import ImageSource
from wyner_keras.models import WynerModel
from wyner_keras.training.settings import Recipe
from wyner_keras.training.train import train
from wyner_keras.training.wrapper import Wrapper


def train_kept(
    partial: Path,
    source: ImageSource,
    recipe: Recipe,
    *,
    mapping: Callable[[int], int] | Mapping[int, int],
    target: ImageSource | None = None,
    wrapper: Wrapper | None = None,
    after_stage: Callable[[str], None] | None = None,
    verbose: Any = "auto",
) -> tuple[WynerModel, dict[str, Any]]:
    """The trained model of a partial run folder; trained only where that is not done yet.

    Args:
        partial: the folder, of `runs.start_run`; a killed training goes on in it.
        source: as in `train`.
        recipe: as in `train`.
        mapping: as in `train`.
        target: as in `train`.
        wrapper: as in `train`.
        after_stage: as in `train`.
        verbose: as in `train`.

    Returns:
        The model, and what the folder's `history.json` holds.

    Raises:
        ValueError: if the data cannot be paired.
        TrainingDiverged: if a loss stops being finite.
    """
    if not (partial / runs.HISTORY).is_file():
        trained = train(
            source,
            recipe,
            mapping=mapping,
            target=target,
            wrapper=wrapper,
            folder=partial / runs.CHECKPOINTS,
            after_stage=after_stage,
            verbose=verbose,
        )
        more = {"shared_nats": trained.shared_nats}
        runs.save_trained(partial, trained.model, trained.history, trained.seconds, **more)
        return trained.model, {"history": trained.history, "seconds": trained.seconds, **more}
    model = runs.load_model(partial / runs.MODEL)
    return model, json.loads((partial / runs.HISTORY).read_text(encoding="utf-8"))
