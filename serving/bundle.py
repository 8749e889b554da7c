"""A bundle opened: the tasks of a W-model, through onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wyner_serving.checks import check_count
from wyner_serving.contents import read_file
from wyner_serving.errors import BundleError
from wyner_serving.manifest import read_sealed
from wyner_serving.sessions import Sessions
from wyner_serving.tasks import Tasks


class Bundle(Tasks):
    """A W-model ready for use; made by `Bundle.load`.

    It has the methods of `wyner_keras.WynerModel`, and gives the same results for the same seeds.
    All are safe in threads and in forked processes. Pickled, it travels as its absolute path and
    the SHA-256 of its manifest, and opens again where it is unpickled; so does a copy.

    Args:
        folder: of the bundle.
        threads: of one call.
        batch_size: rows in one pass of a graph; it bounds memory and changes no result.
        seal: SHA-256 that the manifest should have; None takes any.
        public_key: by which the manifest should be signed; None looks at no signature.

    Raises:
        BundleError: if the folder is no whole bundle of a format that is known, of another seal, or
            not so signed.
        InputError: if the key is none.
    """

    def __init__(
        self,
        folder: Path,
        threads: int,
        batch_size: int,
        seal: str | None = None,
        public_key: str | os.PathLike[str] | None = None,
    ) -> None:
        self._manifest, self._seal = read_sealed(folder, seal, public_key)
        for graph in self._manifest["graphs"].values():
            read_file(folder, self._manifest, graph["file"])
        # Of use after the process changed its folder, too.
        self._folder = folder.absolute()
        self._threads = threads
        self.batch_size = batch_size
        self._sessions = Sessions(self._folder, self._manifest, threads)

    def __reduce__(self) -> tuple[Callable[..., Bundle], tuple[str, int, int, str]]:
        settings = (self._threads, self.batch_size, self._seal)
        return type(self)._reopened, (str(self._folder), *settings)

    @classmethod
    def _reopened(cls, folder: str, threads: int, batch_size: int, seal: str) -> Bundle:
        """The bundle that was pickled."""
        return cls(Path(folder), threads, batch_size, seal)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
        batch_size: int = 32,
        public_key: str | os.PathLike[str] | None = None,
    ) -> Bundle:
        """Open a bundle; every file is checked against its SHA-256 before anything is parsed.

        Of bundles of formats 1 and 2 the ONNX files are, and the samples when they are read.

        Args:
            path: of the bundle's folder.
            threads: of one call; default the processors, at most 4.
            batch_size: rows in one pass of a graph.
            public_key: by which the bundle should be signed: a file of `wyner export --new-key` or
                of minisign, or the line of 56 characters in it. Needs `wyner-keras[sign]`.

        Returns:
            The bundle.

        Raises:
            BundleError: if the folder is no whole bundle of a format that is known, or not signed
                by the key.
            InputError: if threads or batch_size is not a positive integer, or the key is none.
        """
        threads = (
            min(4, os.cpu_count() or 1) if threads is None else check_count(threads, "threads")
        )
        batch_size = check_count(batch_size, "batch_size")
        return cls(Path(path), threads, batch_size, public_key=public_key)

    @classmethod
    def from_preset(
        cls,
        name: str | os.PathLike[str],
        *,
        threads: int | None = None,
        batch_size: int = 32,
        public_key: str | os.PathLike[str] | None = None,
    ) -> Bundle:
        """Open the bundle of a preset.

        Args:
            name: of a preset of the installed wheel `wyner-keras-models`, or else a folder that
                holds one, or `hf://owner/name`, which needs `wyner-keras[hub]`.
            threads: see `load`.
            batch_size: see `load`.
            public_key: see `load`.

        Raises:
            InputError: if there is no such preset; the message lists those that there are.
            BundleError: if it has no bundle, or as `load`.
            OSError: if it cannot be downloaded.

        Example:
            >>> bundle = Bundle.from_preset("digits_add_one")  # doctest: +SKIP
            >>> x, y = bundle.generate_pairs(30, seed=0)  # doctest: +SKIP
        """
        # Here, because few need it.
        from wyner_serving import presets

        folder = presets.bundle_of(presets.find(name))
        return cls.load(folder, threads=threads, batch_size=batch_size, public_key=public_key)

    @property
    def manifest(self) -> dict[str, Any]:
        """What the bundle says of itself, in the newest format."""
        return self._manifest

    @property
    def side_entries(self) -> Mapping[str, Mapping[str, Any]]:
        """By side what its modality says of itself, and `local`, its local latent's name."""
        return self._manifest["sides"]

    @property
    def latent_entries(self) -> Mapping[str, Mapping[str, Any] | None]:
        """By latent, "z" first, what it says of itself; None for one that the model lacks."""
        return self._manifest["latents"]

    @property
    def identity(self) -> str:
        """Which model it is: of its weights, or the manifest's SHA-256 in an earlier bundle."""
        return self._manifest.get("identity", self._seal)

    @property
    def posterior_names(self) -> Sequence[str]:
        """Names of what `posteriors` gives, in its order."""
        return [output["name"] for output in self._graph("posterior_x_z")["outputs"]]

    def _graph(self, name: str) -> dict[str, Any]:
        graphs = self._manifest["graphs"]
        if name not in graphs:
            raise BundleError(
                f"{self._folder} should hold the graph {name}: export the model again. "
                f"Received: a bundle of {', '.join(graphs)}"
            )
        return graphs[name]

    def run_graph(self, name: str, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of a graph, in their order.

        Raises:
            BundleError: if there is no such graph, or its file is not as the manifest says.
        """
        self._graph(name)
        return self._sessions.run(name, dict(inputs))

    def samples(self, side: str) -> np.ndarray:
        """The held-out examples of a side that came with the bundle, float32 `(n, ...)`.

        Raises:
            InputError: for another name than a side's.
            BundleError: if there are none, or a file is not as `wyner_export` writes it.

        Example:
            >>> bundle = Bundle.load("bundle")  # doctest: +SKIP
            >>> y = bundle.generate_y(bundle.samples("x"), seed=0)  # doctest: +SKIP
        """
        # Here, because it needs Pillow.
        from wyner_serving.samples import read_samples

        self._known(side)
        return read_samples(self._folder, self._manifest, side)
