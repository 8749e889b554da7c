"""Sweeps of configurations: trained, judged, kept in a folder, tabulated and drawn."""

from experiments.studies.experiment import Experiment, check_folder, run_sweep
from experiments.studies.report import report_text, write_report
from experiments.studies.sizes import FULL, QUICK, WHOLE, Size
from experiments.studies.sweep import Configuration, Group, Sweep

__all__ = [
    "FULL",
    "QUICK",
    "WHOLE",
    "Configuration",
    "Experiment",
    "Group",
    "Size",
    "Sweep",
    "check_folder",
    "report_text",
    "run_sweep",
    "write_report",
]
