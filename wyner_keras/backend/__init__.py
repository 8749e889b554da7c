"""What Keras leaves to its backends: compiled functions, derivatives, a step of training.

`KERAS_BACKEND` chooses, before Keras is imported: "tensorflow", or "jax". Everything else of this
library is written in `keras.ops`; batches come by tf.data on both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING or keras.backend.backend() == "tensorflow":
    from wyner_keras.backend.on_tensorflow import (
        JITS_BY_DEFAULT,
        WIDEST,
        StepByBackend,
        argmax,
        compiled,
        in_pipeline,
        pushed_forward,
        value_and_gradient,
    )
elif keras.backend.backend() == "jax":
    from wyner_keras.backend.on_jax import (
        JITS_BY_DEFAULT,
        WIDEST,
        StepByBackend,
        argmax,
        compiled,
        in_pipeline,
        pushed_forward,
        value_and_gradient,
    )
else:
    raise ImportError(
        "Keras' backend should be tensorflow or jax: set KERAS_BACKEND. "
        f"Received: {keras.backend.backend()}"
    )

__all__ = [
    "JITS_BY_DEFAULT",
    "WIDEST",
    "StepByBackend",
    "argmax",
    "compiled",
    "in_pipeline",
    "pushed_forward",
    "value_and_gradient",
]
