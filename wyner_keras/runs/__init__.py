"""Run folders: what a training run leaves on disk, written whole or not at all.

A run folder `RUN` holds

- `settings.json`: recipe, data (and `data_y` where y has a source of its own), label map, seed and
  the versions that made it;
- `model.keras`: the trained W-model;
- `history.json`: metrics by stage and epoch, seconds by stage;
- `examples.npz`: held-out images of x and of y with their labels, a few of each class, so that what
  comes after training needs the data no more;
- `metrics.json`: the report on held-out images, where it was evaluated;
- `figures/*.png`: the grids.

While it is in the making it is called `RUN.partial` and also holds `checkpoints/`. What was killed
or failed stays there, to be resumed; only a finished run is renamed to `RUN`.
"""

from wyner_keras.runs.layout import (
    CHECKPOINTS,
    EXAMPLES,
    FIGURES,
    FORMAT,
    HISTORY,
    METRICS,
    MODEL,
    SETTINGS,
    partial_folder,
)
from wyner_keras.runs.reading import (
    Run,
    load_model,
    read_settings,
)
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
    "FIGURES",
    "FORMAT",
    "HISTORY",
    "METRICS",
    "MODEL",
    "SETTINGS",
    "Run",
    "abandon_run",
    "finish_run",
    "load_model",
    "partial_folder",
    "read_settings",
    "refuse_started",
    "save_examples",
    "save_trained",
    "settings_of",
    "start_run",
    "version",
]
