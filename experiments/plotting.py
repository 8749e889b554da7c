"""Colours of the figures, and how they are saved."""

from __future__ import annotations

import os
from pathlib import Path

from matplotlib.figure import Figure

from wyner_serving.whole import whole_file

INK, FAINT = "#22272e", "#8b949e"
BLUE, RED = "#1f6f8b", "#d1495b"


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as PNG, whole or not at all, and return the path."""
    path = Path(path)
    with whole_file(path) as temporary:
        figure.savefig(temporary, facecolor="white")
    return path
