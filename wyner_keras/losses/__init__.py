"""What each stage minimises: one loss a stage, its terms named, its weights its fields."""

from wyner_keras.losses.alignment import Alignment
from wyner_keras.losses.joint import Joint, Refinement
from wyner_keras.losses.loss import Draw, Loss
from wyner_keras.losses.marginal import Marginal
from wyner_keras.losses.matching import Matching
from wyner_keras.losses.reader_matching import ReaderMatching
from wyner_keras.losses.self_training import SelfTraining
from wyner_keras.losses.widening import Widening

__all__ = [
    "Alignment",
    "Draw",
    "Joint",
    "Loss",
    "Marginal",
    "Matching",
    "ReaderMatching",
    "Refinement",
    "SelfTraining",
    "Widening",
]
