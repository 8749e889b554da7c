"""Held-out log-likelihood of a model of pairs, from below."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wyner_keras.data import Pairs
from wyner_keras.evaluation.held import Evaluation
from wyner_keras.evaluation.importance import Array, Locals, Weighed, locals_of, parts_of
from wyner_keras.evaluation.noise import (
    NEEDS,
    Noise,
    arrays_of,
    check_model,
    fitted,
    has_densities,
)
from wyner_keras.evaluation.report import IMPORTANCE_SAMPLES, NAMED, Figure
from wyner_keras.intervals import mean_error
from wyner_keras.model import WynerModel

_FITTED, _SCORED = 60, 100  # held-out pairs, at most, that noise is fitted to and scored on
_LEAST = 6  # held-out pairs
_KINDS = ("log_likelihood", "bits", "noise_scale")


@dataclass(frozen=True)
class Bound:
    """Lower bounds of log p, one for each pair.

    Args:
        nats: `(n,)`.
        dimensions: how many values each is of, those that are missing not counted, `(n,)`.
        groups: of each pair the group, `(n,)`, whose pairs go together; None where none do.
    """

    nats: Array
    dimensions: Array
    groups: np.ndarray | None = None

    @property
    def mean(self) -> float:
        """Nats a pair."""
        return float(self.nats.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean over pairs; NaN of a single one, or of a single group."""
        return mean_error(self.nats, self.groups)

    @property
    def bits(self) -> float:
        """−log₂ p a dimension, from above; less is better."""
        return -self.mean / self._nats_a_bit

    @property
    def bits_error(self) -> float:
        """Standard error of `bits`."""
        return self.standard_error / self._nats_a_bit

    @property
    def _nats_a_bit(self) -> float:
        return float(self.dimensions.mean() * np.log(2.0))


def log_likelihood(
    model: WynerModel,
    pairs: Pairs,
    noise: Noise,
    *,
    samples: int = IMPORTANCE_SAMPLES,
    seed: int = 0,
) -> dict[str, Bound]:
    """Bound the log-likelihood of pairs from below, by importance sampling.

    With p(x|u,z) the codec's likelihood around what u and z render (`Codec.log_prob`: Gaussian for
    images, series and real columns, of deviation `noise.scale`), u and v of N(0, I) or their
    family's prior, and z of `model.log_prior`, in the data's units:

    - "joint": log p(x,y), p(x,y) = E over p(z) of p(x|z) p(y|z); z is proposed by q(z|x,y);
    - "x", "y": log p(x), log p(y); z is proposed by q(z|x), q(z|y);
    - "y_given_x": log p(y|x), p(y|x) = E over q(z|x) of p(y|z), z and v as `generate_y` draws
      them; z is proposed by q(z|x) for one half of the samples, by q(z|x,y) for the other. And
      "x_given_y". As q(z|x) is not p(z|x), they are not what "joint" less "x" would be.

    There p(x|z) = E over p(u) of p(x|u,z). u is proposed by a Gaussian around the mode of q(u|x,z)
    after one Gauss-Newton step, `noise.width` times as wide as its curvature says; a u whose noise
    is not normal by q(u|x,z).

    Args:
        model: trained.
        pairs: held out, and not those that `noise` was fitted to.
        noise: of `fit_noise`.
        samples: K, of z and u for each. E log of the mean of K weights is at most log p, grows with
            K and tends to it.
        seed: of the samples.

    Returns:
        A bound of each pair, by the names above.

    Raises:
        ValueError: if an argument is not as said, or a codec has no `log_prob`.

    Example:
        >>> found = log_likelihood(model, scored, fit_noise(model, others))  # doctest: +SKIP
        >>> found["y_given_x"].mean, found["y_given_x"].standard_error  # doctest: +SKIP
        (-41.2, 0.6)

    Source: Burda, Grosse and Salakhutdinov, Importance weighted autoencoders, 2016; Veach and
    Guibas, Optimally combining sampling techniques, 1995, for proposals of two halves.
    """
    check_model(model, pairs, samples=samples)
    rng = np.random.default_rng(seed)
    data, locals_ = arrays_of(model, pairs), locals_of(model)
    return _log_likelihood(model, data, locals_, noise, samples, rng, pairs.groups)


def figures(evaluation: Evaluation) -> dict[str, Figure | str]:
    """Bounds in nats and bits a dimension, and noise, which other held-out pairs settle."""
    x, _ = evaluation.sides.values()
    model, names = evaluation.model, [name for name in NAMED if name.startswith(_KINDS)]
    if not evaluation.bounds:
        return dict.fromkeys(names, "`bounds=True`, a run without `--quick`")
    if not has_densities(model):
        return dict.fromkeys(names, NEEDS)
    rng = np.random.default_rng(evaluation.seed)
    if evaluation.apart is None:  # noise may have seen rows of what is scored
        order = rng.permutation(len(x.examples))
        places = {"x": order, "y": x.partner[order]}
    else:
        places = evaluation.apart
    if len(places["x"]) < _LEAST:
        return dict.fromkeys(names, f"{_LEAST} held-out examples or more")
    few = min(_FITTED, len(places["x"]) // 3)
    parts = slice(few), slice(few, few + _SCORED)
    rows = [
        {name: side.examples[places[name][part]] for name, side in evaluation.sides.items()}
        for part in parts
    ]
    groups = evaluation.pairs.groups
    if groups is not None:
        groups = groups[x.pair[places["x"][parts[1]]]]
    locals_ = locals_of(model)
    noise = fitted(model, rows[0], locals_, rng=rng)
    found: dict[str, Figure | str] = {}
    bounds = _log_likelihood(model, rows[1], locals_, noise, IMPORTANCE_SAMPLES, rng, groups)
    for which, bound in bounds.items():
        # "y_given_x" is a figure of y, as made from x.
        name, _, given = which.partition("_given_")
        name = name if given or name == "joint" else f"marginal_{name}"
        found[f"log_likelihood_{name}"] = Figure(bound.mean, bound.standard_error)
        found[f"bits_{name}"] = Figure(bound.bits, bound.bits_error)
    for name, examples in rows[1].items():
        units = np.asarray(model.side(name).codec.noise_units)
        found[f"noise_scale_{name}"] = "columns of real numbers"
        if not np.isnan(units).all():
            share = np.sqrt(np.nanmean(np.square(noise.scale[name] / units)))
            found[f"noise_scale_{name}"] = Figure(float(share), _deviation(examples, units))
    evaluation.counts |= {"likelihood": len(rows[1]["x"]), "noise_scale": few}
    return found


def _deviation(examples: Array, units: Array) -> float:
    """Root mean square deviation of values that have a noise, in the noises' units."""
    mean = np.nanmean(np.where(np.isnan(examples).all(axis=0), 0.0, examples), axis=0)
    squares = np.square((examples - mean) / units)
    return float(np.sqrt(np.nanmean(squares)))


def _log_likelihood(
    model: WynerModel,
    data: Mapping[str, Array],
    locals_: Mapping[str, Locals],
    noise: Noise,
    samples: int,
    rng: np.random.Generator,
    groups: np.ndarray | None,
) -> dict[str, Bound]:
    given = {name: noise.of(name) for name in locals_}
    parts = [Weighed(model, part, locals_, given, samples, rng).bounds() for part in parts_of(data)]
    known = {
        name: (~np.isnan(rows)).reshape(len(rows), -1).sum(axis=1) for name, rows in data.items()
    }
    known["joint"] = sum(known.values())
    return {
        name: Bound(
            np.concatenate([part[name] for part in parts]),
            known[name.partition("_given_")[0]],
            groups,
        )
        for name in parts[0]
    }
