"""The noise around what a model renders, fitted to pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from scipy.optimize import minimize

from wyner_keras.backend import compiled, value_and_gradient
from wyner_keras.data import Pairs
from wyner_keras.data.checks import check_whole
from wyner_keras.evaluation.importance import (
    Array,
    Locals,
    SideNoise,
    Weighed,
    locals_of,
    parts_of,
    rows_at_once,
)
from wyner_keras.model import WynerModel
from wyner_keras.received import received
from wyner_keras.side import Side

_ROUNDS, _SAMPLES = 5, 32
_ENOUGH = 400  # rendered examples that noise is fitted to, if there are pairs enough
_STEPS = 15  # of its optimizer
# Log variance: a deviation of at least e^-6 units, which is below one of 256 grey levels.
_SPREADS = (-12.0, 8.0)
_WIDTHS = (0.5, 3.0)
_LEAST_METRIC = 1e-4
NEEDS = "a W-model in Keras, whose codecs and learned prior have `log_prob`"


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The noise around what a model renders, and how wide to search for latents.

    Args:
        spread: by side, the log variance of each noise, see `Codec.log_prob`.
        scale: by side, its standard deviation in the data's units, NaN where it is no deviation;
            one for images, one for each channel of series and each column of vectors.
        metric: by side, the variance of each feature around what u and z make of it, by which u is
            proposed, `(feature_size,)`.
        width: by side, the factor of the deviation of proposals.
    """

    spread: Mapping[str, Array]
    scale: Mapping[str, Array]
    metric: Mapping[str, Array]
    width: Mapping[str, float]

    def of(self, name: str) -> SideNoise:
        """What a side needs."""
        return SideNoise(self.spread[name], self.metric[name], self.width[name])


def fit_noise(
    model: WynerModel,
    pairs: Pairs,
    *,
    samples: int = _SAMPLES,
    rounds: int = _ROUNDS,
    seed: int = 0,
) -> Noise:
    """Fit the noise of each side that makes pairs most likely, by importance-weighted EM.

    Args:
        model: trained; nothing of it changes.
        pairs: that are not scored afterwards: a part of the held-out ones, of which 100 or more
            settle the noise of each column. The training pairs' may be less than the held-out's.
        samples: of z, u and v for each pair.
        rounds: of EM.
        seed: of the samples.

    Returns:
        The noise, at least e^-6 of the data's deviation (of 1, for images), so that what never
        varies does not have infinite density.

    Raises:
        ValueError: if an argument is not as said, or a codec has no `log_prob`.

    Example:
        >>> fit_noise(model, held_out.take(200)).scale["x"]  # doctest: +SKIP
        array([0.1204])

    Source: Dempster, Laird and Rubin, Maximum likelihood from incomplete data, 1977.
    """
    check_model(model, pairs, samples=samples, rounds=rounds)
    rng = np.random.default_rng(seed)
    return fitted(
        model,
        arrays_of(model, pairs),
        locals_of(model),
        samples=samples,
        rounds=rounds,
        rng=rng,
    )


def has_densities(model: Any) -> bool:
    """Whether codecs and a learned prior have `log_prob`."""
    codecs = [getattr(side, "codec", None) for side in getattr(model, "sides", ())]
    prior = getattr(model, "prior", None)
    return bool(codecs) and all(
        [
            *(getattr(codec, "noise_units", None) is not None for codec in codecs),
            prior is None or hasattr(prior, "log_prob"),
        ]
    )


def check_model(model: Any, pairs: Any, **whole: int) -> None:
    """Raise a ValueError if a model, its pairs or a number is not what bounds need."""
    if not isinstance(pairs, Pairs):
        raise ValueError(f"`pairs` should be Pairs. Received: {received(pairs)}")
    if not has_densities(model):
        raise ValueError(f"`model` should be {NEEDS}. Received: model={received(model)}")
    for name, value in whole.items():
        check_whole(value, f"`{name}`", minimum=1)


def arrays_of(model: WynerModel, pairs: Pairs) -> dict[str, Array]:
    """Examples of the pairs by side."""
    return dict(zip((side.name for side in model.sides), pairs.arrays(), strict=True))


def fitted(
    model: WynerModel,
    data: Mapping[str, Array],
    locals_: Mapping[str, Locals],
    *,
    samples: int = _SAMPLES,
    rounds: int = _ROUNDS,
    rng: np.random.Generator,
) -> Noise:
    """`fit_noise` of examples `(n, *shape)` by side."""
    noise = {
        side.name: SideNoise(
            np.zeros_like(np.asarray(side.codec.noise_units), "f"),
            np.ones(side.codec.feature_size),
            1.0,
        )
        for side in model.sides
    }
    fit = {side.name: _Fit(side) for side in model.sides}
    copies = max(1, _ENOUGH // len(next(iter(data.values()))))
    for step in range(rounds + 1):
        rendered: dict[str, list[Array]] = {name: [] for name in noise}
        missed: dict[str, list[Array]] = {name: [] for name in noise}
        squares: dict[str, list[Array]] = {name: [] for name in noise}
        for part in parts_of(data):
            weighed = Weighed(model, part, locals_, noise, samples, rng)
            for name, drawn in weighed.drawn.items():
                shares = weighed.responsibilities(name)
                if not step:  # of no noise yet that could tell samples apart
                    shares = np.full_like(shares, 1 / samples)
                chosen = _chosen(shares, copies, rng)
                rendered[name].append(np.take_along_axis(drawn.features, chosen[:, :, None], 1))
                errors = np.square(rendered[name][-1] - weighed.features[name][:, None])
                missed[name].append(errors.mean(axis=1))
                if drawn.noise is not None:
                    squares[name].append((shares[:, :, None] * np.square(drawn.noise)).sum(axis=1))
        for name, rows in data.items():
            features = np.concatenate(rendered[name])
            rows = np.repeat(rows, features.shape[1], axis=0)
            width = noise[name].width
            if step and squares[name]:
                width = float(np.clip(np.sqrt(np.concatenate(squares[name]).mean()), *_WIDTHS))
            noise[name] = SideNoise(
                fit[name](rows, features.reshape(len(rows), -1), noise[name].spread),
                np.maximum(np.concatenate(missed[name]).mean(axis=0), _LEAST_METRIC),
                width,
            )
    scale = {
        side.name: np.asarray(side.codec.noise_units) * np.exp(0.5 * noise[side.name].spread)
        for side in model.sides
    }
    return Noise(
        scale=scale,
        **{
            field: {name: getattr(each, field) for name, each in noise.items()}
            for field in SideNoise._fields
        },
    )


def _chosen(shares: Array, copies: int, rng: np.random.Generator) -> Array:
    """Samples drawn by their shares, `(n, copies)`."""
    edges = np.cumsum(shares, axis=1)[:, None, :-1]
    return (rng.random((len(shares), copies, 1)) > edges).sum(axis=2)


class _Fit:
    """The spread that makes rows most likely given features."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self._step = compiled(self._gradient)

    def _gradient(self, data: Any, features: Any, spread: Any) -> tuple[Any, Any]:
        def loss(spread: Any) -> Any:
            return -ops.sum(self.side.codec.log_prob(data, features, spread))

        return value_and_gradient(loss, spread)

    def __call__(self, data: Array, features: Array, spread: Array) -> Array:
        rows = rows_at_once(self.side)
        parts = [
            (data[start : start + rows], features[start : start + rows])
            for start in range(0, len(data), rows)
        ]

        def loss(spread: Array) -> tuple[float, Array]:
            found = [self._step(*part, spread.astype(np.float32)) for part in parts]
            value = sum(float(each) for each, _ in found)
            gradient: Any = sum(np.asarray(each, np.float64) for _, each in found)
            return value / data.size, gradient / data.size

        found = minimize(
            loss,
            spread.astype(np.float64),
            jac=True,
            method="L-BFGS-B",
            bounds=[_SPREADS] * len(spread),
            options={"maxiter": _STEPS},
        )
        return found.x.astype("f")
