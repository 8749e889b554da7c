"""Rows a second of bulk work, in one process and on a cluster, and memory over rows.

    python -m benchmarks.bulk BUNDLE [--rows 100000] [--task generate_y] [--workers 1 2]

The input is a .npy file of a bundle's samples, over and over; the output is Parquet. Memory is what
is resident of the process itself, after each part. With workers, a cluster of this machine is
started for each number of them. Time counts over the second half of the parts, when all processes
have started, which Ray's first parts do not wait for; the bytes must be those of one process. Needs
`wyner-keras[bulk]`, and `[ray]` for workers.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.resident import most_mb, resident_mb
from wyner_serving import Bundle
from wyner_serving.bulk import Job, run
from wyner_serving.sides import OTHER

_SHOWN = 12  # lines of memory


class Watch:
    """When each part was there, and what was resident then."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float, int, float]] = []

    def __call__(self, done: int, rows: int) -> None:
        """Note the clock, the processor's time, the rows and MB."""
        self.seen.append((time.perf_counter(), time.process_time(), done, resident_mb()))

    def speed(self, clock: int = 0) -> float:
        """Rows a second in the second half of the parts; of the processor's time with clock 1."""
        first, last = self.seen[len(self.seen) // 2], self.seen[-1]
        return (last[2] - first[2]) / (last[clock] - first[clock])


def write_rows(bundle: str, task: str, rows: int, folder: Path) -> dict[str, Any]:
    """The input of a task, written a block at a time; the job's words for it."""
    if task == "generate_pairs":
        return {"count": rows}
    side = task[-1] if task.startswith("encode") else OTHER[task[-1]]
    examples = Bundle.load(bundle).samples(side)
    path = folder / f"{side}.npy"
    with path.open("wb") as stream:
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows, *examples.shape[1:])}
        np.lib.format.write_array_header_1_0(stream, header)
        for start in range(0, rows, 10_000):
            places = np.arange(start, min(rows, start + 10_000)) % len(examples)
            stream.write(examples[places].tobytes())
    return {"input": str(path)}


def digest(folder: str) -> str:
    """SHA-256 of all parts."""
    found = hashlib.sha256()
    for path in sorted(Path(folder).glob("part-*")):
        with path.open("rb") as stream:
            found.update(hashlib.file_digest(stream, "sha256").digest())
    return found.hexdigest()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rows-per-part", type=int, default=Job.rows_per_part)
    parser.add_argument("--task", default="generate_y")
    parser.add_argument("--workers", type=int, nargs="*", default=[])
    options = parser.parse_args()
    if options.rows <= 2 * options.rows_per_part:
        parser.error(
            "--rows should be more than two parts of --rows-per-part. "
            f"Received: {options.rows} and {options.rows_per_part}"
        )
    with tempfile.TemporaryDirectory() as place:
        words = write_rows(options.bundle, options.task, options.rows, Path(place))

        def job(output: str) -> Job:
            return Job(
                bundle=options.bundle,
                task=options.task,
                output=f"{place}/{output}",
                rows_per_part=options.rows_per_part,
                **words,
            )

        alone = Watch()
        run(job("one"), alone)
        expected = digest(job("one").output)
        print(
            f"one process: {alone.speed():.0f} rows/s, {alone.speed(1):.0f} a second of processor"
        )
        print("MB resident after rows:")
        for _, _, done, megabytes in alone.seen[:: max(1, len(alone.seen) // _SHOWN)]:
            print(f"{done:10d} {megabytes:8.1f}")
        print(f"{'at most':>10} {most_mb():8.1f}")
        for workers in options.workers:
            from wyner_serving.ray import run as run_on_cluster

            watch, output = Watch(), f"of {workers}"
            run_on_cluster(job(output), address="local", workers=workers, progress=watch)
            same = "the same bytes" if digest(job(output).output) == expected else "OTHER BYTES"
            share = watch.speed() / (workers * alone.speed())
            print(
                f"{workers} workers: {watch.speed():.0f} rows/s, {share:.2f} of {workers} times "
                f"one process; {same}"
            )


if __name__ == "__main__":
    main()
