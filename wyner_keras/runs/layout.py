"""Names in a run folder, and where a run lies while it is in the making."""

from __future__ import annotations

import os
from pathlib import Path

FORMAT = 2
SETTINGS, MODEL, HISTORY, METRICS = "settings.json", "model.keras", "history.json", "metrics.json"
REPORT = "report.html"
PICTURES, CHECKPOINTS, EXAMPLES = "figures", "checkpoints", "examples.npz"


def partial_folder(out: str | os.PathLike[str]) -> Path:
    """Where the run `out` lies while it is in the making: `out` with `.partial` added."""
    # abspath gives "runs/.." and "." a name to add to; resolve() would follow a link at the end.
    out = Path(os.path.abspath(out))
    return out.with_name(f"{out.name}.partial")
