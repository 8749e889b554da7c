"""The runtime of W-model bundles: NumPy and onnxruntime, no TensorFlow.

Example:
    With a bundle of `wyner export`::

        bundle = Bundle.load("bundle")
        y = bundle.generate_y(x, seed=0)
"""

from wyner_serving.bundle import Bundle
from wyner_serving.errors import BundleError, InputError, ServingError
from wyner_serving.gallery import Gallery
from wyner_serving.ranking import Ranked
from wyner_serving.tasks import Encoded

__all__ = [
    "Bundle",
    "BundleError",
    "Encoded",
    "Gallery",
    "InputError",
    "Ranked",
    "ServingError",
]
