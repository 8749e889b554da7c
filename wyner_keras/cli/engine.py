"""TensorFlow brought in without what it writes on stderr by itself."""

from __future__ import annotations

import gc
import logging
import os
import sys
import tempfile


def import_tensorflow(backend: str | None = None) -> None:
    """Imports TensorFlow and lets it look for its devices, its own lines kept off stderr.

    Its C++ part writes of processors and drivers before any of its settings can stop it. If the
    import fails, what it wrote is written after all.

    Args:
        backend: Keras' backend; None leaves it to KERAS_BACKEND.

    Raises:
        ModuleNotFoundError: if TensorFlow is not installed.
    """
    if "tensorflow" in sys.modules:
        return
    # What comes later: errors alone.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if backend is not None:
        os.environ["KERAS_BACKEND"] = backend
    sys.stderr.flush()
    with tempfile.TemporaryFile() as written:
        kept = os.dup(2)
        try:
            os.dup2(written.fileno(), 2)
            try:
                import keras  # noqa: F401
                import tensorflow as tf

                tf.config.list_logical_devices()
                for name in ("tensorflow", "absl"):
                    logging.getLogger(name).setLevel(logging.ERROR)
            finally:
                os.dup2(kept, 2)
                os.close(kept)
        except BaseException:
            written.seek(0)
            os.write(2, written.read())
            raise
    # What imports left stays: full collections would walk it again and again.
    gc.freeze()
