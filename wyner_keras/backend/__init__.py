"""What Keras leaves to its backends: compiled functions, derivatives, a step of training.

`KERAS_BACKEND` chooses, before Keras is imported: "tensorflow", or "jax". Everything else of this
library is written in `keras.ops`; batches come by tf.data on both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING or keras.backend.backend() == "tensorflow":
    from wyner_keras.backend import on_tensorflow as _chosen
elif keras.backend.backend() == "jax":
    from wyner_keras.backend import on_jax as _chosen
else:
    raise ImportError(
        "Keras' backend should be tensorflow or jax: set KERAS_BACKEND. "
        f"Received: {keras.backend.backend()}"
    )

JITS_BY_DEFAULT, WIDEST = _chosen.JITS_BY_DEFAULT, _chosen.WIDEST
StepByBackend = _chosen.StepByBackend
Adam = _chosen.Adam
by_tiles, multiplies_tiles = _chosen.by_tiles, _chosen.multiplies_tiles
argmax, compiled, in_pipeline = _chosen.argmax, _chosen.compiled, _chosen.in_pipeline
pulled_back, pushed_forward = _chosen.pulled_back, _chosen.pushed_forward
value_and_gradient = _chosen.value_and_gradient
