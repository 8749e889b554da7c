"""Twenty short trainings, each exported on one kind of processor and verified on others."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TOOL = Path(__file__).parents[1] / "tools" / "short_training.py"
# What a machine may differ in, as far as a process can choose it.
PROCESSORS = [
    {},
    {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    {"ONEDNN_MAX_CPU_ISA": "AVX", "TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"},
    {"ONEDNN_MAX_CPU_ISA": "AVX2", "TF_NUM_INTRAOP_THREADS": "2", "OMP_NUM_THREADS": "2"},
    {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    {"TF_ENABLE_ONEDNN_OPTS": "0"},
    {"TF_ENABLE_ONEDNN_OPTS": "0", "TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"},
]
# Data, seed, length: from all but untrained to some minutes' worth.
TRAININGS = [
    *((data, seed, length) for data, (seed, length) in itertools.product(
        ["digits", "turned", "columns", "series"], [(0, 1), (1, 4), (2, 12), (3, 32)]
    )),
    ("digits", 4, 60),
    ("columns", 5, 60),
    ("series", 6, 60),
    ("digits", 7, 120),
]  # fmt: skip


def run(processor, *words):
    done = subprocess.run(
        [sys.executable, *words],
        env={**os.environ, **processor},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (processor, done.stderr[-2000:])


@pytest.mark.parametrize("number", range(len(TRAININGS)))
def test_a_short_training_is_exported_and_verifies_elsewhere(number, tmp_path):
    words = [str(value) for value in TRAININGS[number]]
    here, *others = (PROCESSORS[(number + step) % len(PROCESSORS)] for step in (0, 1, 3))
    run(here, str(TOOL), *words, str(tmp_path / "bundle"))
    code = "import sys, wyner_export; wyner_export.verify_bundle(sys.argv[1])"
    for other in others:
        run(other, "-c", code, str(tmp_path / "bundle"))
