"""Networks: encoders, decoders, flow, learned prior, and the convolutional autoencoder wrapper."""

from wyner_keras.networks.augmentation import RandomShiftShear
from wyner_keras.networks.autoencoder import ConvAutoencoder
from wyner_keras.networks.conv_encoder import ConvEncoder
from wyner_keras.networks.flow import ContinuousFlow
from wyner_keras.networks.mlp import MLP
from wyner_keras.networks.tree_prior import TreePrior

__all__ = [
    "MLP",
    "ContinuousFlow",
    "ConvAutoencoder",
    "ConvEncoder",
    "RandomShiftShear",
    "TreePrior",
]
