"""Quality of a model of pairs, always against held-out real ones."""

from wyner_keras.evaluation.dependence import DependenceTest, dependence_test
from wyner_keras.evaluation.digits import slant, stroke_thickness, style_correlation
from wyner_keras.evaluation.distances import frechet_distance, precision_recall
from wyner_keras.evaluation.diversity import within_input_diversity
from wyner_keras.evaluation.evaluator import evaluate
from wyner_keras.evaluation.fit import energy_score
from wyner_keras.evaluation.judge import Judge, judges_for
from wyner_keras.evaluation.leakage import Leakage, leakage_test
from wyner_keras.evaluation.likelihood import Bound, log_likelihood
from wyner_keras.evaluation.memory import Memory, memory_test
from wyner_keras.evaluation.misfits import Misfits, misfits
from wyner_keras.evaluation.noise import Noise, fit_noise
from wyner_keras.evaluation.plan import Plan, plans
from wyner_keras.evaluation.report import Figure, Report
from wyner_keras.evaluation.retrieval import median_rank, pmi_scores, recall_at
from wyner_keras.evaluation.two_sample import TwoSampleTest, two_sample_test

__all__ = [
    "Bound",
    "DependenceTest",
    "Figure",
    "Judge",
    "Leakage",
    "Memory",
    "Misfits",
    "Noise",
    "Plan",
    "Report",
    "TwoSampleTest",
    "dependence_test",
    "energy_score",
    "evaluate",
    "fit_noise",
    "frechet_distance",
    "judges_for",
    "leakage_test",
    "log_likelihood",
    "median_rank",
    "memory_test",
    "misfits",
    "plans",
    "pmi_scores",
    "precision_recall",
    "recall_at",
    "slant",
    "stroke_thickness",
    "style_correlation",
    "two_sample_test",
    "within_input_diversity",
]
