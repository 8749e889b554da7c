"""A small Keras model for experiments: trained by a sum of named loss terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from wyner_keras.networks import MLP

Tensor = Any


class LossModel(keras.Model):
    """A model of pairs of features. `fit` minimises the mean of the sum of its terms.

    A subclass builds its networks by `mlp` and defines `terms`.

    Args:
        seed: of the initial weights and of the noise drawn while training.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.next_seed = 1000 * seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.mean_loss = keras.metrics.Mean(name="loss")
        self.built = True

    def mlp(self, outputs: int, hidden: Sequence[int], *inputs: int) -> MLP:
        """A network over inputs of these widths, with weights of its own seed."""
        self.next_seed += 1
        network = MLP(outputs, hidden, seed=self.next_seed)
        network.build([(None, width) for width in inputs])
        return network

    def scheduled(self, name: str, value: float) -> Any:
        """A scalar that callbacks may assign."""
        constant = keras.initializers.Constant(value)
        return self.add_weight(name=name, shape=(), initializer=constant, trainable=False)

    def normal(self, rows: Any, size: int) -> Tensor:
        """Standard normal noise, `(rows, size)`."""
        return keras.random.normal((rows, size), seed=self.seed_generator)

    def terms(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Loss terms of a batch of features, weighted, nats per example `(batch,)`."""
        raise NotImplementedError

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The mean loss, which Keras resets at each epoch."""
        return [self.mean_loss]

    def train_step(self, data: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """One gradient step over all trainable variables."""
        with tf.GradientTape() as tape:
            loss = ops.mean(sum(self.terms(*data).values()))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.mean_loss.update_state(loss)
        return {"loss": self.mean_loss.result()}


def sample_gaussian(parameters: Tensor, noise: Tensor) -> Tensor:
    """Samples `(batch, dim)` of Gaussians, given means and log variances `(batch, 2*dim)`."""
    mean, log_variance = ops.split(parameters, 2, axis=-1)
    return mean + ops.exp(0.5 * log_variance) * noise
