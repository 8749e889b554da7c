"""The W-model, its baselines, and their training stages."""

from wyner_keras.models.alignment import AlignmentStage
from wyner_keras.models.config import WynerConfig
from wyner_keras.models.cvae import CVAE, CVAEConfig, CVAEStage
from wyner_keras.models.divergence import KeepLastGood, TrainingDiverged
from wyner_keras.models.flow import FlowStage
from wyner_keras.models.joint import JointStage
from wyner_keras.models.jvae import JVAE, JVAEStage
from wyner_keras.models.marginal import MarginalStage
from wyner_keras.models.wyner import WynerModel

__all__ = [
    "CVAE",
    "JVAE",
    "AlignmentStage",
    "CVAEConfig",
    "CVAEStage",
    "FlowStage",
    "JVAEStage",
    "JointStage",
    "KeepLastGood",
    "MarginalStage",
    "TrainingDiverged",
    "WynerConfig",
    "WynerModel",
]
