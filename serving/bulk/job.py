"""Bulk work as a whole: what is to be done, what of it is done, and doing a part."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wyner_serving.bulk.parts import INPUT, check_form, is_part, part_name, write_part
from wyner_serving.bulk.sources import PLAN, Source, open_source
from wyner_serving.bulk.task import ROW, BulkTask
from wyner_serving.checks import check_count, check_memory, check_seed
from wyner_serving.errors import InputError
from wyner_serving.manifest import read_sealed
from wyner_serving.whole import clear_leftovers, whole_file

FORMAT = 1
SAMPLE = "sample"

_MOST_PARTS = 10**6
_MOST_AT_ONCE, _BYTES_AT_ONCE = 1024, 2**24  # rows that are in memory together
_PACKAGES = ("numpy", "onnxruntime", "pillow", "pyarrow")


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be done with which rows; it travels to other processes.

    Args:
        bundle: the bundle's folder.
        task: see `BulkTask`.
        output: folder to write; new, or of this job, which then goes on.
        input: a file or folder of rows; see `open_source`. None for `generate_pairs`.
        count: how many pairs; or of the input, how many rows from the first on. None for all.
        samples: how many for each input, of tasks that draw; None gives one, without a number.
        seed: of the noise, of which each row has its own.
        gallery: file to rank in.
        top: how many rows of the gallery for each query.
        form: "parquet", "npz" or "images".
        rows_per_part: rows of a file.
    """

    bundle: str
    task: str
    output: str
    input: str | None = None
    count: int | None = None
    samples: int | None = None
    seed: int = 0
    gallery: str | None = None
    top: int = 10
    form: str = "parquet"
    rows_per_part: int = 8192


class Done(NamedTuple):
    """What a job came to.

    Args:
        rows: of the whole output.
        parts: files or folders of it.
        written: parts that this call wrote; the others were there.
    """

    rows: int
    parts: int
    written: int


class Work:
    """A job with its bundle and its input open.

    Raises:
        InputError: if the job asks for what cannot be.
        BundleError: if its bundle is no whole one.
    """

    def __init__(self, job: Job) -> None:
        self.job, self.output = job, Path(job.output)
        self.task = BulkTask(job.bundle, job.task, seed=job.seed, gallery=job.gallery, top=job.top)
        self._entries = self.task.bundle.side_entries
        check_form(job.form, self.task.made, self._entries)
        self._source = self._opened()
        self._samples = 1 if job.samples is None else check_count(job.samples, "samples")
        if self._samples > 1 and job.task.startswith("rank"):
            raise InputError(f"`samples` should be of tasks that draw. Received: {job.task}")
        self.rows = self._inputs() * self._samples
        self.parts = -(-self.rows // check_count(job.rows_per_part, "rows_per_part"))
        if self.parts > _MOST_PARTS:
            raise InputError(
                f"`rows_per_part` should leave at most {_MOST_PARTS} parts. "
                f"Received: {job.rows_per_part}, of {self.rows} rows"
            )
        if job.form == "npz":
            rows = min(job.rows_per_part, self.rows)
            check_memory("rows_per_part", {"rows": rows}, *self._shapes())

    def _opened(self) -> Source | None:
        job, sides = self.job, self.task.inputs
        if bool(sides) != (job.input is not None):
            wanted = f"be given for {job.task}" if sides else f"be absent for {job.task}"
            raise InputError(f"`input` should {wanted}. Received: {job.input}")
        if job.input is None:
            return None
        # Of links that loop, too: Path.resolve would raise.
        output = Path(os.path.realpath(self.output))
        if output.is_relative_to(os.path.realpath(job.input)):
            raise InputError(f"`output` should lie outside the input. Received: {job.output!r}")
        return open_source(job.input, {name: self._entries[side] for name, side in sides.items()})

    def _inputs(self) -> int:
        job = self.job
        count = None if job.count is None else check_count(job.count, "count")
        if self._source is None:
            if count is None:
                raise InputError(f"`count` should be given for {job.task}. Received: None")
            return count
        there = len(self._source)
        if count is not None and count > there:
            raise InputError(f"`count` should be at most {there}, the rows. Received: {count}")
        return there if count is None else count

    def _shapes(self) -> list[tuple[int, ...]]:
        """Of arrays that bound what a row has in memory."""
        latents = [entry for entry in self.task.bundle.latent_entries.values() if entry]
        return [
            *(tuple(entry["shape"]) for entry in self._entries.values()),
            (3 * sum(entry["size"] for entry in latents) + 3 * self.job.top,),
        ]

    def close(self) -> None:
        """Close the file of the input that was read last."""
        if self._source is not None:
            self._source.close()

    def plan(self) -> dict[str, Any]:
        """What the output is of: with the same plan, parts have the same bytes."""
        job, gallery = self.job, None
        if job.gallery is not None:
            gallery = hashlib.sha256(Path(job.gallery).read_bytes()).hexdigest()
        return {
            "format": FORMAT,
            "bundle": read_sealed(Path(job.bundle))[1],
            "task": job.task,
            "seed": check_seed(job.seed),
            "input": None if self._source is None else self._source.digest(),
            "gallery": gallery,
            "top": int(job.top) if gallery else None,
            "samples": None if job.samples is None else self._samples,
            "rows": self.rows,
            "rows_per_part": int(job.rows_per_part),
            "form": job.form,
            "versions": _versions(),
        }

    def make(self) -> None:
        """Make the output's folder where there is none.

        Raises:
            InputError: if something else than a folder lies there.
        """
        if self.output.exists() and not self.output.is_dir():
            raise InputError(f"`output` should be a folder. Received: {str(self.output)!r}, a file")
        self.output.mkdir(parents=True, exist_ok=True)

    def prepare(self) -> list[int]:
        """See that the output is of this job, or begin it; the parts that are missing there.

        Raises:
            InputError: if something else lies there.
        """
        path, plan = self.output / PLAN, self.plan()
        if path.exists() and not any(map(is_part, os.listdir(self.output))):
            path.unlink()  # of a job whose first rows were refused
        if not path.exists():
            # Of one that was killed before it had said what the output is of, or in its first part.
            clear_leftovers(self.output)
            if any(self.output.iterdir()):
                raise InputError(
                    f"`output` should be new or empty, or of the same job. "
                    f"Received: {str(self.output)!r}, with other files"
                )
            with whole_file(path) as new:
                new.write_text(json.dumps(plan, indent=2) + "\n", encoding="utf-8")
        _check_plan(path, plan)
        # One listing, not a look a part.
        there = set(os.listdir(self.output))
        return [part for part in range(self.parts) if self._name(part) not in there]

    def _name(self, part: int) -> str:
        return part_name(part, self.job.form)

    def rows_of(self, part: int) -> int:
        """How many rows a part has."""
        return min(self.rows - part * self.job.rows_per_part, self.job.rows_per_part)

    def write(self, part: int) -> int:
        """Write a part; how many rows it has.

        Raises:
            InputError: if rows of it are not as the model's; nothing is written.
        """
        start = part * self.job.rows_per_part
        stop = start + self.rows_of(part)
        write_part(
            self.output / self._name(part), self.job.form, self._chunks(start, stop), self._entries
        )
        return stop - start

    def _chunks(self, start: int, stop: int) -> Iterator[dict[str, np.ndarray]]:
        size = 4 * sum(math.prod(shape) for shape in self._shapes())
        step = max(32, min(_MOST_AT_ONCE, _BYTES_AT_ONCE // size) // 32 * 32)
        while start < stop:
            # Up to a multiple, so that passes of 32 are full.
            end = min(stop, (start // step + 1) * step)
            yield self._results(np.arange(start, end))
            start = end

    def _results(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Results of rows of the output, `samples` of them an input."""
        rows = numbers // self._samples
        given: dict[str, Any] = {}
        facts = {ROW: rows}
        if self.job.samples is not None:
            facts[SAMPLE] = numbers % self._samples
        if self._source is not None:
            first, last = int(rows[0]), int(rows[-1]) + 1
            read = self._source.read(first, last)
            given = {name: values[rows - first] for name, values in read.items()}
            names = self._source.names(first, last)
            if names is not None:
                facts[INPUT] = np.array(names)[rows - first]
        try:
            made = self.task({ROW: numbers, **given})
        except InputError as error:
            raise InputError(f"rows {rows[0]} to {rows[-1]} of the input: {error}") from error
        return {**facts, **{name: values for name, values in made.items() if name != ROW}}


def _check_plan(path: Path, plan: dict[str, Any]) -> None:
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        other = {name: (there.get(name), value) for name, value in plan.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path} should be a job's plan. Received: {error}") from error
    other = {name: values for name, values in other.items() if values[0] != values[1]}
    if other:
        told = ", ".join(
            f"{name} {old!r:.70}, not {new!r:.70}" for name, (old, new) in other.items()
        )
        raise InputError(
            f"`output` should be new, or of the same job. "
            f"Received: {str(path.parent)!r}, of another: {told}"
        )


def _versions() -> dict[str, str]:
    """Of what computes and writes: others may round, or lay bytes out, in another way."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
