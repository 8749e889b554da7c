"""What Keras leaves to JAX, whose functions have no state: variables go in and come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import keras
import numpy as np
from keras import ops

Tensor = Any
WIDEST = "float32"  # JAX has no wider one unless all are
Adam = keras.optimizers.Adam  # XLA makes one kernel of it
JITS_BY_DEFAULT = True  # without it each operation is called alone


def compiled(made: Callable[..., Any], *layers: Any) -> Callable[..., Any]:
    """A function of arrays compiled for each number of rows that it is called with.

    Args:
        made: of arrays with a row each example, or scalars.
        layers: whose weights it reads, where they may change from call to call; others' are taken
            as they are at the first call.
    """

    def stateless(values: Sequence[Any], inputs: Any, named: Any) -> Any:
        variables = variables_of(layers)
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            found = made(*inputs, **named)
        after = zip(_after(scope, variables, values), values, strict=True)
        return found, {place: new for place, (new, old) in enumerate(after) if new is not old}

    run = jax.jit(stateless)

    def call(*inputs: Any, **named: Any) -> Any:
        variables = variables_of(layers)
        found, changed = run([variable.value for variable in variables], inputs, named)
        for place, value in changed.items():  # streams of noise that it drew from
            variables[place].assign(value)
        return found

    return call


def multiplies_tiles() -> bool:
    """Never: on processors XLA's products in bfloat16 were not measured."""
    return False


def by_tiles(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it is."""
    return function


def variables_of(layers: Sequence[Any]) -> list[Any]:
    """The variables of layers, each once."""
    found = {id(variable): variable for layer in layers for variable in layer.variables}
    return list(found.values())


def pushed_forward(function: Callable[[Tensor], Tensor], at: Tensor, tangents: Tensor) -> Tensor:
    """The derivative of a function at a point along tangents, of the shape of its value."""
    return jax.jvp(function, (at,), (tangents,))[1]


def pulled_back(function: Callable[[Tensor], Tensor], at: Tensor) -> Callable[[Tensor], Tensor]:
    """From weights of a function's value at a point to the gradient there of the weighed sum."""
    _, pull = jax.vjp(function, at)
    return lambda weights: pull(weights)[0]


def value_and_gradient(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    """A scalar function's value and gradient at a point."""
    return jax.value_and_grad(function)(at)


def argmax(scores: Tensor) -> Tensor:
    """Places of the largest along the last axis."""
    return ops.argmax(scores, axis=-1)


def in_pipeline(function: Callable[[Tensor], Tensor], rows: Any) -> Any:
    """What a function of `keras.ops` makes of rows inside a tf.data pipeline, by NumPy arrays."""
    import tensorflow as tf

    found = tf.numpy_function(
        lambda batch: np.asarray(function(batch), np.float32), [rows], tf.float32
    )
    found.set_shape(rows.shape)
    return found


class StepByBackend:
    """A stage's step: gradients of its loss, and its terms' means."""

    @property
    def non_trainable_variables(self: Any) -> list[Any]:
        """All that the loss does not train: Keras' trainer hands both lists to a step."""
        trained = {id(variable) for variable in self.trainable_variables}
        metrics = {id(variable) for variable in self.metrics_variables}
        return [each for each in self.variables if id(each) not in trained | metrics]

    def train_step(self: Any, state: Any, data: Any) -> tuple[dict[str, Tensor], Any]:
        """One gradient step over the networks that the loss trains."""
        trained, fixed, optimizer, metrics = state

        def loss_of(trained: Any) -> Any:
            loss, means, updated = self._outcome(trained, fixed, data, training=True)
            scope = zip(self.optimizer.variables, optimizer, strict=True)
            with keras.StatelessScope(state_mapping=list(scope)):
                return self.optimizer.scale_loss(loss), (loss, means, updated)

        gradients, (loss, means, fixed) = jax.grad(loss_of, has_aux=True)(trained)
        trained, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trained)
        logs, metrics = self._logged(metrics, loss, means)
        return logs, (trained, fixed, optimizer, metrics)

    def test_step(self: Any, state: Any, data: Any) -> tuple[dict[str, Tensor], Any]:
        """The same terms without a step."""
        trained, fixed, metrics = state
        loss, means, fixed = self._outcome(trained, fixed, data, training=False)
        logs, metrics = self._logged(metrics, loss, means)
        return logs, (trained, fixed, metrics)

    def _outcome(self: Any, trained: Any, fixed: Any, data: Any, training: bool) -> Any:
        """Loss and terms, and what they leave of the variables that are not trained."""
        variables = self.trainable_variables + self.non_trainable_variables
        mapping = list(zip(variables, [*trained, *fixed], strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            loss, means = self.loss_and_terms(data, training=training)
        return loss, means, _after(scope, self.non_trainable_variables, fixed)

    def _logged(self: Any, metrics: Any, loss: Tensor, means: Any) -> Any:
        """Means so far by name, and the metrics' variables."""
        mapping = list(zip(self.metrics_variables, metrics, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            logs = self.report(loss, means)
        return logs, _after(scope, self.metrics_variables, metrics)


def _after(scope: Any, variables: Sequence[Any], before: Sequence[Any]) -> list[Any]:
    """Values of variables at the end of a scope."""
    found = [scope.get_current_value(variable) for variable in variables]
    return [old if new is None else new for new, old in zip(found, before, strict=True)]
