"""Run folders: what a training run leaves on disk, written whole or not at all.

A run folder `RUN` holds

- `settings.json`: how the data were given, the recipe, the seed, and versions and machine that
  made it;
- `model.keras`: the trained W-model;
- `history.json`: metrics by stage and epoch, seconds by stage;
- `examples.npz`: held-out rows of x and of y in pairs, at most 200, with their labels where those
  are known: what comes after training needs the data no more;
- `metrics.json`: the report on held-out pairs, where it was evaluated;
- `report.html`: the page of `wyner report`, where it was asked for;
- `figures/*.png`: pictures.

While it is in the making it is called `RUN.partial` and also holds `checkpoints/`. What was killed
or failed stays there, to be resumed; only a finished run is renamed to `RUN`.
"""

from wyner_keras.runs.examples import SIDES, Examples
from wyner_keras.runs.layout import (
    CHECKPOINTS,
    EXAMPLES,
    FORMAT,
    HISTORY,
    METRICS,
    MODEL,
    PICTURES,
    REPORT,
    SETTINGS,
    partial_folder,
)
from wyner_keras.runs.reading import (
    Run,
    load_model,
    pairs_of,
    read_history,
    read_settings,
    seen,
)
from wyner_keras.runs.source import Source, label_map
from wyner_keras.runs.writing import (
    abandon_run,
    finish_run,
    refuse_started,
    save_examples,
    save_trained,
    settings_of,
    start_run,
    version,
)

__all__ = [
    "CHECKPOINTS",
    "EXAMPLES",
    "FORMAT",
    "HISTORY",
    "METRICS",
    "MODEL",
    "PICTURES",
    "REPORT",
    "SETTINGS",
    "SIDES",
    "Examples",
    "Run",
    "Source",
    "abandon_run",
    "finish_run",
    "label_map",
    "load_model",
    "pairs_of",
    "partial_folder",
    "read_history",
    "read_settings",
    "refuse_started",
    "save_examples",
    "save_trained",
    "seen",
    "settings_of",
    "start_run",
    "version",
]
