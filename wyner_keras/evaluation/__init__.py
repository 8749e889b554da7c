"""Judged quality of generated images, always against held-out real ones."""

from wyner_keras.evaluation.classifier import Judge, judge_for, judgeable
from wyner_keras.evaluation.distances import PrecisionRecall, frechet_distance, precision_recall
from wyner_keras.evaluation.diversity import within_input_diversity
from wyner_keras.evaluation.evaluator import GenerativePair, evaluate
from wyner_keras.evaluation.plan import Plan
from wyner_keras.evaluation.report import Figure, Report
from wyner_keras.evaluation.sides import partnered
from wyner_keras.evaluation.style import (
    StyleCorrelation,
    slant,
    stroke_thickness,
    style_correlation,
)

__all__ = [
    "Figure",
    "GenerativePair",
    "Judge",
    "Plan",
    "PrecisionRecall",
    "Report",
    "StyleCorrelation",
    "evaluate",
    "frechet_distance",
    "judge_for",
    "judgeable",
    "partnered",
    "precision_recall",
    "slant",
    "stroke_thickness",
    "style_correlation",
    "within_input_diversity",
]
