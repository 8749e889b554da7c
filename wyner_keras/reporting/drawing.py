"""Examples of one side as pictures inside a page: images, series as lines, vectors as bars.

Real grey images stand in blue ink, generated ones in black, as in every picture of the package.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from PIL import Image

from wyner_keras.evaluation.spaces import Standard
from wyner_keras.page import gap_of, tiles
from wyner_keras.reporting.blocks import Bars, Block, Picture

_TILE, _LARGEST = 44, 88  # pixels that an image is magnified to, and shrunk to where it is larger
_GROUP = 14  # pixels between real and generated images
_REAL = 3  # real examples beside a generated one
_BARS = 8  # columns of a vector that are shown
_CHANNELS = 3  # of a series that are drawn
_REAL_COLOUR, _MADE_COLOUR = "#184ea0", "#141418"
EXPECTED = "what the model expected"


class Pictures(Protocol):
    """How examples of a side are shown."""

    def kind(self, made: np.ndarray, real: np.ndarray) -> Block:
        """What the model makes of one value, `(1, *shape)`, and real examples `(n, *shape)`."""

    def sweep(self, made: np.ndarray, steps: Sequence[str]) -> Block:
        """What the model makes along a sweep, `(steps, *shape)`."""

    def pair(self, real: np.ndarray, made: np.ndarray | None, said: str = EXPECTED) -> Block:
        """A real example, `(1, *shape)`, and generated ones beside it, `(n, *shape)`.

        Args:
            real: the example.
            made: the generated ones, or None.
            said: what these are.
        """


def _png(image: Image.Image) -> tuple[bytes, tuple[int, int]]:
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return stream.getvalue(), image.size


class _Images:
    def __init__(self, name: str, entry: Mapping[str, Any], examples: np.ndarray) -> None:
        self.name, self.shape = name, tuple(entry["shape"])

    def _strip(self, *groups: tuple[np.ndarray, bool]) -> tuple[bytes, tuple[int, int]]:
        """Images in one row, groups of real and of generated ones apart."""
        left, gap = 0, gap_of(self.shape, _TILE)
        placed: list[tuple[Image.Image, int]] = []
        for images, real in groups:
            if not len(images):
                continue
            left += _GROUP if placed else 0
            for tile in tiles(images, real, _TILE):
                tile.thumbnail((_LARGEST, _LARGEST))  # never enlarges
                placed.append((tile, left))
                left += tile.width + gap
            left -= gap
        strip = Image.new("RGB", (left, max(tile.height for tile, _ in placed)), "white")
        for tile, at in placed:
            strip.paste(tile, (at, 0))
        return _png(strip)

    def kind(self, made: np.ndarray, real: np.ndarray) -> Block:
        real = real[:_REAL]
        alt = f"one generated {self.name} and {len(real)} real ones"
        caption = f"{self.name}: generated" + (", then real" if len(real) else "")
        return Picture(*self._strip((made, False), (real, True)), alt, caption)

    def sweep(self, made: np.ndarray, steps: Sequence[str]) -> Block:
        alt = f"generated {self.name} at {', '.join(steps)}"
        caption = f"{self.name}: {steps[0]} to {steps[-1]}"
        return Picture(*self._strip((made, False)), alt, caption)

    def pair(self, real: np.ndarray, made: np.ndarray | None, said: str = EXPECTED) -> Block:
        groups = [(real, True), *([] if made is None else [(made[:_REAL], False)])]
        told, then = ("", "") if made is None else (f" and {said}", f", then {said}")
        return Picture(*self._strip(*groups), f"the real {self.name}{told}", self.name + then)


class _Series:
    def __init__(self, name: str, entry: Mapping[str, Any], examples: np.ndarray) -> None:
        self.name = name
        shape = tuple(entry["shape"])
        # Time and channels; of a kind that is not known here, all values in one row.
        self.shape = shape if len(shape) == 2 else (math.prod(shape), 1)
        self.few = "" if self.shape[1] <= _CHANNELS else f", the first {_CHANNELS} channels"
        values = examples.reshape(-1, *self.shape)
        self.low, self.high = values.min(axis=(0, 1)), values.max(axis=(0, 1))

    def _lines(self, *lines: tuple[np.ndarray, Any, float]) -> tuple[bytes, tuple[int, int]]:
        """A panel a channel; of each line its values, colour and width."""
        from matplotlib.figure import Figure

        channels = min(_CHANNELS, self.shape[1])
        figure = Figure(figsize=(3.0, 0.25 + 0.9 * channels), layout="constrained")
        for place in range(channels):
            axes = figure.add_subplot(channels, 1, 1 + place)
            for values, colour, width in lines:
                axes.plot(values.reshape(self.shape)[:, place], color=colour, linewidth=width)
            low, high = float(self.low[place]), float(self.high[place])
            margin = 0.05 * (high - low or abs(high) or 1.0)
            axes.set_ylim(low - margin, high + margin)
            axes.tick_params(labelsize=6, length=2)
            if place + 1 < channels:
                axes.set_xticklabels([])
            for edge in ("top", "right"):
                axes.spines[edge].set_visible(False)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=200, metadata={"Software": None})
        with Image.open(io.BytesIO(stream.getvalue())) as drawn:
            size = drawn.width // 2, drawn.height // 2
        return stream.getvalue(), size

    def kind(self, made: np.ndarray, real: np.ndarray) -> Block:
        real = real[: 2 * _REAL]
        lines = [(one, _REAL_COLOUR, 0.6) for one in real]
        picture = self._lines(*lines, (made[0], _MADE_COLOUR, 1.6))
        alt = f"a generated {self.name} over {len(real)} real ones, over time{self.few}"
        return Picture(*picture, alt, f"{self.name}: generated black, real blue{self.few}")

    def sweep(self, made: np.ndarray, steps: Sequence[str]) -> Block:
        from matplotlib import colormaps

        shades = colormaps["viridis_r"](np.linspace(0.1, 1.0, len(made)))
        picture = self._lines(*((one, shade, 1.2) for one, shade in zip(made, shades, strict=True)))
        alt = f"generated {self.name} at {', '.join(steps)}, over time{self.few}"
        caption = f"{self.name}: {steps[0]} (light) to {steps[-1]} (dark){self.few}"
        return Picture(*picture, alt, caption)

    def pair(self, real: np.ndarray, made: np.ndarray | None, said: str = EXPECTED) -> Block:
        lines = [] if made is None else [(one, _MADE_COLOUR, 0.6) for one in made[:_REAL]]
        picture = self._lines(*lines, (real[0], _REAL_COLOUR, 1.6))
        told = "" if made is None else f", {said} black"
        return Picture(
            *picture,
            f"the real {self.name}, over time{told}{self.few}",
            f"{self.name}: real blue{told}{self.few}",
        )


class _Vectors:
    """In standard deviations of the real examples; counts as log(1 + n), categories as 0 and 1."""

    unit: ClassVar[str] = "sd"

    def __init__(self, name: str, entry: Mapping[str, Any], examples: np.ndarray) -> None:
        self.name, self.space = name, Standard(examples, entry)
        self.columns = [
            text
            for column in entry["columns"]
            for text in (
                [
                    f"{column['name']} is {value}"
                    for value in column.get("texts") or range(column["categories"])
                ]
                if column["kind"] == "categorical"
                else [column["name"]]
            )
        ]

    def _bars(self, values: np.ndarray, caption: str) -> Block:
        """Of the largest values, in the order of the columns' names."""
        order = np.argsort(-np.abs(values), kind="stable")[:_BARS]
        largest = [place for place in order if abs(values[place]) >= 0.005]  # what is not +0.00
        rest = len(values) - len(largest)
        caption += f"; {rest} other column{'s' * (rest > 1)} less" if rest else ""
        return Bars(
            [(self.columns[place], float(values[place])) for place in largest], self.unit, caption
        )

    def kind(self, made: np.ndarray, real: np.ndarray) -> Block:
        told = "real" if len(real) else "generated"
        values = self.space(real if len(real) else made).mean(axis=0)
        return self._bars(values, f"{self.name}: {told} rows against the average of all")

    def sweep(self, made: np.ndarray, steps: Sequence[str]) -> Block:
        first, *_, last = self.space(made)
        return self._bars(last - first, f"{self.name}: change from {steps[0]} to {steps[-1]}")

    def pair(self, real: np.ndarray, made: np.ndarray | None, said: str = EXPECTED) -> Block:
        if made is None:
            return self._bars(self.space(real)[0], f"{self.name} against the average of all")
        difference = self.space(real)[0] - self.space(made).mean(axis=0)
        return self._bars(difference, f"{self.name} less {said}")


_OF_KIND: dict[str, type[Any]] = {"image": _Images, "series": _Series, "vector": _Vectors}


def pictures_of(name: str, entry: Mapping[str, Any], examples: np.ndarray) -> Pictures:
    """How examples of a side are shown; of a kind of the user's own as lines.

    Args:
        name: of the side.
        entry: what its modality says of itself.
        examples: real ones, `(n, *shape)`, for scales.
    """
    return _OF_KIND.get(entry["kind"], _Series)(name, entry, examples)
