"""The how-tos are run as they stand, but for those on trackers, which test_trackers.py runs."""

import re
from pathlib import Path

import pytest
import shortened

HOWTO = Path(__file__).parents[2] / "docs" / "howto.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", HOWTO.read_text(encoding="utf-8"), re.M | re.S)


TRACKED = [block for block in BLOCKS if re.search(r"^import (wandb|mlflow)$", block, re.MULTILINE)]


@pytest.fixture
def short(monkeypatch, eager):
    """Narrow networks, and two steps a stage, which to trace would take longer."""
    shortened.narrow(monkeypatch.setattr)
    shortened.two_steps(monkeypatch.setattr)


def test_every_block_runs(short, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    scope = {"__name__": "howto"}
    for block in BLOCKS:
        if block in TRACKED:
            continue
        exec(compile(block, str(HOWTO), "exec"), scope)
    printed = capsys.readouterr().out
    assert "'kind': 'log-normal'" in printed
    assert "(2, 8, 8, 3)" in printed
    assert abs(scope["model"].generate_x(scope["y"][:2], seed=0)).max() <= 3.2
