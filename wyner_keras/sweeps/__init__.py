"""The paper's figures and the study of λ: sweeps of configurations, trained, judged and drawn."""

from wyner_keras.sweeps.carry_out import Workshop, carry_out, check_folder
from wyner_keras.sweeps.configurations import (
    FULL,
    QUICK,
    RECIPES,
    Band,
    Configuration,
    Size,
    Sweep,
    sweep,
)
from wyner_keras.sweeps.report import report
from wyner_keras.sweeps.table import text

__all__ = [
    "FULL",
    "QUICK",
    "RECIPES",
    "Band",
    "Configuration",
    "Size",
    "Sweep",
    "Workshop",
    "carry_out",
    "check_folder",
    "report",
    "sweep",
    "text",
]
