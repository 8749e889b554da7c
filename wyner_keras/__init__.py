"""The variational Wyner model of paired data, trained by Keras.

Every public name is imported at its first use: `import wyner_keras` alone loads neither TensorFlow
nor Keras. What is public is listed in `__init__.pyi`, which type checkers read too.
"""

import sys
import warnings
from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
_RENAMED: dict[str, str] = {}  # by old public name the new one, each for one release


def __getattr__(name: str) -> Any:
    """A public name, loaded now; one that was renamed is told so by a warning."""
    if name in _RENAMED:
        told = f"wyner_keras.{name} is called wyner_keras.{_RENAMED[name]} now"
        warnings.warn(told, DeprecationWarning, stacklevel=2)
    return _load(_RENAMED.get(name, name))


if sys.modules.get("keras") is not None:
    # Registers the classes, so that `keras.models.load_model` finds them.
    import wyner_keras.stage  # noqa: F401
