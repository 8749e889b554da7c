"""onnxruntime's sessions of a bundle's graphs: opened at first use, and anew after a fork."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from wyner_serving.contents import read_file
from wyner_serving.errors import BundleError
from wyner_serving.forks import begins_anew
from wyner_serving.interface import check_feed, check_file, check_results, check_session
from wyner_serving.onnx_wire import WEIGHTS, WEIGHTS_FILE, check_inside

if TYPE_CHECKING:
    import onnxruntime

# onnxruntime reports graphs and runs to its maker, from a thread that no fork copies: a forked
# process then hangs at its end. It reads this once, when it is imported; who sets it decides.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


class Sessions:
    """The graphs of a bundle, ready to run; safe in threads and in forked processes.

    The weights that graphs share are read here and kept, so that all graphs have the same.

    Args:
        folder: of the bundle.
        manifest: its checked manifest.
        threads: of one run.

    Raises:
        BundleError: if the file of weights is not as the manifest says.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], threads: int) -> None:
        self._folder = folder
        self._manifest = manifest
        self._threads = threads
        self._opened: dict[str, onnxruntime.InferenceSession] = {}
        self._lock = threading.Lock()
        listed = WEIGHTS in manifest["files"]
        self._weights = read_file(folder, manifest, WEIGHTS) if listed else None
        begins_anew(self)

    def run(self, name: str, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of a graph.

        Raises:
            BundleError: if its file is not as the manifest says, or no graph; if it fails, or its
                results are not of the shapes that the manifest says.
        """
        entry = self._manifest["graphs"][name]
        check_feed(name, entry, inputs)
        session = self.open(name)
        try:
            results: list[np.ndarray] = session.run(None, inputs)
        # onnxruntime's errors have no type in common.
        except Exception as error:
            raise BundleError(f"{name} should run. Received: {error!s:.500}") from error
        check_results(name, entry, inputs, results)
        return results

    def open(self, name: str) -> onnxruntime.InferenceSession:
        """The session of a graph, which is kept.

        Raises:
            BundleError: if its file is not as the manifest says, or no graph.
        """
        with self._lock:
            session = self._opened.get(name) or self._open(name)
            self._opened[name] = session
        return session

    def _open(self, name: str) -> onnxruntime.InferenceSession:
        # Here, because much else of this package is of use where no graph runs.
        import onnxruntime

        entry = self._manifest["graphs"][name]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Waiting threads that spin slow a shared machine down.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            content = read_file(self._folder, self._manifest, entry["file"])
            beside = PurePosixPath(entry["file"]).with_name(WEIGHTS_FILE) == PurePosixPath(WEIGHTS)
            weights = self._weights if beside else None
            check_inside(name, content, None if weights is None else len(weights))
            if weights is not None:
                # By name, which is all that a graph of bytes can ask for: no path is looked at.
                options.add_external_initializers_from_files_in_memory(
                    [WEIGHTS_FILE], [weights], [len(weights)]
                )
            check_file(name, entry, content)
            session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except BundleError:
            raise
        except Exception as error:
            raise BundleError(f"{name} should be a graph. Received: {error!s:.500}") from error
        check_session(name, entry, session)
        return session

    def begin_anew(self) -> None:
        """In a forked process: leave the sessions, whose threads did not come along, and the lock.

        The lock may be held by a thread that did not come either. A session's destructor would
        wait for its threads for ever; one reference more, and it never runs.
        """
        for session in self._opened.values():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))
        self._opened = {}
        self._lock = threading.Lock()
