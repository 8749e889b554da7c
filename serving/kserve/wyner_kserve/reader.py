"""Long requests are read in a process of its own: while it parses, no thread waits for it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

from wyner_kserve.calls import Call, Question, read
from wyner_kserve.refusals import invalid, not_ready
from wyner_kserve.tasks import Task

_tasks: dict[str, Task] = {}


# A number of one digit in a list of its own, `[0],`, takes four bytes of JSON, and so many times
# that as objects.
_MEMORY_OF_BYTE, _MEMORY_AROUND = 32, 2**26


def _begin(tasks: dict[str, Task], max_bytes: int) -> None:
    """In the process: keep the tasks; yield to the server; end with it, and at no signal."""
    _tasks.update(tasks)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _MEMORY_OF_BYTE * max_bytes + _MEMORY_AROUND
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    os.nice(10)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)


def _read(call: Call) -> Question:
    try:
        return read(call, _tasks)
    except MemoryError as error:
        raise invalid("The body should fit in memory. Received: one that does not") from error


class Reader:
    """Reads requests in another process, one at a time.

    Args:
        tasks: by the model's name.
        max_bytes: of a request; it bounds the process' memory.
    """

    def __init__(self, tasks: Mapping[str, Task], max_bytes: int) -> None:
        # A gallery that is kept may be large, and reading needs none.
        self._tasks = {name: replace(task, kept={}) for name, task in tasks.items()}
        self._max_bytes = max_bytes
        self._pool = self._open()

    def _open(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, context, _begin, (self._tasks, self._max_bytes))

    def start(self) -> Future[int]:
        """Start the process; the result is there when it is."""
        return self._pool.submit(os.getpid)

    async def read(self, call: Call) -> Question:
        """What `calls.read` returns.

        Raises:
            Refused: if the process was killed; the next request finds another one.
        """
        pool = self._pool
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, _read, call)
        except BrokenProcessPool as error:
            if self._pool is pool:
                self._pool = self._open()
            raise not_ready("a reader that ended") from error

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown(wait=False, cancel_futures=True)
