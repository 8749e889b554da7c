"""A continuous flow between a local latent and what the decoder reads."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

Tensor = Any
_FREQUENCIES = 4
_JACOBIAN_ROWS = 100  # as many rows at once, each with as many tangents as it has coordinates


@keras.saving.register_keras_serializable(package="wyner_keras")
class ContinuousFlow(keras.layers.Layer):
    """A conditional flow: a bijection of vectors for every condition, the identity at first.

    `values` u are the start of dy/dθ = v(y, θ, condition), θ from 0 to π/2, which Runge-Kutta steps
    follow; `images` are an affine map of its end, set by the condition. The velocity v is learnt by
    regression: with y = cos θ · u + sin θ · w it is E[cos θ · w − sin θ · u | y], and the flow then
    takes standard normal u to the distribution of w. Where w is standard normal itself v is 0, so
    the affine map should standardise: see `FlowStage`.

    Args:
        size: width of the vectors.
        steps: Runge-Kutta steps of fourth order; the map back takes the same ones backwards, and is
            the inverse as far as they follow the equation.
        hidden: widths of the velocity's hidden layers.
        seed: of the initial weights.

    Example:
        >>> flow = ContinuousFlow(4)
        >>> flow.build((None, 3))
        >>> flow(np.ones((2, 4)), np.zeros((2, 3))).shape
        TensorShape([2, 4])

    Source: Lipman et al., Flow matching for generative modeling, 2023; the path is the
    trigonometric one of Albergo and Vanden-Eijnden, Building normalizing flows with stochastic
    interpolants, 2023; layers modulated by the condition as in Perez et al., FiLM, 2018.
    """

    def __init__(
        self,
        size: int,
        steps: int = 3,
        hidden: tuple[int, ...] = (512, 512, 512),
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.steps = steps
        self.hidden = tuple(hidden)
        self.seed = seed

        def dense(position: int, width: int, **settings: Any) -> keras.layers.Dense:
            initializer = keras.initializers.GlorotUniform(seed=100 * seed + position)
            return keras.layers.Dense(
                width, **{"kernel_initializer": initializer, "dtype": self.dtype_policy, **settings}
            )

        count = len(self.hidden)
        self.hidden_layers = [
            dense(i, width, name=f"hidden_{i}") for i, width in enumerate(self.hidden)
        ]
        self.modulations = [
            dense(count + i, 2 * width, use_bias=False, name=f"modulation_{i}")
            for i, width in enumerate(self.hidden)
        ]
        # No velocity before training.
        self.output_layer = dense(0, size, kernel_initializer="zeros", name="output")

    def build(self, input_shape: Any) -> None:
        """Create the weights for conditions `(batch, width)`."""
        condition = input_shape[-1]
        context = condition + 2 * _FREQUENCIES + 1
        width = self.size + context
        for layer, modulation in zip(self.hidden_layers, self.modulations, strict=True):
            layer.build((None, width))
            modulation.build((None, context))
            width = layer.units
        self.output_layer.build((None, width))
        identity = keras.initializers.Constant(np.eye(self.size).ravel())

        def fixed(name: str, shape: tuple[int, ...], initializer: Any = "zeros") -> Any:
            return self.add_weight(name=name, shape=shape, initializer=initializer, trainable=False)

        square = self.size**2
        self.shift = (fixed("shift_kernel", (condition, self.size)), fixed("shift", (self.size,)))
        self.scale = (
            fixed("scale_kernel", (condition, square)),
            fixed("scale", (square,), identity),
        )
        self.unscale = (
            fixed("unscale_kernel", (condition, square)),
            fixed("unscale", (square,), identity),
        )
        self.built = True

    def assign_affine(
        self, shifts: np.ndarray, matrices: np.ndarray, shift: np.ndarray, matrix: np.ndarray
    ) -> None:
        """Set the affine map: images = M(c) w + m(c), M(c) = matrix + Σ c_k matrices_k, m(c) alike.

        Args:
            shifts: `(width, size)`.
            matrices: `(width, size, size)`. Conditions are then to be one-hot, or matrices 0.
            shift: `(size,)`.
            matrix: `(size, size)`.

        Raises:
            numpy.linalg.LinAlgError: if the map has no inverse.
        """
        # The inverse of matrix + matrices_k, told apart in the same way.
        if np.any(matrices):
            inverse = np.zeros_like(matrix)
            inverses = np.linalg.inv(matrix + matrices)
        else:
            inverse, inverses = np.linalg.inv(matrix), np.zeros_like(matrices)
        for weights, values in (
            (self.shift, (shifts, shift)),
            (self.scale, (matrices, matrix)),
            (self.unscale, (inverses, inverse)),
        ):
            for weight, value in zip(weights, values, strict=True):
                weight.assign(np.reshape(value, weight.shape))

    def _matrix(self, weights: tuple[Any, Any], condition: Tensor) -> Tensor:
        matrix = ops.matmul(ops.cast(condition, "float32"), weights[0]) + weights[1]
        return ops.reshape(matrix, (-1, self.size, self.size))

    def _shift(self, condition: Tensor) -> Tensor:
        return ops.matmul(ops.cast(condition, "float32"), self.shift[0]) + self.shift[1]

    def standardised(self, images: Tensor, condition: Tensor) -> Tensor:
        """Images `(batch, size)` before the affine map: w, the end of the equation's paths."""
        rest = ops.cast(images, "float32") - self._shift(condition)
        return ops.einsum("bij,bj->bi", self._matrix(self.unscale, condition), rest)

    def velocity(self, points: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """v(y, θ, condition), `(batch, size)`.

        Args:
            points: y, `(batch, size)`.
            time: θ as a share of π/2, `(batch, 1)`.
            condition: `(batch, width)`.
        """
        phases = math.pi * time * np.arange(1, _FREQUENCIES + 1, dtype=np.float32)
        context = ops.concatenate(
            [ops.cast(condition, "float32"), time, ops.cos(phases), ops.sin(phases)], axis=-1
        )
        hidden = ops.concatenate([points, context], axis=-1)
        for layer, modulation in zip(self.hidden_layers, self.modulations, strict=True):
            gain, offset = ops.split(modulation(context), 2, axis=-1)
            hidden = ops.silu(layer(hidden) * (1.0 + gain) + offset)
        return ops.cast(self.output_layer(hidden), "float32")

    def matching_error(
        self, values: Tensor, images: Tensor, condition: Tensor, time: Tensor
    ) -> Tensor:
        """‖M [v − (cos θ · w − sin θ · u)]‖² on the path from u to w; M is the affine map's matrix.

        Args:
            values: u, standard normal, `(batch, size)`.
            images: of the distribution to be reached, `(batch, size)`.
            condition: `(batch, width)`.
            time: θ as a share of π/2, uniform, `(batch, 1)`.

        Returns:
            Squared units of the images, `(batch,)`.
        """
        ends = self.standardised(images, condition)
        cosine, sine = ops.cos(0.5 * math.pi * time), ops.sin(0.5 * math.pi * time)
        found = self.velocity(cosine * values + sine * ends, time, condition)
        error = found - (cosine * ends - sine * values)
        error = ops.einsum("bij,bj->bi", self._matrix(self.scale, condition), error)
        return ops.sum(ops.square(error), axis=-1)

    def _follow(self, points: Tensor, condition: Tensor, backwards: bool) -> Tensor:
        """The end of the path from these points; the start, if backwards."""
        ones = ops.ones_like(points[:, :1])
        share = (-1.0 if backwards else 1.0) / self.steps
        length = 0.5 * math.pi * share
        for step in range(self.steps):
            begin = step * share + (1.0 if backwards else 0.0)
            middle, end = begin + 0.5 * share, begin + share
            first = self.velocity(points, begin * ones, condition)
            second = self.velocity(points + 0.5 * length * first, middle * ones, condition)
            third = self.velocity(points + 0.5 * length * second, middle * ones, condition)
            fourth = self.velocity(points + length * third, end * ones, condition)
            points = points + length / 6.0 * (first + 2.0 * second + 2.0 * third + fourth)
        return points

    def call(self, values: Tensor, condition: Tensor) -> Tensor:
        """Images `(batch, size)` of values `(batch, size)` under conditions `(batch, width)`."""
        ends = self._follow(ops.cast(values, "float32"), condition, backwards=False)
        matrix = self._matrix(self.scale, condition)
        return ops.einsum("bij,bj->bi", matrix, ends) + self._shift(condition)

    def inverse(self, images: Tensor, condition: Tensor) -> Tensor:
        """Values `(batch, size)` of images `(batch, size)` under conditions `(batch, width)`."""
        return self._follow(self.standardised(images, condition), condition, backwards=True)

    def log_determinant(self, images: Any, condition: Any) -> np.ndarray:
        """The log of |d values / d images| of `inverse`, exact, `(batch,)` float64; eager, for reports."""
        images, condition = np.asarray(images, np.float32), np.asarray(condition, np.float32)
        found = [
            np.linalg.slogdet(np.asarray(self._jacobian(*part), np.float64))[1]
            for part in zip(
                *(
                    np.array_split(whole, -(-len(whole) // _JACOBIAN_ROWS))
                    for whole in (images, condition)
                ),
                strict=True,
            )
        ]
        return np.concatenate(found)

    @tf.function(reduce_retracing=True)
    def _jacobian(self, images: Tensor, condition: Tensor) -> Tensor:
        """The Jacobian of `inverse`, `(batch, size, size)`: every column by a tangent of its own."""
        rows = tf.shape(images)[0]
        tangents = tf.tile(tf.eye(self.size), (rows, 1))
        images, condition = (tf.repeat(part, self.size, axis=0) for part in (images, condition))
        with tf.autodiff.ForwardAccumulator(images, tangents) as accumulator:
            values = self.inverse(images, condition)
        columns = tf.reshape(accumulator.jvp(values), (rows, self.size, self.size))
        return tf.transpose(columns, (0, 2, 1))

    def compute_output_shape(self, values_shape: Any, condition_shape: Any) -> tuple[Any, ...]:
        """The shape of the values."""
        return tuple(values_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "size": self.size,
            "steps": self.steps,
            "hidden": list(self.hidden),
            "seed": self.seed,
        }
