"""The variational Wyner model of paired data, trained by Keras.

Every public name is imported at its first use: `import wyner_keras` alone loads neither TensorFlow
nor Keras. What is public is listed in `__init__.pyi`, which type checkers read too.
"""

import sys

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

if sys.modules.get("keras") is not None:
    # Registers the classes, so that `keras.models.load_model` finds them.
    import wyner_keras.stage  # noqa: F401
