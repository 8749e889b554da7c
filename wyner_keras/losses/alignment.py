"""Stage 0: what x and y share, found by their maximal correlation and handed to the experts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from sklearn.cluster import KMeans

from wyner_keras import objectives
from wyner_keras.latents import Categorical
from wyner_keras.losses.loss import Draw, Loss, features
from wyner_keras.model import WynerModel
from wyner_keras.received import received

Tensor = Any
_CLUSTERED = 20_000  # pairs, at most
_TRIES = 10  # starts of k-means; the one of least variance within clusters is kept
_LEAST_GAP = 0.2  # between correlations, to be taken for the end of what is shared


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class Alignment(Loss):
    """Stage 0: the most correlated functions f(x), g(y); then pairs are clustered by them.

    Minimises −(E[f·g] − ½ tr(cov f cov g)). Maximising I(Z_x; Z_y) from random experts ends in
    local optima (two concepts merged, another split); this has none over all functions. Where X
    and Y share a discrete concept the functions are of it, and pairs lie in one tight cluster a
    concept: `end` finds the clusters by k-means and sets the experts' output layers to them.

    Args:
        functions: number of functions sought, at least the number of concepts less one.
        find_values: whether the number of values of z is found: as many as there are correlations
            before they fall; all that z has, where they do not.

    Source: Wang et al., An Efficient Approach to Informative Feature Extraction from Multimodal
    Data, 2019; Huang et al., universal features, is the W-model paper's reference [4].
    """

    functions: int = 16
    find_values: bool = False

    def heads(self, model: WynerModel) -> list[keras.layers.Layer]:
        """The output layers of f and g.

        Raises:
            ValueError: if z is not categorical.
        """
        if not isinstance(model.z, Categorical):
            raise ValueError(f"Alignment needs a Categorical z. Received: z={received(model.z)}")
        layers = []
        for position, side in enumerate(model.sides):
            seed = 1000 * model.seed + 500 + position
            layer = keras.layers.Dense(
                self.functions,
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
                name=f"head_{side.name}",
            )
            layer.build((None, side.settings.hidden[-1]))
            layers.append(layer)
        return layers

    def trained(self, model: WynerModel) -> list[keras.layers.Layer]:
        """The experts' hidden layers."""
        return [layer for side in model.sides for layer in side.expert_network.hidden_layers]

    def weights(self, model: WynerModel) -> dict[str, Any]:
        """−1: it is maximised."""
        return {"maximal_correlation": -1.0}

    def __call__(
        self, model: WynerModel, batch: Mapping[str, Tensor], draw: Draw, training: bool
    ) -> dict[str, Tensor]:
        """E[f·g] − ½ tr(cov f cov g) on the batch, a scalar without unit."""
        f, g = self.correlated(model, features(model, batch), draw.heads, training)
        return {"maximal_correlation": objectives.maximal_correlation(f, g)}

    def correlated(
        self, model: WynerModel, h: Mapping[str, Tensor], heads: list[Any], training: bool = False
    ) -> list[Tensor]:
        """f(x) and g(y), each `(batch, functions)`, of features."""
        return [
            ops.cast(head(side.expert_network.trunk(h[side.name], training=training)), "float32")
            for side, head in zip(model.sides, heads, strict=True)
        ]

    def end(self, stage: Any, pairs: Any) -> None:
        """Set the experts to the clusters of pairs in (f, g), one k-means a variable of z.

        A second variable of z clusters what the first one's centres leave over. The logits of each
        expert are those of equally likely Gaussian clusters with the clusters' common variance.
        """
        model = stage.model
        pairs = pairs.take(min(len(pairs), _CLUSTERED), seed=model.seed)
        h = {
            side.name: model.features(side, store)[pairs.index[:, column]]
            for column, (side, store) in enumerate(zip(model.sides, pairs.stores, strict=True))
        }
        step = tf.function(
            lambda part: self.correlated(model, part, stage.heads), reduce_retracing=True
        )
        parts = [
            step({name: tf.constant(rows[start : start + 1000]) for name, rows in h.items()})
            for start in range(0, len(pairs), 1000)
        ]
        sides = [np.concatenate(side) for side in zip(*parts, strict=True)]
        if self.find_values:
            values = min(model.z.k, number_of_values(*sides))
            model = stage.model = model.with_z(Categorical(n=1, k=values))
        logits = _cluster(model, stage.heads, sides)
        stage.shared_nats = float(
            model.z.shared_information(*(ops.convert_to_tensor(each) for each in logits))
        )
        modes = model.z.product(*map(ops.convert_to_tensor, logits)).mode.numpy()
        for side in model.sides:
            if side.concept is not None:
                # The affine map of z that fits the features by least squares.
                mean = h[side.name].mean(axis=0)
                kernel = np.linalg.lstsq(modes, h[side.name] - mean, rcond=None)[0]
                side.concept.kernel.assign(kernel)
                side.concept.bias.assign(mean)


def number_of_values(f: np.ndarray, g: np.ndarray) -> int:
    """How many values a shared label has: one more than there are correlations before they fall.

    A label with k values has k − 1 correlations of 1, and the next belongs to what the label leaves
    over. The end is where the canonical correlations of f and g fall most.

    Args:
        f: functions of x, `(pairs, functions)`.
        g: functions of y, `(pairs, functions)`.

    Returns:
        At least 2; one more than the functions where nothing falls by 0.2 or more: what is shared
        is then no label of few values.

    Example:
        >>> label = np.random.default_rng(0).integers(3, size=500)
        >>> noise = np.random.default_rng(1).normal(size=(2, 500, 6))
        >>> f, g = np.eye(3)[label] @ np.ones((3, 6)) * 0 + noise + 9 * np.eye(3, 6)[label]
        >>> number_of_values(f, g)
        3
    """

    def white(values: np.ndarray) -> np.ndarray:
        centred = values - values.mean(axis=0)
        basis, sizes, _ = np.linalg.svd(centred, full_matrices=False)
        return basis[:, sizes > 1e-4 * sizes[0]]

    correlations = np.linalg.svd(white(f).T @ white(g), compute_uv=False)
    falls = correlations - np.append(correlations[1:], 0.0)
    place = int(np.argmax(falls))
    if falls[place] < _LEAST_GAP or place == len(falls) - 1:
        return len(correlations) + 1
    return max(2, place + 2)


def _cluster(model: WynerModel, heads: list[Any], sides: list[np.ndarray]) -> list[np.ndarray]:
    """Set the experts' output layers to clusters of f and g; the experts' logits on these pairs."""
    z: Any = model.z
    means = [side.mean(axis=0) for side in sides]
    rest = [side - mean for side, mean in zip(sides, means, strict=True)]
    centres: list[list[np.ndarray]] = [[] for _ in sides]
    biases: list[list[np.ndarray]] = [[] for _ in sides]
    for _ in range(z.n):
        points = np.concatenate(rest, axis=1)
        # Fewer different pairs than values of z: some values share a centre.
        count = min(z.k, len(np.unique(points, axis=0)))
        clusters = KMeans(count, n_init=_TRIES, random_state=model.seed)
        labels = clusters.fit_predict(points)
        chosen = np.resize(clusters.cluster_centers_, (z.k, points.shape[1]))
        for side, centre in enumerate(np.split(chosen, len(sides), axis=1)):
            error = rest[side] - centre[labels]
            scale = max(float(error.var(axis=0).mean()), 1e-6)
            centres[side].append(centre / scale)
            offset = -0.5 * np.square(centre).sum(axis=1) / scale
            biases[side].append(offset - centre @ means[side] / scale)
            rest[side] = error
    logits = []
    for position, (side, head) in enumerate(zip(model.sides, heads, strict=True)):
        kernel, bias = np.concatenate(centres[position]).T, np.concatenate(biases[position])
        output = side.expert_network.output_layer
        output.kernel.assign(head.kernel.numpy() @ kernel)
        output.bias.assign(bias + head.bias.numpy() @ kernel)
        logits.append(sides[position] @ kernel + bias)
    return logits
