import numpy as np
import pytest


@pytest.fixture
def features():
    """24 pairs of 5 and 3 features, which share something."""
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(24, 2))
    x, y = (
        shared @ rng.normal(size=(2, width)) + 0.3 * rng.normal(size=(24, width))
        for width in (5, 3)
    )
    return x.astype(np.float32), y.astype(np.float32)


@pytest.fixture
def shift_weights():
    """Moves all weights of a model, zero biases too, so that each shows in the loss."""

    def shift(model, scale=0.3):
        rng = np.random.default_rng(8)
        for variable in model.trainable_variables:
            variable.assign(variable + scale * rng.normal(size=variable.shape))
        return model

    return shift
