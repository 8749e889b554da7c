"""Parts of an output: rows of one range, written whole or not at all, the same bytes every time."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wyner_serving.errors import InputError
from wyner_serving.whole import beside, settle

_PART = "part-"  # what the names of parts begin with

Arrays = dict[str, np.ndarray]
Entries = Mapping[str, Mapping[str, Any]]
Writer = Callable[[Path, Iterator[Arrays], Entries], None]
INPUT = "input"
"""The name of the column of input files."""


def _tables(path: Path, chunks: Iterator[Arrays], entries: Entries) -> None:
    # Here, because it needs pyarrow.
    from wyner_serving.bulk.tables import write_table

    write_table(path, chunks, entries)


def _arrays(path: Path, chunks: Iterator[Arrays], _: Entries) -> None:
    parts = list(chunks)
    arrays: dict[str, Any] = {
        name: np.concatenate([part[name] for part in parts]) for name in parts[0]
    }
    with path.open("wb") as stream:
        np.savez(stream, **arrays)


def _images(path: Path, chunks: Iterator[Arrays], entries: Entries) -> None:
    """A folder a side of images called as their row, and `rows.csv` of what else is known."""
    # Here, because it needs Pillow.
    from wyner_serving.samples import write_png

    path.mkdir()
    # The temporary folder around is its writer's alone; this one will be read by others.
    path.chmod(0o755)
    with (path / "rows.csv").open("w", encoding="utf-8", newline="") as stream:
        lines = csv.writer(stream, lineterminator="\n")
        for number, chunk in enumerate(chunks):
            facts = {name: values for name, values in chunk.items() if name not in entries}
            files = [
                _called(*each)
                for each in zip(*(facts[n].tolist() for n in facts if n != INPUT), strict=True)
            ]
            if not number:
                lines.writerow([*facts, "file"])
            lines.writerows(
                zip(*(values.tolist() for values in facts.values()), files, strict=True)
            )
            for side in chunk.keys() - facts.keys():
                (path / side).mkdir(exist_ok=True)
                for name, image in zip(files, chunk[side], strict=True):
                    write_png(path / side / name, image)


def _called(row: int, *sample: int) -> str:
    return "-".join([f"{row:09d}", *(f"{each:03d}" for each in sample)]) + ".png"


_WRITERS: dict[str, tuple[str, Writer]] = {
    "parquet": (".parquet", _tables),
    "npz": (".npz", _arrays),
    "images": ("", _images),
}
FORMS = tuple(_WRITERS)
"""How outputs are written."""


def part_name(number: int, form: str) -> str:
    """The name of a part's file, or of its folder."""
    return f"{_PART}{number:06d}{_WRITERS[form][0]}"


def is_part(name: str) -> bool:
    """Whether a file or folder of this name is a part, of whatever form."""
    return name.startswith(_PART)


def write_part(path: Path, form: str, chunks: Iterable[Arrays], entries: Entries) -> None:
    """Write a part, whole or not at all.

    Args:
        path: of the part, by `part_name`. Where one is already, another writer's, it is the same.
        form: one of `FORMS`.
        chunks: by column, rows after rows.
        entries: what the model says of each side.
    """
    with beside(path) as folder:
        new = folder / path.name
        _WRITERS[form][1](new, iter(chunks), entries)
        settle(new)
        try:
            os.replace(new, path)
        except OSError:
            # A folder does not take the place of one.
            if not (new.is_dir() and path.is_dir()):
                raise


def check_form(form: str, made: Iterable[str], entries: Entries) -> None:
    """Refuse a form that cannot hold what is made, before any work.

    Args:
        form: one of `FORMS`.
        made: the sides that are made; none where latents or rows are.
        entries: what the model says of each side.

    Raises:
        InputError: if it cannot.
    """
    if form not in FORMS:
        raise InputError(f"`form` should be one of {', '.join(FORMS)}. Received: {form!r}")
    if form == "parquet":
        import wyner_serving.bulk.tables  # noqa: F401
    if form != "images":
        return
    sides = {side: entries[side] for side in made}
    drawn = [e["kind"] == "image" and e["shape"][-1] in (1, 2, 3, 4) for e in sides.values()]
    if not drawn or not all(drawn):
        kinds = {side: entry["kind"] for side, entry in sides.items()}
        raise InputError(
            f"`form` should be images where images of 1 to 4 channels are made. Received: {kinds}"
        )
