"""Networks: multilayer perceptron, conditional flow, and the convolutional autoencoder wrapper."""

from wyner_keras.networks.autoencoder import ConvAutoencoder
from wyner_keras.networks.flow import CouplingFlow
from wyner_keras.networks.mlp import MLP

__all__ = ["MLP", "ConvAutoencoder", "CouplingFlow"]
