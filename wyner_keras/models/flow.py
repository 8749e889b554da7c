"""Stage 1, its second half: the flow that makes the local latents independent of z."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from wyner_keras.data import LabelledImages, Pairs
from wyner_keras.latents import Categorical
from wyner_keras.models.stage import Stage
from wyner_keras.models.tasks import OTHER
from wyner_keras.models.wyner import WynerModel
from wyner_keras.networks.affine import Affine

Tensor = Any
_FITTED_ON = 20_000  # codes that the affine maps are fitted to, at most
_CALIBRATED_ON = 50_000  # samples that they are calibrated by
_MOVED_BY = 500  # codes that the decoder's sensitivity is averaged over, at most
_LEAST_VARIANCE = 1e-4


@keras.saving.register_keras_serializable(package="wyner_keras")
class FlowStage(Stage):
    """Fit flows between U, V and their decoders; everything else stays as it is.

    A flow takes u ~ N(0, I) to the local codes of one concept, whatever the concept: what
    independence of U and Z asks for, and what makes samples of p(u) decode like data. It is learnt
    by flow matching, a regression that takes no determinant and no integration:
    E Σ_i ‖M_i‖² [v(y, θ, z) − (cos θ · w − sin θ · u)]_i² on y = cos θ · u + sin θ · w, where M w
    is a sample of q(u|x,z) less its concept's mean, and z one of q(z|x,y). Least is not 0 but the
    variance that paths through one point have; the flow that attains it has
    D(q̄(u|z) ‖ p(u)) = 0 for every z.

    `fit` begins by standardising the codes of each concept with a triangular map in coordinates
    that are ordered by how much the decoder's output moves with them: the Knothe-Rosenblatt map of
    the codes' Gaussian. What a style shows most, its slant first, thus keeps its rank when it is
    taken to another concept. It ends by calibrating that map, so that samples have the codes'
    moments whatever the velocity lacks.

    Args:
        model: the W-model whose joint stage is done, with `flow_steps` in its config.

    Raises:
        ValueError: if the model has no flows.

    Example:
        >>> stage = FlowStage(model)
        >>> stage.compile(optimizer="adam")
        >>> history = stage.fit(pairs, batch_size=512, epochs=3)

    Source: Lipman et al., Flow matching for generative modeling, 2023, for codes as in Dai and
    Wipf, Diagnosing and enhancing VAE models, 2019; Knothe, Contributions to the theory of convex
    bodies, 1957; Carlier et al., From Knothe's transport to Brenier's map, 2010.
    """

    term_names = ("matching_u", "matching_v")

    def __init__(self, model: WynerModel, **kwargs: Any) -> None:
        super().__init__(model, **kwargs)
        if not model.config.flow_steps:
            raise ValueError(
                "FlowStage needs a model with flows, `flow_steps` of at least 1. "
                f"Received: flow_steps={model.config.flow_steps}"
            )

    @property
    def parts(self) -> Iterable[keras.layers.Layer]:
        """The two flows."""
        return [self.model.flow_u, self.model.flow_v]

    def weights_of_terms(self) -> dict[str, Any]:
        """1 for each."""
        return dict.fromkeys(self.term_names, 1.0)

    def codes(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """What the stage reads of images or features of a batch of pairs.

        Returns:
            For either side, the parameters of q(u|x,z) or q(v|y,z), then z, in one row a pair.
        """
        model, count = self.model, self.batch_count(x)
        features = {"x": model.features(x, "x"), "y": model.features(y, "y")}
        # q(z|x,y)
        family = model.config.z
        parameters = model.joint_z(features["x"], features["y"])[0]
        z = family.sample(parameters, family.random_noise(count, self.noise_stream))
        return tuple(
            # q(u|x,z), or as the config says
            ops.concatenate([model.joint_local(side, features[side], features[other], z), z], -1)
            for side, other in OTHER.items()
        )

    def terms(self, x: Tensor, y: Tensor, training: bool) -> dict[str, Tensor]:
        """Loss terms of a batch of pairs: images, or rows of `codes`.

        Returns:
            Squared units of the codes, `(batch,)`.
        """
        if len(x.shape) > 2:
            x, y = self.codes(x, y)
        model, count, terms = self.model, self.batch_count(x), {}
        for side, name, rows in (("x", "u", x), ("y", "v", y)):
            family: Any = model.local(side)
            parameters, z = ops.split(rows, [family.parameter_size], axis=-1)
            code = family.sample(parameters, family.random_noise(count, self.noise_stream))
            start = family.random_noise(count, self.noise_stream)
            # One time in each of as many equal parts: less noise than independent times.
            time = keras.random.uniform((count, 1), seed=self.noise_stream)
            places = ops.cast(ops.arange(count), "float32")[:, None]
            time = (places + time) / ops.cast(count, "float32")
            terms[f"matching_{name}"] = model.flow(side).matching_error(start, code, z, time)
        return terms

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Standardise the codes of x, if it is `Pairs`, train, and calibrate; as `Stage.fit`.

        For other data call `standardise` before, and `calibrate` after.
        """
        if isinstance(x, Pairs):
            self.standardise(x)
        history = super().fit(x, *args, **kwargs)
        if isinstance(x, Pairs):
            self.calibrate(x)
        return history

    def standardise(self, pairs: Pairs) -> None:
        """Set the flows' affine maps to what standardises the codes of each concept."""
        for side, given in zip("xy", self._sample(pairs), strict=True):
            family: Any = self.model.local(side)
            parameters, z = np.split(given, [family.parameter_size], axis=1)
            means, deviations = (np.asarray(part) for part in family.moments(parameters))
            axes = self._axes(side, means[:_MOVED_BY], z[:_MOVED_BY])
            self.model.flow(side).assign_affine(
                _to_standard(means, z, self.model.config.z, np.exp(0.5 * deviations), axes)
            )

    def calibrate(self, pairs: Pairs) -> None:
        """Give samples the mean and covariance that codes have, concept by concept.

        A velocity learnt by regression falls short of the codes' variance, by the more the less it
        explains. The affine maps, which had the codes' own moments, make up for it.
        """
        generator, common = np.random.default_rng(self.model.config.seed), self.model.config.z
        for side, given in zip("xy", self._sample(pairs), strict=True):
            family: Any = self.model.local(side)
            flow = self.model.flow(side)
            z = np.resize(given[:, family.parameter_size :], (_CALIBRATED_ON, common.size))
            step = tf.function(flow.ends, reduce_retracing=True)
            ends = [
                step(family.draw_noise(generator, len(part)), part)
                for part in np.array_split(z, len(z) // 1000)
            ]
            reached = _to_standard(np.concatenate(ends), z, common)
            flow.assign_affine(flow.affine.after_inverse_of(reached))

    def _sample(self, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
        """`codes` of as many pairs as the affine maps are fitted to."""
        return self._rows(pairs.take(min(len(pairs), _FITTED_ON), seed=self.model.config.seed))

    def _axes(self, side: str, codes: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Orthonormal axes of the codes, as columns: those first that move the decoder most."""

        @tf.function
        def movement(axis: Tensor) -> Tensor:
            tangents = tf.tile(axis[None], (len(codes), 1))
            codes_ = tf.constant(codes)
            with tf.autodiff.ForwardAccumulator(codes_, tangents) as accumulator:
                features, _ = self.model.decode_code(codes_, tf.constant(z), side)
                images = self.model.images(features, side)
            return tf.reshape(accumulator.jvp(images), (len(codes), -1))

        moved = np.stack([movement(axis).numpy() for axis in np.eye(codes.shape[1], dtype="f")])
        _, axes = np.linalg.eigh(np.einsum("inf,jnf->ij", moved, moved))
        return axes[:, ::-1]

    def _rows(self, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
        """`codes` of all pairs, as arrays."""
        step = tf.function(self.codes, reduce_retracing=True)
        batches = [step(*batch) for batch in super()._prepared(pairs, 1000, shuffle=False)]
        x, y = (np.concatenate(side) for side in zip(*batches, strict=True))
        return x, y

    def _check_dataset(self, data: tf.data.Dataset) -> None:
        # Rows of `codes` have a width of their own.
        spec = data.element_spec
        if not isinstance(spec, tuple) or [len(part.shape) for part in spec[:2]] != [2, 2]:
            super()._check_dataset(data)

    def _prepared(self, data: Any, batch_size: int, shuffle: bool) -> Any:
        """A dataset of the codes of `Pairs`, z drawn once for each pair; other data unchanged."""
        if not isinstance(data, Pairs):
            return data
        x_rows, y_rows = self._rows(data)
        count = len(data)
        blank = LabelledImages.unlabelled(np.zeros((count, 1, 1, 1), np.float32))
        return Pairs.diagonal(blank).dataset(
            batch_size,
            shuffle=shuffle,
            seed=self.model.config.seed,
            drop_remainder=shuffle and count >= batch_size,
            x_values=x_rows,
            y_values=y_rows,
        )


def _to_standard(
    codes: np.ndarray,
    z: np.ndarray,
    family: Any,
    deviations: np.ndarray | None = None,
    axes: np.ndarray | None = None,
) -> Affine:
    """The affine map from what has mean 0 and covariance 1, for every z, to the codes.

    Args:
        codes: `(n, size)`.
        z: `(n, width)`.
        family: of z. Where it is one categorical variable each of its values has a map of its own;
            otherwise the mean alone varies with z, linearly.
        deviations: of Gaussian noise on the codes, `(n, size)`; None for none.
        axes: orthonormal columns, in whose coordinates the matrices are triangular; None for the
            codes' own.
    """
    size, width = codes.shape[1], z.shape[1]
    axes = np.eye(size) if axes is None else axes
    deviations = np.zeros_like(codes) if deviations is None else deviations
    means = codes @ axes

    def root(chosen: np.ndarray, rest: np.ndarray) -> np.ndarray:
        noise = axes.T @ np.diag(np.square(deviations[chosen]).mean(axis=0)) @ axes
        covariance = rest[chosen].T @ rest[chosen] / max(1, chosen.sum()) + noise
        return axes @ np.linalg.cholesky(covariance + _LEAST_VARIANCE * np.eye(size))

    every = np.ones(len(z), bool)
    if isinstance(family, Categorical) and family.n == 1:
        shifts, matrices = np.zeros((width, size)), np.zeros((width, size, size))
        for value in range(width):
            chosen = z[:, value] > 0.5
            # A value that few pairs have takes what all have.
            chosen = chosen if chosen.sum() > size else every
            shifts[value] = means[chosen].mean(axis=0)
            matrices[value] = root(chosen, means - shifts[value])
        return Affine(shifts @ axes.T, matrices, np.zeros(size), np.zeros((size, size)))
    common = means.mean(axis=0)
    shifts = np.linalg.lstsq(z - z.mean(axis=0), means - common, rcond=None)[0]
    common = common - z.mean(axis=0) @ shifts
    matrix = root(every, means - common - z @ shifts)
    return Affine(shifts @ axes.T, np.zeros((width, size, size)), axes @ common, matrix)
