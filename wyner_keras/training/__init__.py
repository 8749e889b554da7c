"""Training: schedules, recipes, the run of all stages, and baselines."""

from wyner_keras.training.baselines import BASELINES, train_baseline
from wyner_keras.training.kept import train_kept
from wyner_keras.training.recipes import recipe
from wyner_keras.training.schedules import (
    CapacitySchedule,
    LearningRateSchedule,
    NoiseScaleSchedule,
    Ramp,
    TemperatureSchedule,
)
from wyner_keras.training.settings import Recipe, StageSettings, WrapperSettings
from wyner_keras.training.train import Trained, train
from wyner_keras.training.wrapper import train_wrapper

__all__ = [
    "BASELINES",
    "CapacitySchedule",
    "LearningRateSchedule",
    "NoiseScaleSchedule",
    "Ramp",
    "Recipe",
    "StageSettings",
    "TemperatureSchedule",
    "Trained",
    "WrapperSettings",
    "recipe",
    "train",
    "train_baseline",
    "train_kept",
    "train_wrapper",
]
