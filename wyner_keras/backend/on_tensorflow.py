"""What Keras leaves to TensorFlow."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

Tensor = Any
WIDEST = "float64"  # float to sum thousands of terms in
JITS_BY_DEFAULT = False  # graphs are fast without XLA
_REWRITING = "auto_mixed_precision_onednn_bfloat16"  # of graphs, by TensorFlow


def compiled(made: Callable[..., Any], *layers: Any) -> Callable[..., Any]:
    """A graph of a function of tensors, traced at its first call for any number of rows.

    Where `tf.config.run_functions_eagerly` says so, the function itself is called.

    Args:
        made: of tensors with a row each example, or scalars.
        layers: whose weights it reads, where they may change from call to call.
    """
    del layers  # graphs read variables as they are
    graphs: list[Any] = []

    def spec(value: Tensor) -> tf.TensorSpec:
        return tf.TensorSpec((None, *value.shape[1:]) if value.shape.rank else (), value.dtype)

    def call(*inputs: Any, **named: Any) -> Any:
        given = [tf.convert_to_tensor(value) for value in inputs]
        by_name = {name: tf.convert_to_tensor(value) for name, value in named.items()}
        if tf.config.functions_run_eagerly():
            return made(*given, **by_name)
        if not graphs:
            specs = {name: spec(value) for name, value in by_name.items()}
            traced = tf.function(made, autograph=False)
            graphs.append(traced.get_concrete_function(*map(spec, given), **specs))
        return graphs[0](*given, **by_name)

    return call


def pushed_forward(function: Callable[[Tensor], Tensor], at: Tensor, tangents: Tensor) -> Tensor:
    """The derivative of a function at a point along tangents, of the shape of its value."""
    with tf.autodiff.ForwardAccumulator(at, tangents) as accumulator:
        value = function(at)
    # Whole numbers that are rounded to move with nothing.
    return accumulator.jvp(value, tf.UnconnectedGradients.ZERO)


def pulled_back(function: Callable[[Tensor], Tensor], at: Tensor) -> Callable[[Tensor], Tensor]:
    """From weights of a function's value at a point to the gradient there of the weighed sum."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(at)
        value = function(at)

    def pull(weights: Tensor) -> Tensor:
        return tape.gradient(value, at, weights, tf.UnconnectedGradients.ZERO)

    return pull


def value_and_gradient(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    """A scalar function's value and gradient at a point."""
    with tf.GradientTape() as tape:
        tape.watch(at)
        value = function(at)
    # Parts taken from the point leave a gradient of slices.
    return value, tf.convert_to_tensor(tape.gradient(value, at))


def argmax(scores: Tensor) -> Tensor:
    """Places of the largest along the last axis; keras.ops' breaks in ONNX export (a Bitcast)."""
    return tf.argmax(scores, axis=-1)


def in_pipeline(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """What a function of `keras.ops` makes of rows inside a tf.data pipeline."""
    return function(rows)


class Adam(keras.optimizers.Adam):
    """Keras' Adam, a variable's step by one kernel of TensorFlow in place of Keras' fifteen."""

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """One step of one variable."""
        sliced = isinstance(gradient, tf.IndexedSlices)
        if self.amsgrad or sliced or gradient.dtype != tf.float32:
            super().update_step(gradient, variable, learning_rate)
            return
        place = self._get_variable_index(variable)
        first, second = tf.constant(self.beta_1), tf.constant(self.beta_2)
        steps = tf.cast(self.iterations + 1, "float32")
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[place]),
            v=_handle(self._velocities[place]),
            beta1_power=first**steps,
            beta2_power=second**steps,
            lr=tf.cast(learning_rate, "float32"),
            beta1=first,
            beta2=second,
            epsilon=tf.constant(self.epsilon),
            grad=gradient,
        )


def _handle(variable: Any) -> Tensor:
    """Of a variable of TensorFlow's, or of Keras' around one."""
    return (variable if isinstance(variable, tf.Variable) else variable.value).handle


@functools.cache
def multiplies_tiles() -> bool:
    """Whether the processor multiplies tiles of bfloat16, as Linux tells it (AMX)."""
    try:
        return " amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def by_tiles(function: Callable[..., Any]) -> Callable[..., Any]:
    """A graph that multiplies in bfloat16 and sums in float32; weights stay float32."""
    options = tf.config.optimizer

    def call(*inputs: Any) -> Any:
        before = options.get_experimental_options().get(_REWRITING, False)
        options.set_experimental_options({_REWRITING: True})
        try:
            return function(*inputs)
        finally:
            options.set_experimental_options({_REWRITING: before})

    return call


class StepByBackend:
    """A stage's step: gradients of its loss, and its terms' means."""

    def train_step(self: Any, data: Any) -> dict[str, Tensor]:
        """One gradient step over the networks that the loss trains."""
        with tf.GradientTape() as tape:
            loss, means = self.loss_and_terms(data, training=True)
            scaled = self.optimizer.scale_loss(loss)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(
            zip(tape.gradient(scaled, variables), variables, strict=True)
        )
        return self.report(loss, means)

    def test_step(self: Any, data: Any) -> dict[str, Tensor]:
        """The same terms without a step."""
        return self.report(*self.loss_and_terms(data, training=False))
