"""The paper's figures, and studies: sweeps of configurations, trained, judged and drawn."""

from wyner_keras.sweeps.carry_out import Workshop, carry_out, check_folder
from wyner_keras.sweeps.configurations import Band, Configuration, Sweep
from wyner_keras.sweeps.named import RECIPES, sweep
from wyner_keras.sweeps.report import report, text
from wyner_keras.sweeps.sizes import FULL, QUICK, WHOLE, Size
from wyner_keras.sweeps.studies import OVER_SEEDS

__all__ = [
    "FULL",
    "OVER_SEEDS",
    "QUICK",
    "RECIPES",
    "WHOLE",
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
