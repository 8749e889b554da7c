"""The W-model and its training stages."""

from wyner_keras.models.alignment import AlignmentStage
from wyner_keras.models.config import WynerConfig
from wyner_keras.models.divergence import KeepLastGood, TrainingDiverged
from wyner_keras.models.flow import FlowStage
from wyner_keras.models.joint import JointStage
from wyner_keras.models.marginal import MarginalStage
from wyner_keras.models.wyner import WynerModel

__all__ = [
    "AlignmentStage",
    "FlowStage",
    "JointStage",
    "KeepLastGood",
    "MarginalStage",
    "TrainingDiverged",
    "WynerConfig",
    "WynerModel",
]
