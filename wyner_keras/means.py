"""What a model says of a row in one row, whatever rows come with it: means of z and of y."""

from __future__ import annotations

from typing import Any

import numpy as np

from wyner_serving.checks import check_count, check_seed
from wyner_serving.noise import RowNoise
from wyner_serving.rows import check_rows
from wyner_serving.tasks import run_checked

_VARIANCE = "log_variance"
_DISCRETE = ("binary", "categorical")


def mean_z(model: Any, values: Any, side: str) -> np.ndarray:
    """Means of z of q(z|x): probabilities of kinds, means of quantities.

    Args:
        model: a WynerModel, a bundle or a client of one.
        values: examples of the side, `(n, ...)`.
        side: "x" or "y".

    Returns:
        float32 `(n, width)`; of a row the same in any order and company, but for rounding.

    Raises:
        InputError: when the values are not examples of the side, or a result is not finite.
    """
    outputs = zip(model.posterior_names, model.posteriors(values, side), strict=True)
    # The variance of a mean is no mean.
    return np.concatenate([each for name, each in outputs if name != _VARIANCE], axis=1)


def mean_other(model: Any, values: Any, side: str, *, samples: int, seed: int) -> np.ndarray:
    """Means of samples of the other side: of p(y|x), by the same noise for every row.

    Args:
        model: a WynerModel or a bundle.
        values: examples of the side, `(n, ...)`.
        side: "x" or "y".
        samples: how many of each row.
        seed: of their noise, 0 or more.

    Returns:
        float32 `(n, ...)`: means; of binary and categorical columns the commonest value.

    Raises:
        InputError: when the values are not examples of the side, a number is not as said, or a
            result is not finite.

    Source: the W-model paper, section 2.3, figure 3(a), for a sample.
    """
    samples = check_count(samples, "samples")
    noise = RowNoise(check_seed(seed), model.latent_entries)
    entries = model.side_entries
    (other,) = (name for name in entries if name != side)
    local = entries[other]["local"]
    values = check_rows(values, side, entries[side])
    drawn = {f"noise_{name}": noise.draw(name, np.arange(samples)) for name in ("z", local)}
    found = np.empty((len(values), *model.example_shape(other)), np.float32)
    step = max(1, model.batch_size // samples)
    for start in range(0, len(values), step):
        given = values[start : start + step]
        inputs = {
            name: np.tile(each, (len(given), 1)) for name, each in drawn.items() if each is not None
        }
        (made,) = run_checked(
            model, f"generate_{other}", {side: np.repeat(given, samples, 0), **inputs}
        )
        each = made.reshape(len(given), samples, *made.shape[1:])
        found[start : start + step] = each.mean(axis=1)
        for place, column in enumerate(entries[other].get("columns", ())):
            if column["kind"] in _DISCRETE:
                found[start : start + step, place] = _commonest(each[..., place])
    return found


def _commonest(values: np.ndarray) -> np.ndarray:
    """Of each row its commonest value, of those as common the least."""
    every = np.unique(values)
    return every[(values[..., None] == every).sum(axis=1).argmax(axis=1)]
