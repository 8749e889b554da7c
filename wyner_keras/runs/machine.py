"""What a result's last digits depend on besides the seed: the machine that computed it."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

# Each changes the order or the width in which sums are rounded.
_VARIABLES = (
    *("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_ENABLE_ONEDNN_OPTS"),
    *("ONEDNN_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE"),
)


def machine() -> dict[str, Any]:
    """Says on what a run is trained: processor, cores that it may use, settings that are set.

    Sums are split among threads and among the lanes of a processor, so another number of cores, or
    another processor, rounds them in another order. The same seed then gives another model, as good
    but not the same.
    """
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": _cores(),
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }


def _cores() -> int:
    # Not all of the machine's: `taskset` and containers leave fewer.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or "unknown")
