"""Quality of a model of pairs, always against held-out real ones."""

from wyner_keras.evaluation.digits import slant, stroke_thickness, style_correlation
from wyner_keras.evaluation.distances import frechet_distance, precision_recall
from wyner_keras.evaluation.diversity import within_input_diversity
from wyner_keras.evaluation.evaluator import evaluate
from wyner_keras.evaluation.fit import energy_score
from wyner_keras.evaluation.judge import Judge, judges_for
from wyner_keras.evaluation.misfits import Misfits, misfits
from wyner_keras.evaluation.plan import Plan, plans
from wyner_keras.evaluation.report import Figure, Report
from wyner_keras.evaluation.retrieval import pmi_scores, recall_at

__all__ = [
    "Figure",
    "Judge",
    "Misfits",
    "Plan",
    "Report",
    "energy_score",
    "evaluate",
    "frechet_distance",
    "judges_for",
    "misfits",
    "plans",
    "pmi_scores",
    "precision_recall",
    "recall_at",
    "slant",
    "stroke_thickness",
    "style_correlation",
    "within_input_diversity",
]
