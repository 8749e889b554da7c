"""Networks: encoders, decoders, codecs, flow, and learned prior."""

from wyner_keras.networks.augmentation import RandomShiftShear
from wyner_keras.networks.codec import Codec
from wyner_keras.networks.conv_codec import ConvCodec
from wyner_keras.networks.conv_encoder import ConvEncoder
from wyner_keras.networks.flat_codec import FlatCodec
from wyner_keras.networks.flow import ContinuousFlow
from wyner_keras.networks.mlp import MLP
from wyner_keras.networks.tree_prior import TreePrior
from wyner_keras.networks.vector_codec import VectorCodec

__all__ = [
    "MLP",
    "Codec",
    "ContinuousFlow",
    "ConvCodec",
    "ConvEncoder",
    "FlatCodec",
    "RandomShiftShear",
    "TreePrior",
    "VectorCodec",
]
