"""Bulk work on a cluster of Ray: the files of one process, from any number of them.

Example:
    On the machines of a cluster, which share the folders::

        run(Job(bundle="bundle", task="generate_y", input="x", output="y"), address="auto")
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from wyner_serving.bulk import BulkTask, Done, Job, Work
from wyner_serving.bulk.running import Progress, begun, follow
from wyner_serving.checks import check_count
from wyner_serving.errors import BundleError, InputError, ServingError

# Ray reports to its maker, too, unless who starts the cluster has it otherwise.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

try:
    import ray
    import ray.data
except ImportError as error:
    raise InputError(
        "A cluster should be reached by Ray Data: pip install 'wyner-keras[ray]'. "
        f"Received: {error}"
    ) from error

LOCAL = "local"
"""The address that starts a cluster of this machine alone, which ends with the job."""
_PART, _ROWS = "part", "rows"
_ERRORS: dict[str, type[Exception]] = {
    "input": InputError,
    "bundle": BundleError,
    "system": OSError,
}


class PartWriter:
    """Writes parts of a job; one instance a worker, for `map_batches`.

    What goes wrong with bundle, rows or files comes back as data: Ray's errors keep of others their
    text alone.

    Args:
        job: the job.
        plan: of the job, where it was begun.
    """

    def __init__(self, job: Job, plan: dict[str, Any]) -> None:
        self._job, self._plan = job, plan
        self._work: Work | None = None

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Write the parts of a batch; how many rows each has, and what went wrong."""
        rows, error = [0] * len(batch[_PART]), ("", "")
        try:
            work = self._opened()
            rows = [work.write(part) for part in batch[_PART].tolist()]
        except tuple(_ERRORS.values()) as found:
            name = next(name for name, kind in _ERRORS.items() if isinstance(found, kind))
            error = (name, str(found))
        errors = np.array([error] * len(rows))
        return {
            _PART: batch[_PART],
            _ROWS: np.array(rows),
            "kind": errors[:, 0],
            "error": errors[:, 1],
        }

    def _opened(self) -> Work:
        if self._work is None:
            work = Work(self._job)
            there = work.plan()
            other = {name: there[name] for name in there if there[name] != self._plan[name]}
            if other:
                raise InputError(
                    "Each machine should see the same files by the same packages. "
                    f"Received: {other}, not { ({name: self._plan[name] for name in other}) }"
                )
            self._work = work
        return self._work


def run(
    job: Job,
    *,
    address: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Done:
    """Do what of a job is not done, on a cluster.

    Parts are the rows that the job says, not Ray's blocks: they have the bytes that
    `wyner_serving.bulk.run` gives them. A part whose worker or node is gone is written by another.
    Every machine must see bundle, input and output under the same paths, and processors that round
    alike give the same bytes.

    Args:
        job: see `Job`.
        address: of the cluster, `"auto"` or `"local"`, see `ray.init`; None takes the one that
            this process is connected to.
        workers: processes of one processor each; default all processors of the cluster but one,
            which is left to whatever else runs there.
        progress: see `wyner_serving.bulk.run`.

    Raises:
        InputError: see `wyner_serving.bulk.run`.
        BundleError: likewise.
        ServingError: if the cluster fails.
        BlockingIOError: if another process writes the output.
    """
    if workers is not None:
        check_count(workers, "workers")
    work = Work(job)
    with begun(work) as missing:
        if not missing:
            return follow(work, missing, iter(()), progress)
        with _connected(address), _quiet():
            most = min(workers or _free(), len(missing))
            parts = ray.data.from_items(
                [{_PART: part} for part in missing], override_num_blocks=len(missing)
            ).map_batches(
                PartWriter,
                fn_constructor_kwargs={"job": _absolute(job), "plan": work.plan()},
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(size=most),
                num_cpus=1,
            )
            return follow(work, missing, _rows(parts), progress)


def map_rows(
    dataset: Any,
    bundle: str | os.PathLike[str],
    task: str,
    *,
    seed: int = 0,
    gallery: str | os.PathLike[str] | None = None,
    top: int = 10,
    workers: int | None = None,
    batch_size: int = 1024,
) -> Any:
    """A task on a data set of one's own.

    Whoever writes the result needs processors too: workers on all of them, and writers wait for
    ever.

    Args:
        dataset: of Ray Data, with the columns that `BulkTask` reads: `row`, a number of each row's
            own, on which alone its noise depends, and the examples.
        bundle: its folder, the same on all machines.
        task: see `BulkTask`.
        seed: of the noise.
        gallery: file to rank in.
        top: how many rows of the gallery for each query.
        workers: processes of one processor each; default all of the cluster but one.
        batch_size: rows at once; it changes no result.

    Returns:
        A data set with the columns that `BulkTask` gives, lazy as all of Ray's.

    Raises:
        InputError: if an argument is not as said.
    """
    # Refused here rather than in a worker.
    BulkTask(bundle, task, seed=seed, gallery=gallery, top=top)
    settings = {"seed": seed, "gallery": gallery, "top": check_count(top, "top")}
    size = _free() if workers is None else check_count(workers, "workers")
    return dataset.map_batches(
        BulkTask,
        fn_constructor_args=(os.path.abspath(bundle), task),
        fn_constructor_kwargs=settings,
        batch_size=check_count(batch_size, "batch_size"),
        compute=ray.data.ActorPoolStrategy(size=size),
        num_cpus=1,
    )


def _absolute(job: Job) -> Job:
    """The job, for processes in other folders."""
    paths = {name: getattr(job, name) for name in ("bundle", "output", "input", "gallery")}
    return replace(
        job, **{name: os.path.abspath(path) for name, path in paths.items() if path is not None}
    )


def _free() -> int:
    """Processors of the cluster but one."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)) - 1)


@contextlib.contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """In a cluster; one that was joined here is left at the end."""
    if ray.is_initialized():
        yield
        return
    # Ray asks nobody who they are: a cluster of one machine is not for others to reach.
    alone = {"_node_ip_address": "127.0.0.1", "include_dashboard": False}
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="warning",
            **(alone if address == LOCAL else {}),
        )
    except (ConnectionError, ValueError) as error:
        raise InputError(
            f"`address` should be of a cluster of Ray. Received: {address!r} ({error})"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Ray's own lines and bars of progress; what goes wrong comes as an error."""
    context, logger = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    before, level = context.enable_progress_bars, logger.level
    context.enable_progress_bars = False
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.enable_progress_bars = before
        logger.setLevel(level)


def _rows(parts: Any) -> Iterator[int]:
    """The rows of each part, when it is written."""
    try:
        for row in parts.iter_rows():
            if row["kind"]:
                raise _ERRORS[row["kind"]](row["error"])
            yield int(row[_ROWS])
    except ray.exceptions.RayError as error:
        raise ServingError(f"The cluster should do the job. Received: {error}") from error
