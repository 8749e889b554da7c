from . import (
    data,
    evaluation,
    figures,
    information,
    latents,
    models,
    networks,
    objectives,
    sweeps,
    training,
)
from .latents import Categorical, DiagonalGaussian
from .models import (
    AlignmentStage,
    FlowStage,
    JointStage,
    MarginalStage,
    WynerConfig,
    WynerModel,
)
from .networks import ConvAutoencoder, CouplingFlow

__all__ = [
    "AlignmentStage",
    "Categorical",
    "ConvAutoencoder",
    "CouplingFlow",
    "DiagonalGaussian",
    "FlowStage",
    "JointStage",
    "MarginalStage",
    "WynerConfig",
    "WynerModel",
    "data",
    "evaluation",
    "figures",
    "information",
    "latents",
    "models",
    "networks",
    "objectives",
    "sweeps",
    "training",
]
