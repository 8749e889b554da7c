"""Models with flows."""

import numpy as np

from wyner_keras.latents import DiagonalGaussian
from wyner_keras.networks.affine import Affine

FLOWS = {
    "u": DiagonalGaussian(dim=2),
    "v": DiagonalGaussian(dim=4),
    "joint_local": "xz",
    "flow_steps": 2,
}


def bend(model):
    """Give the flows weights with which they are not the identity."""
    rng = np.random.default_rng(3)
    for flow in (model.flow_u, model.flow_v):
        for variable in flow.trainable_variables:
            variable.assign(0.2 * rng.normal(size=variable.shape))
        size = flow.size
        matrices = np.tril(0.3 * rng.normal(size=(3, size, size))) + np.eye(size)
        none = np.zeros((size, size))
        flow.assign_affine(Affine(rng.normal(size=(3, size)), matrices, none[0], none))
    return model
