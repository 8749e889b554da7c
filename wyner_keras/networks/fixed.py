"""Weights that no training moves."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


def fixed_weight(layer: keras.layers.Layer, name: str, values: np.ndarray) -> Any:
    """A weight of a layer that is fitted, not trained, with the values it has until then."""
    return layer.add_weight(
        name=name,
        shape=values.shape,
        initializer=keras.initializers.Constant(values),
        trainable=False,
        autocast=False,
    )
