"""Rows encoded once, to be ranked for many queries; kept in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wyner_serving.errors import InputError
from wyner_serving.plain_json import parse_json
from wyner_serving.pmi import Blocks, parts_of
from wyner_serving.regular_file import open_regular
from wyner_serving.whole import whole_file

FORMAT = 1
_FACTS, _OUTPUT = "gallery", "output_"


class Gallery:
    """The posteriors of z of many rows of one side; made by `gallery_x` and `gallery_y` of a model.

    Args:
        side: whose rows they are, "x" or "y".
        outputs: what tells q(z|y) of each row, float32 arrays of as many rows.
        latent: what the common latent says of itself, JSON-able.
        model: the `identity` of the model.

    Example:
        >>> gallery = bundle.gallery_y(y)  # doctest: +SKIP
        >>> gallery.save("faces.gallery")  # doctest: +SKIP
        >>> bundle.rank(x, Gallery.load("faces.gallery")).rows  # doctest: +SKIP
    """

    def __init__(
        self, side: str, outputs: Sequence[np.ndarray], latent: Mapping[str, Any], model: str
    ) -> None:
        self.side, self.outputs, self.latent, self.model = side, list(outputs), latent, model
        parts = parts_of(latent)
        # None where the model's own graph has to say it.
        self.blocks = None if parts is None else Blocks(parts, self.outputs)

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.outputs[0])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the gallery to a file, whole or not at all; what lies there is replaced.

        Args:
            path: of the file; `.gallery` is what the command line knows it by.

        Returns:
            The path.
        """
        path = Path(path)
        facts = {
            "format": FORMAT,
            "side": self.side,
            "latent": dict(self.latent),
            "model": self.model,
        }
        arrays: dict[str, Any] = {_FACTS: np.array(json.dumps(facts))}
        arrays |= {f"{_OUTPUT}{place}": each for place, each in enumerate(self.outputs)}
        path.parent.mkdir(parents=True, exist_ok=True)
        # Given a stream, NumPy adds no suffix of its own.
        with whole_file(path) as new, new.open("wb") as stream:
            np.savez(stream, **arrays)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Gallery:
        """The gallery of a file that `save` wrote.

        Raises:
            InputError: if there is no such file, or it is damaged or of a newer format.
        """
        try:
            # A FIFO would be waited for.
            with (
                open_regular(path, links=True) as file,
                np.load(file, allow_pickle=False) as arrays,
            ):
                facts = parse_json(arrays[_FACTS].item().encode())
                if facts["format"] is True or facts["format"] != FORMAT:
                    raise ValueError(f"format {facts['format']!r}, not {FORMAT}")
                count = sum(name.startswith(_OUTPUT) for name in arrays.files)
                outputs = [arrays[f"{_OUTPUT}{place}"] for place in range(count)]
            shapes = {(each.dtype.name, each.ndim, len(each)) for each in outputs}
            texts = isinstance(facts["model"], str) and facts["side"] in ("x", "y")
            if not texts or shapes != {("float32", 2, len(outputs[0]))} or not len(outputs[0]):
                raise ValueError(f"a gallery of {facts['side']!r} with outputs {shapes}")
            if not all(np.isfinite(each).all() for each in outputs):
                raise ValueError("NaN or infinity")
            return cls(facts["side"], outputs, facts["latent"], facts["model"])
        except Exception as error:  # a damaged archive fails in its zip, its header or its arrays
            raise InputError(
                f"{str(path)!r} should be a gallery that `Gallery.save` wrote. "
                f"Received: {type(error).__name__}: {error}"
            ) from error
