"""How many nats the latents of a trained model hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from wyner_keras import objectives
from wyner_keras.backend import compiled
from wyner_keras.data import Pairs
from wyner_keras.data.checks import check_whole
from wyner_keras.information import aggregated
from wyner_keras.information.shannon import Array, entropy, mutual_information
from wyner_keras.latents import Latent
from wyner_keras.model import WynerModel
from wyner_keras.received import received
from wyner_keras.side import Side

_AT_ONCE = 1000  # pairs encoded at once
_MOST_CROSSED = 1000  # values of z whose pairs are counted
_FLOWED = 2**16  # of u, each taken through flows, at most
_TRACED = 20  # flows, from which on they are traced
_MOST_READ = 5000  # pairs that a label's classifier is fitted to and tried on


def measure(
    model: WynerModel,
    pairs: Pairs,
    *,
    rows: int = 10_000,
    contrasted: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """What Z, U and V of a trained model hold, on pairs.

    Of Z, by the aggregated posterior q̄(z) = E q(z|x,y):

    - `i_xy_z`: I(X,Y;Z) = E D(q(z|x,y) ‖ q̄(z)) of the product of experts;
    - `i_x_z`, `i_y_z`: I(X;Z) and I(Y;Z) of the readers q(z|x) and q(z|y);
    - `i_zx_zy`: I(Z_x; Z_y), what z read off x alone and z read off y alone tell of one another,
      (Z_x, Z_y) ~ E q(z|x) q(z|y); where Z has at most 1,000 values;
    - `kl_z`: E D(q(z|x,y) ‖ p(z)), which is `i_xy_z` + D(q̄ ‖ p): an upper bound of it;
    - `i_label_z`: I(label of x; Z) and `h_label`, that label's entropy; like all that is said of
      labels, only where the pairs have them.

    These are exact for the pairs given where `Latent.values` lists the values of Z. A larger or
    continuous Z gets InfoNCE in their place, a lower bound that cannot exceed log `contrasted`,
    and beside it `i_xy_z_upper`, `i_x_z_upper`, `i_y_z_upper` by leaving one out, with those that
    have a row or the group in common with it; there `i_label_z` is a lower bound too.

    Of U, and the same of V and y as `i_y_v_upper`, `i_y_v_lower`, `i_label_v_lower`; 0 where there
    is no U:

    - `i_x_u_upper`: E D(q(u|x,z) ‖ p(u)) with z ~ q(z|x). It is I(X,Z;U) + D(q̄ ‖ p), so never
      below I(X;U); for a flow it is a sampled mean, over `contrasted` pairs at most, and holds as
      far as no two codes have one u;
    - `i_x_u_lower`: InfoNCE, below I(X;U) and below log `contrasted`. Any score gives a bound; this
      one is log [q(u|x, mode of z) + p(u)], for a flow of the code that it makes of u: without
      the second term the few u that were drawn for another z than its mode would decide;
    - `i_label_u_lower`: leakage. H(label) less the cross-entropy of a quadratic logistic regression
      of the label on u, on pairs it was not fitted to: below I(label; U).

    Args:
        model: a trained model.
        pairs: held out ones, to measure what the model does rather than remembers.
        rows: the most pairs to use, drawn at random.
        contrasted: the most pairs for contrastive bounds, whose work is its square. Where z is a
            continuum and u has a flow, I(X;U) is bounded by 256 at most: each has its own flow.
        seed: of the draws.

    Returns:
        Nats per example by name, plain numbers, and `rows`, the number of pairs used. A plug-in
        I(X;Z) from n pairs is on average too small by log(1 + (values − 1) / n) at most; that of a
        label with Z or of Z_x with Z_y too large, by (a − 1) (b − 1) / 2n at most for a and b
        values that are often had. One pair
        alone cannot be contrasted: InfoNCE is 0, and bounds by leaving one out are not there.

    Raises:
        ValueError: if an argument is not as said.

    Example:
        >>> found = measure(model, pairs)  # doctest: +SKIP
        >>> found["i_xy_z"] <= found["kl_z"]  # doctest: +SKIP
        True

    Source: Hoffman and Johnson, ELBO surgery, 2016, for I + D(q̄ ‖ p); Poole et al., On variational
    bounds of mutual information, 2019; Barber and Agakov, The IM algorithm, 2003, for leakage.
    """
    if not isinstance(pairs, Pairs):
        raise ValueError(f"`pairs` should be Pairs. Received: {received(pairs)}")
    for name, value in (("rows", rows), ("contrasted", contrasted)):
        check_whole(value, f"`{name}`", minimum=2)
    pairs = pairs.take(min(rows, len(pairs)), seed=seed)
    rng, contrasted = np.random.default_rng(seed), min(contrasted, len(pairs))
    read = _Read.of(model, pairs, contrasted)
    found = {"rows": float(len(pairs)), "kl_z": float(np.mean(_all(q.kl() for q in read.joint)))}
    values = model.z.values()
    posteriors = {"xy": read.joint, **read.marginal}
    for name, parts in posteriors.items():
        linked = _linked(pairs.select(np.arange(contrasted)), name)
        found |= _information(f"i_{name}_z", model.z, parts, linked, rng)
    if values is not None and len(values) <= _MOST_CROSSED:
        crossed: Any = sum(
            aggregated.states(q_x, values).T @ aggregated.states(q_y, values)
            for q_x, q_y in zip(read.marginal["x"], read.marginal["y"], strict=True)
        )
        found["i_zx_zy"] = mutual_information(crossed / crossed.sum())
    if pairs.x_labels is not None:
        _, counts = np.unique(pairs.x_labels, return_counts=True)
        found["h_label"] = entropy(counts / len(pairs))
        found["i_label_z"] = _label_information(
            model.z, read.joint, pairs.x_labels, pairs.groups, rng
        )
    for side, labels in zip(model.sides, (pairs.x_labels, pairs.y_labels), strict=True):
        (upper, lower), local = _local(
            side, read.features[side.name], read.marginal[side.name], contrasted, rng
        )
        name = f"i_{side.name}_{side.local_name}"
        found |= {f"{name}_upper": upper, f"{name}_lower": lower}
        if labels is not None:
            leaked = 0.0 if local is None else _leaked(local, labels, pairs.groups)
            found[f"i_label_{side.local_name}_lower"] = leaked
    return found


@dataclass(frozen=True)
class _Read:
    """Posteriors of pairs, in parts of 1,000 pairs; a part ends where the contrasted ones do.

    Args:
        joint: q(z|x,y).
        marginal: q(z|x) and q(z|y), by side.
        features: by side, `(rows, width)`.
    """

    joint: list[Any]
    marginal: dict[str, list[Any]]
    features: dict[str, np.ndarray]

    @classmethod
    def of(cls, model: WynerModel, pairs: Pairs, contrasted: int) -> _Read:
        joint, names = [], [side.name for side in model.sides]
        marginal: dict[str, list[Any]] = {name: [] for name in names}
        features: dict[str, list[np.ndarray]] = {name: [] for name in names}
        edges = sorted({*range(0, contrasted, _AT_ONCE), *range(contrasted, len(pairs), _AT_ONCE)})
        for places in np.split(pairs.index, edges[1:]):
            batch: dict[str, Any] = {}
            for column, side in enumerate(model.sides):
                data = side.modality.prepare(pairs.stores[column].take(places[:, column]))
                own = side.encode(data)
                marginal[side.name].append(side.read(data, own))
                features[side.name].append(np.asarray(own))
                batch |= {side.name: data, f"{side.name}_features": own}
            joint.append(model.joint_z(batch))
        return cls(joint, marginal, {name: np.concatenate(h) for name, h in features.items()})


def _all(parts: Any) -> np.ndarray:
    return np.concatenate([np.asarray(part) for part in parts])


def _sampled(latent: Latent, parts: Sequence[Any], rng: np.random.Generator) -> np.ndarray:
    """A sample of each row, `(rows, size)`."""
    counts = [len(q.outputs()[0]) for q in parts]
    noise = [latent.draw_noise(rng, count) for count in counts]
    return _all(q.sample(part) for q, part in zip(parts, noise, strict=True))


def _first(parts: Sequence[Any], rows: int) -> list[Any]:
    """The parts of the first rows, which end with one."""
    ends = np.cumsum([len(q.outputs()[0]) for q in parts])
    return list(parts[: int(np.searchsorted(ends, rows)) + 1])


def _scores_of(values: np.ndarray, parts: Sequence[Any]) -> Array:
    return np.concatenate([aggregated.log_posteriors(q, values) for q in parts], axis=1)


def _linked(pairs: Pairs, sides: str) -> np.ndarray:
    """Which pairs have a row of these sides, or their group, in common, `(pairs, pairs)`."""
    keys = [pairs.index[:, pairs.names.index(side)] for side in sides]
    keys += [] if pairs.groups is None else [pairs.groups]
    found: np.ndarray = np.any([np.equal.outer(key, key) for key in keys], axis=0)
    return found


def _information(
    name: str, latent: Latent, parts: list[Any], linked: np.ndarray, rng: np.random.Generator
) -> dict[str, float]:
    values = latent.values()
    if values is not None:
        return {name: aggregated.exact_information(aggregated.states(q, values) for q in parts)}
    few = _first(parts, len(linked))
    scores = _scores_of(_sampled(latent, few, rng), few)
    if len(scores) < 2:
        return {name: 0.0}
    lower, upper = aggregated.contrastive_bounds(scores, linked)
    return {name: max(0.0, lower), f"{name}_upper": max(0.0, upper)}


def _label_information(
    latent: Latent,
    parts: list[Any],
    labels: np.ndarray,
    groups: np.ndarray | None,
    rng: np.random.Generator,
) -> float:
    values = latent.values()
    if values is None:
        return _leaked(_sampled(latent, parts, rng), labels, groups)
    classes, codes = np.unique(labels, return_inverse=True)
    table, start = np.zeros((len(classes), len(values))), 0  # of labels and values
    for p in (aggregated.states(q, values) for q in parts):
        np.add.at(table, codes[start : start + len(p)], p)
        start += len(p)
    return mutual_information(table / table.sum())


def _local(
    side: Side,
    features: np.ndarray,
    parts_z: list[Any],
    contrasted: int,
    rng: np.random.Generator,
) -> tuple[tuple[float, float], np.ndarray | None]:
    """Upper and lower bound of I(X;U), and samples of U."""
    if side.local is None:
        return (0.0, 0.0), None
    z = _sampled(side.z, parts_z, rng)  # z ~ q(z|x)
    q_u = side.posterior(ops.convert_to_tensor(features), z)
    code = q_u.sample(side.local.draw_noise(rng, len(features)))  # what the decoder reads
    local = np.asarray(side.local_of(code, z))  # u ~ q(u|x,z)
    modes = _all(q.mode for q in _first(parts_z, contrasted))
    if side.flow is not None and len(np.unique(modes, axis=0)) * contrasted > _FLOWED:
        contrasted = min(contrasted, math.isqrt(_FLOWED))
    few = slice(0, contrasted)
    if side.flow is None:
        kl = q_u.kl()
    else:
        # A flow's determinant is what takes time.
        determinant = side.flow.log_determinant(code[few], z[few])
        _, log_variance = q_u.outputs()
        kl = objectives.kl_pulled_back_gaussian(local[few], log_variance[few], determinant)
    scores = _local_scores(side, features[few], modes[few], local[few])
    lower = aggregated.contrastive_bounds(scores)[0] if len(scores) > 1 else 0.0
    # A mean of samples, which may come out below 0 where it is little.
    return (max(0.0, float(np.mean(kl))), max(0.0, lower)), local


def _local_scores(side: Side, features: np.ndarray, modes: np.ndarray, local: np.ndarray) -> Array:
    """Log [q(u_i | x_j, mode z of q(z|x_j)) + p(u_i)], `(rows, rows)`; a flow's of codes."""
    latent: Any = side.local
    count = len(local)
    prior = latent(np.zeros((count, latent.parameter_size), np.float32))
    scores = np.empty((count, count))
    # The code of u depends on z where there is a flow.
    groups, of_row = (modes[:1], np.zeros(count, int))
    if side.flow is not None:
        groups, of_row = np.unique(modes, axis=0, return_inverse=True)

    def spread(row: np.ndarray) -> np.ndarray:
        return np.tile(row, (count, 1))

    # To trace it for few calls would take longer than they do.
    coded = compiled(side.code) if len(groups) > _TRACED else side.code
    samples = ops.convert_to_tensor(local)
    for group in range(len(groups)):
        chosen = np.flatnonzero(of_row == group)
        code = np.asarray(coded(samples, ops.convert_to_tensor(spread(groups[group]))))
        if len(chosen) > 1:
            q_u = side.posterior(features[chosen], modes[chosen])
            told = aggregated.log_posteriors(q_u, code)
        else:
            q_u = side.posterior(*(spread(rows[chosen[0]]) for rows in (features, modes)))
            told = np.asarray(q_u.log_prob(code), np.float64)[:, None]
        scores[:, chosen] = np.logaddexp(told, np.asarray(prior.log_prob(code))[:, None])
    return scores


def _leaked(values: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None) -> float:
    """H(label) less a classifier's held-out cross-entropy, not below 0, nats.

    Of a group one row counts: a classifier would know the others by their group. Labels that one
    row has are left out, and the rest counts for its share: I is at least that.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if groups is not None:
        one = np.sort(np.unique(groups, return_index=True)[1])
        values, labels = values[one], labels[one]
    values, labels = values[:_MOST_READ], labels[:_MOST_READ]
    _, labels, counts = np.unique(labels, return_inverse=True, return_counts=True)
    known = counts[labels] > 1
    counts = counts[counts > 1]
    if len(counts) < 2:
        return 0.0
    values, labels = values[known], labels[known]
    inputs = np.concatenate([values, np.square(values)], axis=1)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    predicted = cross_val_predict(classifier, inputs, labels, cv=2, method="predict_proba")
    told = entropy(counts / counts.sum()) - float(log_loss(labels, predicted))
    return max(0.0, float(known.mean()) * told)
