"""The W-model paper's own recipe, its Figures 4 and 5, and the study of λ that it leaves open."""

from experiments.paper.figures import figure_4, figure_5
from experiments.paper.losses import FreeModel, PaperJoint, PaperMarginal, TrainedExpertsJoint
from experiments.paper.recipe import paper_recipe
from experiments.paper.studies import lambda_study

__all__ = [
    "FreeModel",
    "PaperJoint",
    "PaperMarginal",
    "TrainedExpertsJoint",
    "figure_4",
    "figure_5",
    "lambda_study",
    "paper_recipe",
]
