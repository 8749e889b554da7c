"""Doing a job in one process, and saying how far it is."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from wyner_serving.bulk.job import Done, Job, Work
from wyner_serving.whole import clear_leftovers, held

_log = logging.getLogger(__name__)

_REPORT = 10.0  # seconds between lines of progress
Progress = Callable[[int, int], None]


def run(job: Job, progress: Progress | None = None) -> Done:
    """Do what of a job is not done, in this process.

    Args:
        job: see `Job`.
        progress: called after each part with the rows done and those there are; None logs lines.

    Raises:
        InputError: if the job asks for what cannot be, or rows are not as the model's. Parts that
            were written stay; the same job goes on after them.
        BundleError: if its bundle is no whole one.
        BlockingIOError: if another process writes the output.

    Example:
        >>> job = Job(bundle="b", task="generate_y", input="x", output="y")  # doctest: +SKIP
        >>> run(job)  # doctest: +SKIP
        Done(rows=1000000, parts=123, written=123)
    """
    with contextlib.closing(Work(job)) as work, begun(work) as missing:
        return follow(work, missing, map(work.write, missing), progress)


@contextlib.contextmanager
def begun(work: Work) -> Iterator[list[int]]:
    """Inside, the output is there and this process is the one that does its job.

    Yields:
        The parts that are missing, see `Work.prepare`.

    Raises:
        InputError: if something else lies there.
        BlockingIOError: if another process writes it.
    """
    work.make()
    with held(work.output):
        yield work.prepare()


def follow(
    work: Work, missing: list[int], written: Iterator[int], progress: Progress | None = None
) -> Done:
    """Count what is written, part after part, and clear up at the end.

    Args:
        work: whose parts they are.
        missing: parts that were not there.
        written: the rows of each, in any order, when it is there.
        progress: see `run`.
    """
    progress = progress or Lines()
    done = work.rows - sum(map(work.rows_of, missing))
    for rows in written:
        done += rows
        progress(done, work.rows)
    clear_leftovers(work.output)
    return Done(work.rows, work.parts, len(missing))


class Lines:
    """Progress as lines of the log, one every few seconds."""

    def __init__(self) -> None:
        self._begin = self._last = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, rows: int) -> None:
        """Say how far it is, and how long it will take, if the last line is some seconds old."""
        now = time.monotonic()
        if self._first is None:
            self._begin, self._first = now, done
        if now - self._last < _REPORT and done < rows:
            return
        self._last = now
        speed = (done - self._first) / max(now - self._begin, 1e-9)
        left = f", {speed:.0f} rows/s, {(rows - done) / speed:.0f} s left" if speed else ""
        _log.info("%d of %d rows%s", done, rows, left)
