"""Training within a time: a recipe shortened to what fits, and each stage stopped at its share."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from wyner_keras.data import Pairs
from wyner_keras.execution import execution
from wyner_keras.losses import (
    Alignment,
    Joint,
    Marginal,
    Matching,
    ReaderMatching,
    Refinement,
    SelfTraining,
    Widening,
)
from wyner_keras.model import WynerModel
from wyner_keras.received import received
from wyner_keras.side import Side

if TYPE_CHECKING:
    from wyner_keras.recipe import Recipe

logger = logging.getLogger(__name__)
_UNITS = {"": 1, "s": 1, "sec": 1, "min": 60, "h": 3600}
# Calibrated on the digits, on one core that multiplied so many numbers a second. A step takes its
# products this many times over, and beside them as long as so many.
_REFERENCE, _MORE, _STEP_PRODUCTS = 44e9, 2.0, 1e9
# Seconds before and after a stage's steps: to trace it, to compile it by XLA; for its flows.
_TRACE, _COMPILE, _FLOWS = 2.0, 10.0, 4.0
_LEAST = 2000  # pairs that are trained on, whatever the time
_FASTER = 3.0  # than estimated, at most, of what a budget is used up by
_MEASURED = 0.3  # seconds that this machine is measured for
# How often each network is gone through for a pair, forwards or backwards.
_PASSES: dict[type, dict[str, float]] = {
    Alignment: {"expert": 3},
    SelfTraining: {"expert": 4, "reader": 4},
    Joint: {"expert": 2.5, "posterior": 3, "decoder": 4.5},
    Widening: {"expert": 3, "posterior": 3, "decoder": 3},
    Matching: {"velocity": 3},
    Marginal: {"expert": 1, "reader": 3, "posterior": 2, "decoder": 2},
    ReaderMatching: {"expert": 2, "reader_velocity": 3},
    Refinement: {"expert": 1, "posterior": 1, "decoder": 4.5, "reader": 1, "flow": 2, "codec": 1},
}


def parse_budget(text: Any) -> float:
    """The seconds of a time.

    Args:
        text: a number of seconds, or such as "90s", "5min", "2h".

    Raises:
        ValueError: for anything else, or none at all.

    Example:
        >>> parse_budget("5min")
        300.0
    """
    found = re.fullmatch(r"\s*(\d+\.?\d*)\s*([a-z]*)\s*", str(text), re.ASCII)
    seconds = float(found[1]) * _UNITS.get(found[2], math.nan) if found else math.nan
    if isinstance(text, bool) or not 0 < seconds < math.inf:
        raise ValueError(
            "`budget` should be a time above 0, such as '90s', '5min' or '2h', or a number of "
            f"seconds. Received: budget={received(text)}"
        )
    return seconds


class TimeLimit(keras.callbacks.Callback):
    """End a fit after the last whole epoch that fits, at least one; ramps end with it.

    Args:
        deadline: by the clock `time.monotonic`, in seconds.
    """

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self.deadline = deadline
        self._first: tuple[int, float] | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Foresee the number of epochs that fit; stop at the last."""
        now = time.monotonic()
        left = self.deadline - now
        if self._first is None:
            # What the first epoch took, its compilation included, says little of the others.
            self._first = epoch, now
            if left <= 0:
                self.model.stop_training = True
            return
        started, since = self._first
        fit = epoch + 1 + max(0, math.floor(left * (epoch - started) / max(now - since, 1e-9)))
        # Schedules read of this how far the training is.
        self.params["epochs"] = min(self.params["epochs"], fit)
        if epoch + 1 >= fit:
            self.model.stop_training = True


def budgeted(
    recipe: Recipe, pairs: Pairs, budget: Any, done: Mapping[str, float] | None = None
) -> tuple[Recipe, Pairs, dict[str, TimeLimit]]:
    """A recipe shortened to a time that begins now, and the limit of each of its stages.

    Where not even one epoch of each stage fits, a random share of the pairs is trained on.

    Args:
        recipe: as long as it should be at most.
        pairs: that it will be carried out on.
        budget: as `parse_budget` takes it.
        done: the seconds that finished parts took, by name, "codec" for the codecs.

    Returns:
        The recipe, the pairs to train on, and callbacks by stage: what a stage leaves of its
        share goes to later ones.
    """
    start, done = time.monotonic(), done or {}
    seconds = parse_budget(budget) - sum(done.values())
    costs = {name: cost for name, cost in _costs(recipe, pairs).items() if name not in done}
    seconds = max(0.0, seconds - (time.monotonic() - start))

    def needed(factor: float) -> dict[str, float]:
        return {
            name: setup + max(1, round(factor * epochs)) * epoch if epoch else 0.0
            for name, (setup, epoch, epochs) in costs.items()
        }

    factor, step = 1.0, 0.5
    if sum(needed(1.0).values()) > seconds:
        for _ in range(12):
            factor += step if sum(needed(factor).values()) <= seconds else -step
            step /= 2
    shares = needed(factor)
    total = max(sum(shares.values()), 1e-9)
    if total > seconds * 1.1:
        logger.warning(
            "One epoch of each stage takes about %.0f s here, more than the %.0f s there are",
            total,
            seconds,
        )
        setup = sum(cost[0] for cost in costs.values() if cost[1])
        share = max((seconds - setup) / max(total - setup, 1e-9), _LEAST / len(pairs))
        if share < 1:
            pairs = pairs.thinned(share, recipe.seed)
            logger.warning("So %d of the pairs are trained on, drawn at random", len(pairs))
    # A machine that is faster than estimated trains for longer.
    scaled = recipe if factor >= 1 else recipe.scaled(min(1.0, _FASTER * factor))
    limits, share = {}, 0.0
    for name, own in shares.items():
        share += own / total
        limits[name] = TimeLimit(time.monotonic() + share * seconds)
    logger.info("Training for %.0f s: about %.2f of the recipe's epochs", seconds, factor)
    return scaled, pairs, limits


def _costs(recipe: Recipe, pairs: Pairs) -> dict[str, tuple[float, float, int]]:
    """Of each part the seconds before it begins, those of an epoch, and its epochs."""
    names = pairs.names
    codecs = {
        name: modality.codec(recipe.codecs[name], recipe.seed)
        for name, modality in zip(names, pairs.modalities, strict=True)
    }
    modalities = dict(zip(names, pairs.modalities, strict=True))
    model = WynerModel(recipe.z, modalities, codecs=codecs, settings=recipe.sides)
    products, rate = [_products(side) for side in model.sides], _rate()

    slower = max(1.0, _REFERENCE / rate)

    def seconds(rows: int, batch: int, each: float) -> float:
        batch = max(1, min(batch, rows))
        return -(-rows // batch) * max(2e-3, (_STEP_PRODUCTS + _MORE * batch * each) / rate)

    trained = 0.0
    for place, (name, store) in enumerate(zip(names, pairs.stores, strict=True)):
        settings = recipe.codecs[name]
        if settings and not (place and store is pairs.stores[0]):
            each = 3 * products[place]["codec"]
            trained += settings.epochs * seconds(len(store), settings.batch_size, each)
    epochs = max((codec.epochs for codec in recipe.codecs.values() if codec), default=1)
    found = {"codec": (slower * _TRACE, trained / epochs, epochs)}
    for stage in recipe.stages:
        passes = _PASSES.get(type(stage.loss), _PASSES[Joint])
        each = sum(count * side[kind] for side in products for kind, count in passes.items())
        flows = {"velocity", "flow"} & set(passes) and any(side["flow"] for side in products)
        seen = pairs.with_singles() if stage.loss.takes_singles else pairs
        rows = stage.passes * len(seen)
        how = execution(
            rows // min(stage.batch_size, rows), stage.epochs, jit_compile=stage.jit_compile
        )
        setup = _TRACE + how["jit_compile"] * _COMPILE + bool(flows) * _FLOWS
        epoch = seconds(rows, stage.batch_size, each)
        found[stage.name] = (0.0 if how["run_eagerly"] else slower * setup, epoch, stage.epochs)
    return found


def _products(side: Side) -> dict[str, float]:
    """Of each of a side's networks the products of numbers that one example takes."""
    velocity, of_reader = (
        0 if flow is None else sum(map(_of_network, flow.velocities))
        for flow in (side.flow, side.reader_flow)
    )
    found = {
        "codec": _of_network(side.codec),
        "velocity": velocity,
        "flow": velocity * side.settings.flow_steps,
        "reader_velocity": of_reader,
    }
    for name in ("expert", "reader", "posterior", "decoder"):
        network = getattr(side, f"{name}_network")
        found[name] = 0 if network is None else _of_network(network)
    return found


def _of_network(network: Any) -> float:
    """A dense layer multiplies by each weight once, a convolution once at each of its places."""
    # Of a network that pools by itself, its first convolution sees the whole grid.
    total, grid = 0.0, math.prod(getattr(network, "grid", (0, 0))[:2])
    for layer in network._flatten_layers(include_self=False):
        if any(True for _ in layer._flatten_layers(include_self=False)):
            continue
        places = 1
        if hasattr(layer, "kernel_size"):
            try:
                shapes = layer.input.shape, layer.output.shape
                places = min(math.prod(shape[1:-1]) for shape in shapes)
            except (AttributeError, ValueError):  # outside a Sequential
                places, grid = grid, max(1, grid // 4)
        total += places * sum(math.prod(weight.shape) for weight in layer.weights)
    return total


def _rate() -> float:
    """Products of numbers in a second, of large matrices, on this machine as busy as it is."""
    left, right = (keras.ops.ones((rows, 512)) for rows in (256, 512))
    keras.ops.matmul(left, right)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < _MEASURED:
        keras.ops.convert_to_numpy(keras.ops.matmul(left, right))
        count += 1
    return count * 256 * 512 * 512 / (time.perf_counter() - start)
