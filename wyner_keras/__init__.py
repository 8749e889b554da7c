"""The variational Wyner model of paired data, trained by Keras.

Every public name is imported at its first use: `import wyner_keras` alone loads neither TensorFlow
nor Keras. What is public is listed in `__init__.pyi`, which type checkers read too.
"""

import sys
from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """A public name, loaded now; one that was renamed is told so by a warning."""
    if name not in __all__ and not name.startswith("_"):
        from importlib import import_module

        new = import_module("wyner_keras.renamed").new_name(name)
        name = name if new is None else new
    return _load(name)


if sys.modules.get("keras") is not None:
    # Registers the classes, so that `keras.models.load_model` finds them.
    import wyner_keras.stage  # noqa: F401
