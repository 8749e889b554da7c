"""The pointwise mutual information of a Gaussian z whose experts have one precision each."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="wyner_keras")
class NaturalHead(keras.layers.Layer):
    """An expert's natural parameters e, each standardised over the batch before scale and shift.

    Without it all examples begin at much the same e, far from 0: training first drives e to 0,
    where no pair is told from a stranger, and may stay there.

    Args:
        size: dimensions of z.
        seed: of the initial weights.

    Source: Ioffe and Szegedy, Batch normalization, 2015.
    """

    def __init__(self, size: int, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.size = size
        self.dense = keras.layers.Dense(
            size, use_bias=False, kernel_initializer=keras.initializers.GlorotUniform(seed=seed)
        )
        # Of the last ten batches or so: few pairs have few batches.
        self.norm = keras.layers.BatchNormalization(momentum=0.9, dtype="float32")

    def build(self, input_shape: Any) -> None:
        """Create the weights for activations `(batch, width)`."""
        self.dense.build(input_shape)
        self.norm.build((None, self.size))
        self.built = True

    def call(self, hidden: Tensor, training: bool = False) -> Tensor:
        """Natural parameters `(batch, size)`, in training standardised by the batch itself."""
        return self.norm(ops.cast(self.dense(hidden), "float32"), training=training)

    def start(self, kernel: np.ndarray, deviations: np.ndarray) -> None:
        """Start the first dimensions of e as maps of the last activations alone.

        Args:
            kernel: of the last activations, `(values, count)`.
            deviations: of those dimensions, `(count,)`.
        """
        whole, gamma, count = self.dense.kernel.numpy(), self.norm.gamma.numpy(), len(deviations)
        whole[:, :count], gamma[:count] = 0.0, deviations
        whole[-len(kernel) :, :count] = kernel
        self.dense.kernel.assign(whole)
        self.norm.gamma.assign(gamma)

    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """Kernel `(width, size)` and bias that make e of activations outside training."""
        norm = self.norm
        scale = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
        bias = norm.beta.numpy() - norm.moving_mean.numpy() * scale
        return self.dense.kernel.numpy() * scale, bias


@keras.saving.register_keras_serializable(package="wyner_keras")
class GaussianCritic(keras.layers.Layer):
    """log ∫ q(z|x) q(z|y) / p(z) dz for p(z) = N(0, I) and experts of constant precisions s, t.

    q(z|x) has precision a = 1 + s and natural parameter e_x, q(z|y) b = 1 + t and e_y, and q(z|x,y)
    c = a + b − 1 and e_x + e_y. All scores of a batch are then one product of matrices.

    Args:
        size: dimensions of z.

    Example:
        >>> critic = GaussianCritic(2)
        >>> critic.build(None)
        >>> critic.pmi(np.zeros((3, 2), "f"), np.zeros((4, 2), "f")).shape
        TensorShape([3, 4])

    `DiagonalGaussian.log_pmi` is the general case.
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.size = size

    def build(self, _: Any) -> None:
        """Create the logs of the precisions s and t."""
        self.logs = [
            self.add_weight(name=f"log_precision_{side}", shape=(self.size,), initializer="zeros")
            for side in ("x", "y")
        ]
        self.built = True

    @property
    def precisions(self) -> list[np.ndarray]:
        """S and t, each `(size,)`."""
        return [np.exp(log.numpy()) for log in self.logs]

    def pmi(self, e_x: Tensor, e_y: Tensor) -> Tensor:
        """Nats of every x with every y, `(rows_x, rows_y)`, of natural parameters."""
        a, b, c = self._precisions()
        logs = 0.5 * ops.sum(ops.log(a) + ops.log(b) - ops.log(c))
        own_x = 0.5 * ops.sum(ops.square(e_x) * (1.0 / a - 1.0 / c), axis=1)
        own_y = 0.5 * ops.sum(ops.square(e_y) * (1.0 / b - 1.0 / c), axis=1)
        return logs - own_x[:, None] - own_y[None] + ops.matmul(e_x / c, ops.transpose(e_y))

    def kl(self, e_x: Tensor, e_y: Tensor) -> Tensor:
        """D(q(z|x,y) ‖ N(0, I)), nats, `(rows,)`."""
        c = self._precisions()[-1]
        mean = (e_x + e_y) / c
        return 0.5 * ops.sum(1.0 / c + ops.square(mean) - 1.0 + ops.log(c), axis=1)

    def _precisions(self) -> tuple[Tensor, Tensor, Tensor]:
        a, b = (1.0 + ops.exp(log) for log in self.logs)
        return a, b, a + b - 1.0
