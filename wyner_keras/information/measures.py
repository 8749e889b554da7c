"""How many nats the latents of a trained model hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wyner_keras.data import Pairs
from wyner_keras.information import aggregated
from wyner_keras.information.shannon import Array, entropy
from wyner_keras.latents import Categorical
from wyner_keras.received import received

if TYPE_CHECKING:
    from wyner_keras.latents import Latent
    from wyner_keras.models import WynerModel

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

    - `i_xy_z`: I(X,Y;Z) = E D(q(z|x,y) ‖ q̄(z)) of the joint encoder;
    - `i_x_z`, `i_y_z`: I(X;Z) and I(Y;Z) of the marginal encoders q(z|x) and q(z|y);
    - `i_zx_zy`: I(Z_x; Z_y), what z read off x alone and z read off y alone tell of one another,
      (Z_x, Z_y) ~ E q(z|x) q(z|y); where Z is one categorical variable only;
    - `kl_z`: E D(q(z|x,y) ‖ p(z)), which is `i_xy_z` + D(q̄ ‖ p): an upper bound of it;
    - `i_label_z`: I(label of x; Z) and `h_label`, that label's entropy; like all that is said of
      labels, only where the images have them.

    These are exact for the pairs given where Z has at most 10,000 states. A larger or continuous Z
    gets InfoNCE in their place, a lower bound that cannot exceed log `contrasted`, and beside it
    `i_xy_z_upper`, `i_x_z_upper`, `i_y_z_upper` by leaving one out; there `i_label_z` is a lower
    bound too.

    Of U, and the same of V and y as `i_y_v_upper`, `i_y_v_lower`, `i_label_v_lower`; 0 where there
    is no U:

    - `i_x_u_upper`: E D(q(u|x,z) ‖ p(u)) with z ~ q(z|x). It is I(X,Z;U) + D(q̄ ‖ p), so never
      below I(X;U); for a flow it is a sampled mean, over `contrasted` pairs at most;
    - `i_x_u_lower`: InfoNCE, below I(X;U) and below log `contrasted`. Any score gives a bound; this
      one is log [q(u|x, mode of z) + p(u)], for a flow of the code that it makes of u: without
      the second term the few u that were drawn for another z than its mode would decide;
    - `i_label_u_lower`: leakage. H(label) less the cross-entropy of a quadratic logistic regression
      of the label on u, on pairs it was not fitted to: below I(label; U).

    Args:
        model: a trained model.
        pairs: of images; held out ones, to measure what the model does rather than remembers.
        rows: the most pairs to use, drawn at random.
        contrasted: the most pairs for contrastive bounds, whose work is its square.
        seed: of the draws.

    Returns:
        Nats per example by name, plain numbers, and `rows`, the number of pairs used. A plug-in
        I(X;Z) from n pairs is on average too small by up to (states − 1) / (2 n). One pair alone
        cannot be contrasted: InfoNCE is 0, and bounds by leaving one out are not there.

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
        raise ValueError(f"`pairs` should be Pairs. Received: {type(pairs).__name__}")
    for name, value, least in (("rows", rows, 2), ("contrasted", contrasted, 2)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(
                f"`{name}` should be at least {least}. Received: {name}={received(value)}"
            )
    pairs = pairs.take(min(rows, len(pairs)), seed=seed)
    rng = np.random.default_rng(seed)
    model.build(((None, *pairs.x.image_shape), (None, *pairs.y.image_shape)))
    x, y = (
        model.cached_features(images.images, side)[pairs.index[:, column]]
        for column, (side, images) in enumerate((("x", pairs.x), ("y", pairs.y)))
    )
    family = model.config.z
    joint = np.asarray(model.joint_z(x, y)[0])
    found = {"rows": float(len(pairs)), "kl_z": float(np.mean(family.kl(joint)))}
    marginal = {
        side: np.concatenate(
            [
                # Images: not every marginal encoder reads features.
                np.asarray(model.marginal_z(images.images[places], side))
                for places in np.array_split(pairs.index[:, column], -(-len(pairs) // 1000))
            ]
        )
        for column, (side, images) in enumerate((("x", pairs.x), ("y", pairs.y)))
    }
    for name, parameters in (
        ("i_xy_z", joint),
        ("i_x_z", marginal["x"]),
        ("i_y_z", marginal["y"]),
    ):
        found |= _information(name, family, parameters, contrasted, rng)
    if isinstance(family, Categorical) and family.n == 1:
        found["i_zx_zy"] = float(family.shared_information(marginal["x"], marginal["y"]))
    if pairs.x.has_labels:
        labels = pairs.x_labels
        found["h_label"] = entropy(np.unique(labels, return_counts=True)[1] / len(pairs))
        found["i_label_z"] = _label_information(family, joint, labels, rng)
    for side, name, features, images, labels in (
        ("x", "u", x, pairs.x, pairs.x_labels),
        ("y", "v", y, pairs.y, pairs.y_labels),
    ):
        bounds, local = _local(model, side, features, marginal[side], contrasted, rng)
        found |= dict(
            zip((f"i_{side}_{name}_upper", f"i_{side}_{name}_lower"), bounds, strict=True)
        )
        if images.has_labels:
            found[f"i_label_{name}_lower"] = 0.0 if local is None else _read(local, labels)
    return found


def _information(
    name: str, family: Any, parameters: np.ndarray, contrasted: int, rng: np.random.Generator
) -> dict[str, float]:
    if aggregated.is_enumerable(family):
        return {name: aggregated.exact_information(family, parameters)}
    few = parameters[:contrasted]
    values = np.asarray(family.sample(few, family.draw_noise(rng, len(few))))
    scores = aggregated.log_posteriors(family, values, few)
    if len(scores) < 2:
        return {name: 0.0}
    lower, upper = aggregated.contrastive_bounds(scores)
    return {name: max(0.0, lower), f"{name}_upper": max(0.0, upper)}


def _label_information(
    family: Any, parameters: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> float:
    if not aggregated.is_enumerable(family):
        values = np.asarray(family.sample(parameters, family.draw_noise(rng, len(parameters))))
        return _read(values, labels)
    inside = sum(
        np.mean(labels == label)
        * float(aggregated.entropies(aggregated.aggregated(family, parameters[labels == label])))
        for label in np.unique(labels)
    )
    whole = float(aggregated.entropies(aggregated.aggregated(family, parameters)))
    return max(0.0, whole - float(inside))


def _local(
    model: WynerModel,
    side: str,
    features: np.ndarray,
    parameters_z: np.ndarray,
    contrasted: int,
    rng: np.random.Generator,
) -> tuple[tuple[float, float], np.ndarray | None]:
    """Upper and lower bound of I(X;U) (side "x") or I(Y;V) (side "y"), and samples of it."""
    family, z_family = model.local(side), model.config.z
    if family is None:
        return (0.0, 0.0), None
    # z ~ q(z|x), u ~ q(u|x,z)
    z = z_family.sample(parameters_z, z_family.draw_noise(rng, len(features)))
    parameters = model.marginal_local(features, z, side)
    code = family.sample(parameters, family.draw_noise(rng, len(features)))
    local = np.asarray(model.pull_back(side, code, z))
    few = slice(0, contrasted)
    # A flow's determinant is what takes time.
    counted = slice(None) if model.flow(side) is None else few
    kl = np.asarray(model.local_kl(side, *(part[counted] for part in (parameters, code, z))))
    scores = _scores(model, side, family, features[few], parameters_z[few], local[few])
    lower = aggregated.contrastive_bounds(scores)[0] if len(scores) > 1 else 0.0
    return (float(kl.mean()), max(0.0, lower)), local


def _scores(
    model: WynerModel,
    side: str,
    family: Latent,
    features: np.ndarray,
    parameters_z: np.ndarray,
    local: np.ndarray,
) -> Array:
    """Log [q(u_i | x_j, mode of q(z|x_j)) + p(u_i)], `(rows, rows)`; a flow's of codes."""
    modes = np.asarray(model.config.z.mode(parameters_z))
    parameters = np.asarray(model.marginal_local(features, modes, side))
    flow = model.flow(side)
    broad = np.zeros((1, family.parameter_size), np.float32)

    def score(codes: np.ndarray, given: np.ndarray) -> Array:
        return np.logaddexp(
            aggregated.log_posteriors(family, codes, given),
            aggregated.log_posteriors(family, codes, broad),
        )

    if flow is None:
        return score(local, parameters)
    scores = np.empty((len(local), len(local)))
    for z in np.unique(modes, axis=0):
        chosen = (modes == z).all(axis=1)
        code = np.asarray(flow(local, np.tile(z, (len(local), 1))))
        scores[:, chosen] = score(code, parameters[chosen])
    return scores


def _read(values: np.ndarray, labels: np.ndarray) -> float:
    """H(label) less a classifier's held-out cross-entropy, not below 0, nats."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    values, labels = values[:_MOST_READ], labels[:_MOST_READ]
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2 or counts.min() < 2:
        return 0.0
    inputs = np.concatenate([values, np.square(values)], axis=1)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    predicted = cross_val_predict(classifier, inputs, labels, cv=2, method="predict_proba")
    return max(0.0, entropy(counts / counts.sum()) - float(log_loss(labels, predicted)))
