"""A continuous flow between a local latent and what the decoder reads."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from wyner_keras.backend import pulled_back
from wyner_keras.networks.affine import Affine
from wyner_keras.networks.fixed import fixed_weight
from wyner_keras.networks.velocity import Velocity

Tensor = Any
_JACOBIAN_ROWS = 400  # as many at once
_SEEKING = 20  # steps, at most, to the values of an image
_FOUND = 1e-3  # from an image, at most, where its values lead


@keras.saving.register_keras_serializable(package="wyner_keras")
class ContinuousFlow(keras.layers.Layer):
    """A conditional flow: a bijection of vectors for every condition, the identity at first.

    `values` u are the start of dy/dθ = v(y, θ, condition), θ from 0 to π/2; `images` are an affine
    map of its end w, set by the condition. The velocity v is learnt by regression: with
    y = cos θ · u + sin θ · w it is E[cos θ · w − sin θ · u | y], and the flow then takes standard
    normal u to the distribution of w. Where w is standard normal itself v is 0, so the affine map
    should standardise: see `losses.Matching`.

    A step asks for the velocity once, in its middle, where that of the step before leads: the
    midpoint method. Before the first it is 0, as v is at both ends: u tells nothing of w.

    The first coordinates of u and w belong together: they have a small velocity of their own, which
    knows nothing of the others, and the others' is conditioned on them as well.

    Args:
        size: width of the vectors.
        steps: evaluations of the velocity; the map back takes the same steps backwards, and is the
            inverse as far as they follow the equation.
        hidden: widths of the velocity's hidden layers.
        leading: number of the first coordinates; 0 treats all alike. At most `size` less one count.
        seed: of the initial weights.

    Example:
        >>> flow = ContinuousFlow(4)
        >>> flow.build((None, 3))
        >>> flow(np.ones((2, 4)), np.zeros((2, 3))).shape
        TensorShape([2, 4])

    Source: Lipman et al., Flow matching for generative modeling, 2023; the path is the
    trigonometric one of Albergo and Vanden-Eijnden, Building normalizing flows with stochastic
    interpolants, 2023.
    """

    def __init__(
        self,
        size: int,
        steps: int = 3,
        hidden: tuple[int, ...] = (512, 512, 512),
        leading: int = 3,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        # Under mixed precision the velocities alone compute in half.
        super().__init__(**{"autocast": False, **kwargs})
        self.size = size
        self.steps = steps
        first = min(leading, size - 1)
        self.sizes = [first, size - first] if first else [size]
        small = tuple(max(8, width // 8) for width in hidden)
        self.velocities = [
            Velocity(
                width,
                hidden if position == len(self.sizes) - 1 else small,
                seed=10 * seed + position,
                dtype=self.dtype_policy,
                name=f"velocity_{position}",
            )
            for position, width in enumerate(self.sizes)
        ]

    def build(self, input_shape: Any) -> None:
        """Create the weights for conditions `(batch, width)`."""
        condition = context = input_shape[-1]
        for velocity, width in zip(self.velocities, self.sizes, strict=True):
            velocity.build((None, context))
            context += width

        def linear(name: str, constant: np.ndarray) -> tuple[Any, Any]:
            kernel = np.zeros((condition, len(constant)))
            return (
                fixed_weight(self, f"{name}_kernel", kernel),
                fixed_weight(self, name, constant),
            )

        identity = np.eye(self.size).ravel()
        self.shift = linear("shift", np.zeros(self.size))
        self.scale = linear("scale", identity)
        self.unscale = linear("unscale", identity)
        self.built = True

    def assign_affine(self, affine: Affine) -> None:
        """Set the affine map.

        Raises:
            numpy.linalg.LinAlgError: if the map has no inverse.
        """
        inverse = affine.inverse
        for weights, values in (
            (self.shift, (affine.shifts, affine.shift)),
            (self.scale, (affine.matrices, affine.matrix)),
            (self.unscale, (inverse.matrices, inverse.matrix)),
        ):
            for weight, value in zip(weights, values, strict=True):
                weight.assign(np.reshape(value, weight.shape))

    @property
    def affine(self) -> Affine:
        """The affine map, as arrays."""
        (shifts, shift), (matrices, matrix) = (
            [np.asarray(weight, np.float64) for weight in weights]
            for weights in (self.shift, self.scale)
        )
        square = (self.size, self.size)
        return Affine(shifts, matrices.reshape(-1, *square), shift, matrix.reshape(square))

    def _matrix(self, weights: tuple[Any, Any], condition: Tensor) -> Tensor:
        matrix = ops.matmul(ops.cast(condition, "float32"), weights[0]) + weights[1]
        return ops.reshape(matrix, (-1, self.size, self.size))

    def _shift(self, condition: Tensor) -> Tensor:
        return ops.matmul(ops.cast(condition, "float32"), self.shift[0]) + self.shift[1]

    def standardised(self, images: Tensor, condition: Tensor) -> Tensor:
        """Images `(batch, size)` before the affine map: w, the end of the equation's paths."""
        rest = ops.cast(images, "float32") - self._shift(condition)
        return _product(self._matrix(self.unscale, condition), rest)

    def times(self, share: Tensor) -> Tensor:
        """Times at which steps ask for the velocity, as shares of π/2, by shares of [0, 1)."""
        return (ops.floor(share * self.steps) + 0.5) / self.steps

    def times_of(self, rows: Any) -> Tensor:
        """Times of so many rows, `(rows, 1)`, each step's equally often."""
        places = ops.cast(ops.arange(rows), "float32")[:, None]
        return self.times(places / ops.cast(rows, "float32"))

    def matching_error(
        self, values: Tensor, images: Tensor, condition: Tensor, time: Tensor
    ) -> Tensor:
        """Σ ‖M_i‖² [v − (cos θ · w − sin θ · u)]_i² on the path from u to w, M_i a matrix's column.

        The matrix is the affine map's.

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
        found = [
            velocity(points, time, context)
            for velocity, points, context in zip(
                self.velocities,
                self._split(cosine * values + sine * ends),
                self._contexts(ends, condition),
                strict=True,
            )
        ]
        error = ops.concatenate(found, axis=-1) - (cosine * ends - sine * values)
        # How far each coordinate moves images. Their cross terms would bias the leading ones, whose
        # error is not 0 on average where the others' contexts are given.
        weights = ops.sum(ops.square(self._matrix(self.scale, condition)), axis=1)
        return ops.sum(weights * ops.square(error), axis=-1)

    def _split(self, vectors: Tensor) -> list[Tensor]:
        stops = np.cumsum(self.sizes)
        return [
            vectors[:, stop - width : stop] for stop, width in zip(stops, self.sizes, strict=True)
        ]

    def _contexts(self, ends: Tensor, condition: Tensor) -> list[Tensor]:
        """What each velocity is conditioned on: the condition and the ends of those before it."""
        parts = [ops.cast(condition, "float32"), *self._split(ends)]
        return [
            ops.concatenate(parts[: position + 1], axis=-1) for position in range(len(self.sizes))
        ]

    def _follow(
        self, velocity: Velocity, points: Tensor, context: Tensor, backwards: bool
    ) -> Tensor:
        """The end of the path from these points; the start, if backwards."""
        ones = ops.ones_like(points[:, :1])
        share = (-1.0 if backwards else 1.0) / self.steps
        length, slope = 0.5 * math.pi * share, ops.zeros_like(points)
        for step in range(self.steps):
            middle = (step + 0.5) * share + (1.0 if backwards else 0.0)
            slope = velocity(points + 0.5 * length * slope, middle * ones, context)
            points = points + length * slope
        return points

    def ends(self, values: Tensor, condition: Tensor) -> Tensor:
        """w, `(batch, size)`: where values `(batch, size)` are led to, before the affine map."""
        ends: list[Tensor] = []
        for velocity, points in zip(
            self.velocities, self._split(ops.cast(values, "float32")), strict=True
        ):
            context = ops.concatenate([ops.cast(condition, "float32"), *ends], axis=-1)
            ends.append(self._follow(velocity, points, context, backwards=False))
        return ops.concatenate(ends, axis=-1)

    def call(self, values: Tensor, condition: Tensor) -> Tensor:
        """Images `(batch, size)` of values `(batch, size)` under conditions `(batch, width)`."""
        matrix = self._matrix(self.scale, condition)
        ends = self.ends(values, condition)
        return _product(matrix, ends) + self._shift(condition)

    def inverse(self, images: Tensor, condition: Tensor) -> Tensor:
        """Values `(batch, size)` of images `(batch, size)` under conditions `(batch, width)`."""
        ends = self.standardised(images, condition)
        values = [
            self._follow(velocity, points, context, backwards=True)
            for velocity, points, context in zip(
                self.velocities, self._split(ends), self._contexts(ends, condition), strict=True
            )
        ]
        return ops.concatenate(values, axis=-1)

    def log_determinant(self, images: Any, condition: Any) -> np.ndarray:
        """The log of |d values / d images| of `inverse`, `(batch,)` float64; eager, for reports."""
        found = [
            np.linalg.slogdet(part)[1] for part in self._jacobians(self.inverse, images, condition)
        ]
        return np.concatenate(found)

    def jacobian(self, values: Any, condition: Any) -> np.ndarray:
        """The Jacobian of `call`, `(batch, size, size)` float64; eager, for reports."""
        return np.concatenate([*self._jacobians(self.call, values, condition)])

    def sought(self, images: Any, condition: Any) -> np.ndarray:
        """Values whose images come near to some, `(batch, size)`; eager, for reports.

        Steps backwards do not quite undo those forwards. What `inverse` makes of the image, and of
        where values lead, differs ever less. Of several values that lead there one is found; where
        steps are too few to be undone, those that come nearest of all that were tried.
        """
        images, condition = np.asarray(images, np.float32), np.asarray(condition, np.float32)
        goal = np.asarray(self.inverse(images, condition))
        values, found, reached = goal, goal, images
        least, pace = np.full(len(images), np.inf), np.ones((len(images), 1), np.float32)
        for _ in range(_SEEKING):
            there = np.asarray(self(values, condition))
            error = np.abs(there - images).max(axis=1)
            closer = (error < least)[:, None]
            least = np.minimum(error, least)
            found, reached = np.where(closer, values, found), np.where(closer, there, reached)
            if (least < _FOUND).all():
                break
            # Where a step led away it was too long.
            pace = np.where(closer, pace, 0.5 * pace)
            values = found + pace * (goal - np.asarray(self.inverse(reached, condition)))
        return found

    def _jacobians(self, map_: Any, points: Any, condition: Any) -> Iterator[np.ndarray]:
        """Jacobians of a map at points, some rows at a time, `(rows, size, size)` float64; eager.

        To trace it takes seconds, and by tangents as long as thousands of rows.
        """
        points, condition = np.asarray(points, np.float32), np.asarray(condition, np.float32)
        units = np.eye(self.size, dtype=np.float32)
        for start in range(0, len(points), _JACOBIAN_ROWS):
            own, given = (each[start : start + _JACOBIAN_ROWS] for each in (points, condition))
            pull = pulled_back(functools.partial(map_, condition=given), ops.convert_to_tensor(own))
            # Each row of the Jacobian is a gradient.
            rows = [pull(ops.tile(unit[None], (len(own), 1))) for unit in units]
            yield np.stack([np.asarray(row, np.float64) for row in rows], axis=1)

    def compute_output_shape(self, values_shape: Any, condition_shape: Any) -> tuple[Any, ...]:
        """The shape of the values."""
        return tuple(values_shape)


def _product(matrices: Tensor, vectors: Tensor) -> Tensor:
    """M_b v_b, `(batch, size)`; an einsum would leave an Unsqueeze without axes in ONNX."""
    return ops.matmul(matrices, vectors[:, :, None])[:, :, 0]
