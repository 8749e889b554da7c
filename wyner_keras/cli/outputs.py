"""What a model makes, written as a picture, a table or arrays; and the pictures of a run."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wyner_keras import page, pictures, plots
from wyner_keras.files import shortest, write_arrays
from wyner_keras.runs import Examples
from wyner_serving.sides import OTHER
from wyner_serving.whole import whole_file

if TYPE_CHECKING:
    from wyner_keras.data import Pairs
    from wyner_keras.model import WynerModel

Entry = Mapping[str, Any]
SUFFIXES = (".png", ".npz", ".npy", ".csv")


@dataclass(frozen=True)
class Output:
    """A new file, of a kind that its suffix says.

    Args:
        path: `.png` a picture, `.npz` all arrays, `.npy` what is made alone, `.csv` a table of
            vectors.
        entries: what the model says of each side.
    """

    path: Path
    entries: Mapping[str, Entry]

    def check(self, made: str, *numbers: int) -> None:
        """Refuse what cannot be written so, before anything is generated.

        Args:
            made: sides that are made, "y" or "xy".
            numbers: of rows and columns of images in a picture.
        """
        suffix = self.path.suffix
        kinds = [self.entries[side]["kind"] for side in made]
        if suffix == ".csv" and set(kinds) != {"vector"}:
            raise ValueError(
                f"--out should be .csv where vectors are made. Received: {self.path.name!r} for "
                f"{' and '.join(kinds)}"
            )
        if suffix == ".npy" and len(made) > 1:
            raise ValueError(f"--out should be .npz for pairs. Received: {self.path.name!r}")
        if suffix == ".png" and self.of_images:
            shapes: list[Any] = [tuple(entry["shape"]) for entry in self.entries.values()]
            rows, columns = numbers
            page.check_drawable(rows, columns, *shapes)

    @property
    def of_images(self) -> bool:
        """Whether both sides are images."""
        return all(entry["kind"] == "image" for entry in self.entries.values())

    def _write(self, arrays: Mapping[str, np.ndarray], made: str) -> Path:
        if self.path.suffix == ".npz":
            return write_arrays(self.path, **arrays)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(self.path) as temporary, temporary.open("wb") as stream:
            if self.path.suffix == ".npy":
                np.save(stream, arrays[made], allow_pickle=False)
            else:
                stream.write(self._table(arrays).encode())
        return self.path

    def _table(self, arrays: Mapping[str, np.ndarray]) -> str:
        """Columns x.NAME and y.NAME, a row a sample; what is given stands in each of its rows."""
        vectors = {
            side: values.reshape(-1, values.shape[-1])
            for side, values in arrays.items()
            if self.entries.get(side, {}).get("kind") == "vector"
        }
        rows = max(map(len, vectors.values()))
        columns = [
            (f"{side}.{column['name']}", column)
            for side in vectors
            for column in self.entries[side]["columns"]
        ]
        flat = [values.repeat(rows // len(values), axis=0) for values in vectors.values()]
        stream = io.StringIO(newline="")
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(name for name, _ in columns)
        for row in np.concatenate(flat, axis=1):
            cells = zip(row, columns, strict=True)
            writer.writerow(_cell(value, column) for value, (_, column) in cells)
        return stream.getvalue()

    def conditional(
        self,
        side: str,
        given: np.ndarray,
        made: np.ndarray,
        truth: np.ndarray | None = None,
        title: str | None = None,
    ) -> Path:
        """Write samples `(n, samples, ...)` of the other side, and what they are given."""
        other = OTHER[side]
        if self.path.suffix != ".png":
            return self._write({side: given, other: made}, other)
        if self.of_images:
            captions = (f"input {side}", f"samples of {other}")
            return pictures.conditional_grid(given, made, self.path, title, captions=captions)
        entries = self.entries[side], self.entries[other]
        return plots.conditional_plot(entries, given, made, truth, self.path, title)

    def joint(
        self,
        x: np.ndarray,
        y: np.ndarray,
        title: str | None = None,
        real: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> Path:
        """Write pairs."""
        if self.path.suffix != ".png":
            return self._write({"x": x, "y": y}, "xy")
        if self.of_images:
            return pictures.joint_grid(x, y, self.path, title)
        entries = self.entries["x"], self.entries["y"]
        return plots.joint_plot(entries, (x, y), self.path, title, real)

    def transfer(
        self,
        side: str,
        style: np.ndarray,
        concept: np.ndarray,
        result: np.ndarray,
        title: str | None = None,
    ) -> Path:
        """Write what has every style and every concept, `(styles, concepts, ...)`."""
        other = OTHER[side]
        if self.path.suffix == ".csv":
            return self._write({side: result}, side)
        if self.path.suffix != ".png":
            return self._write({"style": style, "concept": concept, "result": result}, "result")
        if self.of_images:
            captions = (f"style {side}", f"concept {other}")
            return pictures.transfer_grid(
                style, concept, result, self.path, title, captions=captions
            )
        entries = self.entries[side], self.entries[other]
        return plots.transfer_plot(entries, style, concept, result, self.path, title)


def _cell(value: float, column: Entry) -> str:
    """A value as a table holds it: a category by its text, where it has one."""
    if np.isnan(value):
        return ""
    return column["texts"][int(value)] if column.get("texts") else shortest(value)


def draw(model: WynerModel, held_out: Pairs, folder: Path, seed: int) -> dict[str, Path]:
    """Draw what a model makes of held-out pairs: the three pictures of a run.

    Args:
        model: what generates.
        held_out: pairs; of labelled ones, one of each class in turn is shown.
        folder: where the pictures are written.
        seed: of draws and noise.
    """
    entries = model.side_entries
    scattered = entries["y"]["kind"] == "vector"
    examples = Examples.of(held_out, 200, seed)
    x, y = examples.rows["x"], examples.rows["y"]
    places = examples.positions("x", 200 if scattered else None, seed)
    # Styles are other examples than concepts, where there are others.
    styles = examples.positions("x", 2 * len(places), seed)[-min(6, len(places)) :]
    concepts = examples.positions("y", None, seed)

    def at(name: str) -> Output:
        return Output(folder / f"{name}.png", entries)

    samples = model.generate_y(x[places], seed=seed, samples=10)
    results = model.transfer_x(style=x[styles], concept=y[concepts], seed=seed)
    made_x, made_y = model.generate_pairs(200 if scattered else 30, seed=seed)
    return {
        "conditional": at("conditional").conditional(
            "x", x[places], samples, y[places], "Conditional generation: y given x"
        ),
        "transfer": at("transfer").transfer(
            "x", x[styles], y[concepts], results, "Style transfer: style of x, concept of y"
        ),
        "joint": at("joint").joint(made_x, made_y, "Joint generation: pairs (x, y)", (x, y)),
    }
