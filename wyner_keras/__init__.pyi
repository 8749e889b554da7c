from . import (
    data,
    evaluation,
    figures,
    latents,
    models,
    networks,
    objectives,
    training,
)
from .latents import Categorical, DiagonalGaussian
from .models import AlignmentStage, JointStage, MarginalStage, WynerConfig, WynerModel
from .networks import ConvAutoencoder

__all__ = [
    "AlignmentStage",
    "Categorical",
    "ConvAutoencoder",
    "DiagonalGaussian",
    "JointStage",
    "MarginalStage",
    "WynerConfig",
    "WynerModel",
    "data",
    "evaluation",
    "figures",
    "latents",
    "models",
    "networks",
    "objectives",
    "training",
]
