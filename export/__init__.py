"""Bundles: a trained W-model as ONNX, SavedModel and a manifest, proven to agree.

`write_bundle` makes one from a model, `verify_bundle` checks one; `wyner export` does both.
"""

import wyner_serving  # noqa: F401, I001 - first: it turns onnxruntime's telemetry off

from wyner_export.bundle import verify_bundle, write_bundle
from wyner_export.errors import ExportError
from wyner_export.functions import Graph, TensorInfo
from wyner_export.graphs import graphs_of
from wyner_export.manifest import read_manifest
from wyner_serving.errors import BundleError

__all__ = [
    "BundleError",
    "ExportError",
    "Graph",
    "TensorInfo",
    "graphs_of",
    "read_manifest",
    "verify_bundle",
    "write_bundle",
]
