"""Stage 0: what x and y share, found by their maximal correlation and handed to the experts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from sklearn.cluster import KMeans

from wyner_keras import objectives
from wyner_keras.data import Pairs
from wyner_keras.latents import Categorical
from wyner_keras.models.stage import Stage
from wyner_keras.models.wyner import WynerModel
from wyner_keras.received import received

Tensor = Any


@keras.saving.register_keras_serializable(package="wyner_keras")
class AlignmentStage(Stage):
    """Find the most correlated functions f(x), g(y), then cluster pairs by them.

    Maximising I(Z_x; Z_y) from random experts ends in local optima (two concepts merged, another
    split). The maximal correlation functions have none: when X and Y share a discrete concept they
    are functions of it, and pairs lie in one tight cluster a concept. `assign` finds the clusters
    by k-means and sets the experts' output layers to them; `JointStage` goes on from there.

    Args:
        model: a W-model with joint_encoder="product" and a categorical z.
        functions: number of functions sought; at least the number of concepts less one.

    Raises:
        ValueError: if the model has no experts, z is not categorical or `functions` not positive.

    Example:
        >>> stage = AlignmentStage(model)
        >>> stage.compile(optimizer="adam")
        >>> history = stage.fit(pairs, batch_size=500, epochs=3)
        >>> shared = stage.assign(pairs)

    Source: Wang et al., An Efficient Approach to Informative Feature Extraction from Multimodal
    Data, 2019; Huang et al., universal features, is the W-model paper's reference [4].
    """

    term_names = ("maximal_correlation",)

    def __init__(self, model: WynerModel, functions: int | None = None, **kwargs: Any) -> None:
        super().__init__(model, **kwargs)
        z = model.config.z
        if model.config.joint_encoder != "product" or not isinstance(z, Categorical):
            raise ValueError(
                "Alignment needs joint_encoder='product' and a Categorical z. "
                f"Received: joint_encoder={model.config.joint_encoder!r}, z={received(z)}"
            )
        functions = z.k + 6 if functions is None else functions
        if isinstance(functions, bool) or not isinstance(functions, int) or functions < 1:
            raise ValueError(
                "`functions` should be a positive integer. "
                f"Received: functions={received(functions)}"
            )
        self.functions = functions
        seed = 1000 * model.config.seed + 500
        self.head_x, self.head_y = (
            keras.layers.Dense(
                functions,
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed + side),
                name=f"head_{name}",
            )
            for side, name in enumerate("xy")
        )

    def build(self, input_shape: Any = None) -> None:
        """Create the model's parts and the output layers of f and g."""
        super().build(input_shape)
        for head in (self.head_x, self.head_y):
            if not head.built:
                head.build((None, self.model.config.hidden[-1]))

    @property
    def parts(self) -> Iterable[keras.layers.Layer]:
        """The experts' hidden layers and the output layers of f and g."""
        experts = (self.model.joint_expert_x, self.model.joint_expert_y)
        hidden = [layer for expert in experts for layer in expert.hidden_layers]
        return [*hidden, self.head_x, self.head_y]

    def weights_of_terms(self) -> dict[str, Any]:
        """−1: it is maximised."""
        return {"maximal_correlation": -1.0}

    def terms(self, x: Tensor, y: Tensor, training: bool) -> dict[str, Tensor]:
        """E[f·g] − ½ tr(cov f cov g) on the batch, a scalar without unit."""
        f, g = self.correlated(x, y, training)
        return {"maximal_correlation": objectives.maximal_correlation(f, g)}

    def correlated(self, x: Tensor, y: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """f(x) and g(y), each `(batch, functions)`, of images or features."""
        model = self.model
        f = model.joint_expert_x.trunk(model.features(x, "x"), training=training)
        g = model.joint_expert_y.trunk(model.features(y, "y"), training=training)
        return ops.cast(self.head_x(f), "float32"), ops.cast(self.head_y(g), "float32")

    def assign(self, pairs: Pairs, *, most: int = 20_000, tries: int = 10) -> float:
        """Set the experts to the clusters of pairs in (f, g), one k-means a variable of z.

        A second variable of z clusters what the first one's centres leave over. The logits of each
        expert are those of equally likely Gaussian clusters with the clusters' common variance.

        Args:
            pairs: the training pairs.
            most: how many of them are clustered.
            tries: starts of k-means; the one of least variance within clusters is kept.

        Returns:
            I(Z_x; Z_y) of the experts on these pairs, nats.
        """
        z: Any = self.model.config.z
        pairs = pairs.take(min(len(pairs), most), seed=self.model.config.seed)
        dataset = self._prepared(pairs, 1000, shuffle=False)
        step = tf.function(self.correlated, reduce_retracing=True)
        sides = [
            np.concatenate(side) for side in zip(*[step(*batch) for batch in dataset], strict=True)
        ]
        means = [side.mean(axis=0) for side in sides]
        rest = [side - mean for side, mean in zip(sides, means, strict=True)]
        centres: list[list[np.ndarray]] = [[], []]
        logits: list[list[np.ndarray]] = [[], []]
        scales = []
        for _ in range(z.n):
            points = np.concatenate(rest, axis=1)
            # Fewer different pairs than values of z: some values share a centre.
            count = min(z.k, len(np.unique(points, axis=0)))
            clusters = KMeans(count, n_init=tries, random_state=self.model.config.seed)
            labels = clusters.fit_predict(points)
            found = np.split(np.resize(clusters.cluster_centers_, (z.k, points.shape[1])), 2, 1)
            for side in (0, 1):
                error = rest[side] - found[side][labels]
                scales.append(max(float(error.var(axis=0).mean()), 1e-6))
                centres[side].append(found[side] / scales[-1])
                offset = -0.5 * np.square(found[side]).sum(axis=1) / scales[-1]
                logits[side].append(offset - found[side] @ means[side] / scales[-1])
                rest[side] = error
        experts = []
        for side, (expert, head) in enumerate(
            (
                (self.model.joint_expert_x, self.head_x),
                (self.model.joint_expert_y, self.head_y),
            )
        ):
            kernel = np.concatenate(centres[side]).T
            bias = np.concatenate(logits[side]) + head.bias.numpy() @ kernel
            expert.output_layer.kernel.assign(head.kernel.numpy() @ kernel)
            expert.output_layer.bias.assign(bias)
            experts.append(sides[side] @ kernel + np.concatenate(logits[side]))
        if self.model.config.residual:
            self._set_concepts(dataset, *(ops.convert_to_tensor(expert) for expert in experts))
        return float(z.shared_information(*experts))

    def _set_concepts(self, dataset: tf.data.Dataset, expert_x: Tensor, expert_y: Tensor) -> None:
        """Set a residual model's affine maps of z to the least-squares fit of the features."""
        z = self.model.config.z
        modes = z.mode(z.posterior(expert_x, expert_y)).numpy()
        batches = list(dataset)
        for position, side in enumerate("xy"):
            concept: Any = self.model.concept(side)
            features = np.concatenate(
                [self.model.features(batch[position], side).numpy() for batch in batches]
            )
            mean = features.mean(axis=0)
            kernel = np.linalg.lstsq(modes, features - mean, rcond=None)[0]
            concept.kernel.assign(kernel)
            concept.bias.assign(mean)

    def get_config(self) -> dict[str, Any]:
        """The model and the number of functions."""
        return {**super().get_config(), "functions": self.functions}
