"""Wyner's common information in nats: exactly, numerically, and of trained models."""

from wyner_keras.information.closed_forms import (
    binary_erasure,
    canonical_correlations,
    deterministic_label,
    doubly_symmetric_binary,
    gaussian,
    label_beside_gaussians,
    multivariate_gaussian,
    relaxed_doubly_symmetric_binary,
    relaxed_gaussian,
    relaxed_label,
)
from wyner_keras.information.measures import measure
from wyner_keras.information.shannon import binary_entropy, bounds, entropy, mutual_information
from wyner_keras.information.solver import CommonInformation, wyner_common_information

__all__ = [
    "CommonInformation",
    "binary_entropy",
    "binary_erasure",
    "bounds",
    "canonical_correlations",
    "deterministic_label",
    "doubly_symmetric_binary",
    "entropy",
    "gaussian",
    "label_beside_gaussians",
    "measure",
    "multivariate_gaussian",
    "mutual_information",
    "relaxed_doubly_symmetric_binary",
    "relaxed_gaussian",
    "relaxed_label",
    "wyner_common_information",
]
