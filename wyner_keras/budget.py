"""Training within a time: codecs and stages shortened to what fits, each stage stopped in time."""

from __future__ import annotations

import dataclasses
import logging
import math
import numbers
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from wyner_keras.data import Pairs
from wyner_keras.execution import execution, in_bfloat16, products
from wyner_keras.latents import DiagonalGaussian
from wyner_keras.losses import (
    Alignment,
    Joint,
    Loss,
    Marginal,
    Matching,
    ReaderMatching,
    Refinement,
    SelfTraining,
    Widening,
)
from wyner_keras.losses.matching import calibrated_on
from wyner_keras.model import WynerModel
from wyner_keras.received import received
from wyner_keras.recipe import Recipe, StageSettings, untrained
from wyner_keras.side import Side

logger = logging.getLogger(__name__)
_LONGEST = 1e12  # seconds
_UNITS = {"s": 1, "sec": 1, "min": 60, "h": 3600}
# Calibrated on the digits, on one core that multiplied so many numbers a second. A step takes its
# products this many times over, and beside them as long as so many.
_REFERENCE, _MORE, _STEP_PRODUCTS = 44e9, 2.0, 1e9
# Seconds before and after a stage's steps: to trace it, to compile it by XLA; for its flows.
_TRACE, _COMPILE, _FLOWS = 2.0, 10.0, 4.0
_HARDLY = 0.02  # of a stage's epochs, which teach it next to nothing
_LEAST = 2000  # pairs that are trained on, whatever the time
_FASTER = 3.0  # than estimated, at most, of what a budget is used up by
_MEASURED = 0.3  # seconds that this machine is measured for
_BY_TILES = 1.6  # times as fast steps are whose products are taken in bfloat16
_OF_DATA = 0.75  # times as long, for as many products, experts take that normalise what they see
# How often each network is gone through for a pair, forwards or backwards.
_PASSES: dict[type, dict[str, float]] = {
    Alignment: {"expert": 3},
    SelfTraining: {"expert": 4, "reader": 4},
    Joint: {"expert": 2.5, "posterior": 3, "decoder": 4.5},
    Widening: {"expert": 3, "posterior": 3, "decoder": 3},
    Matching: {"velocity": 3},
    Marginal: {"expert": 1, "reader": 3, "posterior": 2, "decoder": 2},
    ReaderMatching: {"expert": 1, "reader_velocity": 3},
    Refinement: {"expert": 1, "posterior": 1, "decoder": 4.5, "reader": 1, "flow": 2, "codec": 1},
}


def parse_budget(text: Any) -> float:
    """The seconds of a time.

    Args:
        text: such as "90s", "5min", "2h"; or a number, of seconds.

    Raises:
        ValueError: for anything else, or none at all.

    Example:
        >>> parse_budget("5min")
        300.0
    """
    seconds = math.nan
    if isinstance(text, str):
        # A text without a unit may be of minutes as well.
        found = re.fullmatch(r"\s*(\d+\.?\d*)\s*([a-z]+)\s*", text, re.ASCII)
        seconds = float(found[1]) * _UNITS.get(found[2], math.nan) if found else math.nan
    elif isinstance(text, numbers.Real) and not isinstance(text, bool) and text < _LONGEST:
        seconds = float(text)
    if not 0 < seconds < _LONGEST:
        raise ValueError(
            "`budget` should be a time above 0 with its unit, such as '90s', '5min' or '2h', or in "
            f"Python a number of seconds. Received: budget={received(text)}"
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


class Budget:
    """A time that begins now, shared among a recipe's codecs and stages.

    What a part leaves to be wished for is taken to fall with its time, as T/t where it asks for T.
    The sum over all parts is least where t grows with √T: so a short part is whole before a long
    one is. Each stage's share is found when it begins, of the time that is left by then and
    without the stages that have nothing to do. Where not even one pass of each stage fits, a
    random share of the pairs is trained on.

    Args:
        recipe: as long as it should be at most.
        pairs: that it will be carried out on.
        text: of the time, as `parse_budget` takes it.
        done: the seconds that finished parts took, by name, "codec" for the codecs.

    Attributes:
        recipe: with codecs that fit.
        pairs: to train on.
    """

    def __init__(
        self,
        recipe: Recipe,
        pairs: Pairs,
        text: Any,
        done: Mapping[str, float] | None = None,
    ) -> None:
        done = done or {}
        self._deadline = time.monotonic() + parse_budget(text) - sum(done.values())
        self._rate = _rate()
        self.recipe, self.pairs = recipe, pairs
        self._model, self._losses = self._foreseen()
        self._known = False
        costs = {} if "codec" in done else {"codec": self._codecs()}
        for stage in recipe.stages:
            loss = self._losses[stage.name]
            if stage.name not in done and loss is not None:
                costs[stage.name] = self._stage(stage, loss)
        left = self._left()
        least = sum(cost.seconds(0.0) for cost in costs.values())
        if least > left * 1.1:
            logger.warning(
                "One pass of each stage takes about %.0f s here, more than the %.0f s there are",
                least,
                left,
            )
            setup = sum(cost.setup for cost in costs.values() if cost.passes)
            share = max((left - setup) / max(least - setup, 1e-9), _LEAST / len(pairs))
            if share < 1:
                self.pairs = pairs.thinned(share, recipe.seed)
                logger.warning(
                    "So %d of the pairs are trained on, drawn at random", len(self.pairs)
                )
        whole = sum(cost.seconds(1.0) for cost in costs.values())
        logger.info("Training for %.0f s; the whole recipe takes about %.0f s", left, whole)
        if "codec" in costs:
            self.recipe = recipe.with_codecs_scaled(_shares(costs, left)["codec"])

    def begun(
        self, stage: StageSettings, model: WynerModel, *, first: bool
    ) -> tuple[StageSettings, TimeLimit]:
        """A stage that begins now, shortened, and the callback that ends it in time.

        Args:
            stage: of the recipe.
            model: as earlier stages left it.
            first: whether there were none, so that nothing tells which stages have nothing to do.
        """
        names = [each.name for each in self.recipe.stages]
        rest = self.recipe.stages[names.index(stage.name) :]
        if not first and not self._known:
            self._losses |= {each.name: each.loss.adapted(model, self.pairs) for each in rest}
            self._model, self._known = model, True
        costs = {}
        for each in rest:
            loss = self._losses[each.name]
            if loss is not None or each is stage:
                costs[each.name] = self._stage(each, loss or each.loss)
        shares, left = _shares(costs, self._left()), self._left()
        taken = {name: cost.seconds(shares[name]) for name, cost in costs.items()}
        own = left * taken[stage.name] / max(sum(taken.values()), 1e-9)
        logger.info("%s has %.0f s, %.2f of its epochs", stage.name, own, shares[stage.name])
        if shares[stage.name] < _HARDLY:
            logger.warning(
                "%s has hardly any of its epochs: samples like the data take a longer budget",
                stage.name,
            )
        # A machine that is faster than estimated trains for longer.
        shortened = stage.scaled(min(1.0, _FASTER * shares[stage.name]))
        ends = time.monotonic() + max(0.0, own - costs[stage.name].after)
        return shortened, TimeLimit(ends)

    def _foreseen(self) -> tuple[WynerModel, dict[str, Loss | None]]:
        """Model and losses as they will be; where z is found, as if that were a quantity."""
        recipe, losses = self.recipe, {each.name: each.loss for each in self.recipe.stages}
        finds = [loss for loss in losses.values() if isinstance(loss, Alignment) and loss.find]
        if not finds:
            return self._untrained(recipe), {**losses}
        sides = {
            name: dataclasses.replace(side, reader="expert") if finds[0].experts_read else side
            for name, side in recipe.sides.items()
        }
        z = DiagonalGaussian(dim=finds[0].dimensions)
        found = self._untrained(dataclasses.replace(recipe, z=z, sides=sides))
        return found, {name: loss.adapted(found, self.pairs) for name, loss in losses.items()}

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def _untrained(self, recipe: Recipe) -> WynerModel:
        codecs = {
            name: modality.codec(recipe.codecs[name], recipe.seed)
            for name, modality in zip(self.pairs.names, self.pairs.modalities, strict=True)
        }
        return untrained(recipe, self.pairs, codecs)

    def _codecs(self) -> _Cost:
        """Of all codecs together, in epochs of the one that has most."""
        trained, pairs = 0.0, self.pairs
        shared = self.recipe.shares_codec(pairs)
        for place, (name, store) in enumerate(zip(pairs.names, pairs.stores, strict=True)):
            settings = self.recipe.codecs[name]
            if settings and not (place and shared):
                each = 3 * sum(products(self._model.sides[place].codec))
                trained += settings.epochs * self._pass(len(store), settings.batch_size, each)
        epochs = max((codec.epochs for codec in self.recipe.codecs.values() if codec), default=1)
        return _Cost(self._slower * _TRACE if trained else 0.0, trained, epochs if trained else 0)

    def _stage(self, stage: StageSettings, loss: Loss) -> _Cost:
        model = self._model
        each = sum(_of_step(loss, side) for side in model.sides)
        flows = {"velocity", "flow"} & {*_PASSES.get(type(loss), ())} and any(
            side.flow is not None for side in model.sides
        )
        after = 0.0
        if isinstance(loss, Matching):
            samples = calibrated_on(len(self.pairs))
            of_flows = sum(_products(side)["flow"] for side in model.sides)
            after = _MORE * samples * of_flows / self._rate
        rows = len(self.pairs.with_singles() if loss.takes_singles else self.pairs)
        of_epoch = stage.passes * rows
        how = execution(
            of_epoch // min(stage.batch_size, of_epoch), stage.epochs, jit_compile=stage.jit_compile
        )
        setup = _TRACE + how["jit_compile"] * _COMPILE + bool(flows) * _FLOWS
        count = stage.epochs * stage.passes
        if stage.bfloat16 and in_bfloat16(loss.trained(model), stage.batch_size):
            each /= _BY_TILES
        seconds = count * self._pass(rows, stage.batch_size, each)
        before = 0.0 if how["run_eagerly"] else self._slower * setup
        return _Cost(before + after, seconds, count, after)

    @property
    def _slower(self) -> float:
        return max(1.0, _REFERENCE / self._rate)

    def _pass(self, rows: int, batch: int, each: float) -> float:
        """The seconds of a pass over rows of which each takes so many products."""
        batch = max(1, min(batch, rows))
        return -(-rows // batch) * max(2e-3, (_STEP_PRODUCTS + _MORE * batch * each) / self._rate)


@dataclass(frozen=True)
class _Cost:
    """Of a part the seconds around its passes, those of all of them, and how many they are.

    Of the seconds around them some are `after`.
    """

    setup: float
    whole: float
    passes: int
    after: float = 0.0

    def seconds(self, share: float) -> float:
        """Of a share of the passes, one at least."""
        return self.setup + max(share, 1 / max(self.passes, 1)) * self.whole


def _shares(costs: Mapping[str, _Cost], seconds: float) -> dict[str, float]:
    """Of each part the share of its passes that it takes in a time for all, see `Budget`."""

    def at(scale: float) -> dict[str, float]:
        return {
            name: min(1.0, scale / math.sqrt(max(cost.whole, 1e-9))) for name, cost in costs.items()
        }

    least, most = 0.0, math.sqrt(max((cost.whole for cost in costs.values()), default=0.0)) + 1e-3
    if sum(cost.seconds(1.0) for cost in costs.values()) <= seconds:
        return at(most)
    for _ in range(40):
        middle = (least + most) / 2
        fits = sum(costs[name].seconds(share) for name, share in at(middle).items()) <= seconds
        least, most = (middle, most) if fits else (least, middle)
    return at(least)


def _of_step(loss: Loss, side: Side) -> float:
    """Products of numbers that a step takes for a pair in a side's networks."""
    passes = dict(_PASSES.get(type(loss), _PASSES[Joint]))
    if type(loss) is Joint and not loss.concept_weight:  # half a batch that is read again
        passes["expert"] -= 1.5
        passes["decoder"] -= 1.5
    if "expert" in passes:
        # What they make of the rows is kept where they are not trained.
        kept = 0 if isinstance(loss, (Alignment, SelfTraining, Widening)) else 1
        normalised = _OF_DATA if side.settings.expert == "data" else 1.0
        passes["expert"] = normalised * max(0, passes["expert"] - kept)
    multiplied = _products(side)
    return sum(count * multiplied[kind] for kind, count in passes.items())


def _products(side: Side) -> dict[str, float]:
    """Of each of a side's networks the products of numbers that one example takes."""
    velocity, of_reader = (
        0 if flow is None else sum(count for each in flow.velocities for count in products(each))
        for flow in (side.flow, side.reader_flow)
    )
    found: dict[str, float] = {
        "codec": sum(products(side.codec)),
        "velocity": velocity,
        "flow": velocity * side.settings.flow_steps,
        "reader_velocity": of_reader,
    }
    for name in ("expert", "reader", "posterior", "decoder"):
        network = getattr(side, f"{name}_network")
        found[name] = 0 if network is None else sum(products(network))
    return found


def _rate() -> float:
    """Products of numbers in a second, of large matrices, on this machine as busy as it is."""
    left, right = (keras.ops.ones((rows, 512)) for rows in (256, 512))
    keras.ops.matmul(left, right)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < _MEASURED:
        keras.ops.convert_to_numpy(keras.ops.matmul(left, right))
        count += 1
    return count * 256 * 512 * 512 / (time.perf_counter() - start)
