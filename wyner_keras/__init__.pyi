from . import (
    callbacks,
    data,
    evaluation,
    information,
    latents,
    losses,
    networks,
    objectives,
    pictures,
    presets,
    recipes,
)
from .data import Pairs
from .divergence import TrainingDiverged
from .estimator import WynerTransformer
from .evaluation import evaluate
from .latents import Categorical, DiagonalGaussian
from .modality import CodecSettings, Image, Series, Vector
from .model import WynerModel
from .product import Product
from .recipe import Recipe, StageSettings
from .reporting import report
from .runs import load_model
from .schedules import Ramp, Schedule
from .side import Side, SideSettings
from .stage import Stage
from .training import Trained, train

__all__ = [
    "Categorical",
    "CodecSettings",
    "DiagonalGaussian",
    "Image",
    "Pairs",
    "Product",
    "Ramp",
    "Recipe",
    "Schedule",
    "Series",
    "Side",
    "SideSettings",
    "Stage",
    "StageSettings",
    "Trained",
    "TrainingDiverged",
    "Vector",
    "WynerModel",
    "WynerTransformer",
    "callbacks",
    "data",
    "evaluate",
    "evaluation",
    "information",
    "latents",
    "load_model",
    "losses",
    "networks",
    "objectives",
    "pictures",
    "presets",
    "recipes",
    "report",
    "train",
]
