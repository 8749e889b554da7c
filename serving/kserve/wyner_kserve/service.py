"""A bundle at work: requests of all protocols, within limits, in threads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wyner_kserve.calls import Call, Question, read, write
from wyner_kserve.limits import LARGE, Limits
from wyner_kserve.reader import Reader
from wyner_kserve.records import COMPUTING, READY, WAITING, Record
from wyner_kserve.refusals import busy, not_ready, out_of_time
from wyner_kserve.tasks import Task
from wyner_serving import Bundle, BundleError
from wyner_serving.contents import read_file


class Service:
    """Answers requests once its bundle is verified.

    Args:
        tasks: by the model's name.
        limits: of the requests.
        concurrency: requests computed at once.
    """

    def __init__(self, tasks: Mapping[str, Task], limits: Limits, concurrency: int) -> None:
        self.tasks = tasks
        self._limits = limits
        self._bundle: Bundle | None = None
        self._stopping = False
        self._inside = {False: 0, True: 0}  # by whether a request is large
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="bundle")
        self._reader = Reader(tasks, limits.max_bytes)

    @property
    def ready(self) -> bool:
        """Whether the bundle is verified, every task has run, and the server does not end."""
        return self._bundle is not None and not self._stopping

    def open(self, bundle: Bundle) -> None:
        """Run every task once; ready from then on.

        Args:
            bundle: a verified one.
        """
        started = self._reader.start()
        for task in self.tasks.values():
            task.warm_up(bundle)
        started.result()
        self._bundle = bundle
        READY.set(self.ready)

    def stop(self) -> None:
        """Take no request more; those under way go on."""
        self._stopping = True
        READY.set(0)

    def close(self) -> None:
        """End the reader's process and the threads, which may be busy with abandoned requests."""
        self._reader.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def answer(self, call: Call, record: Record) -> tuple[bytes, dict[str, str]]:
        """The answer's bytes and headers.

        Args:
            call: the request.
            record: what is said of it, filled in.

        Raises:
            Refused: if the server is not ready, has too much to do, or takes too long.
            InvalidInput: if the request is not as it should be.
            InputError: likewise.
        """
        bundle = self._bundle
        if bundle is None:
            raise not_ready("a bundle that is being verified")
        large = len(call.body) > LARGE
        if call.model in self.tasks:
            record.model = call.model or ""
        with self._place(large):
            try:
                async with asyncio.timeout(self._limits.request_seconds):
                    loop = asyncio.get_running_loop()
                    given = await self._reader.read(call) if large else call
                    return await loop.run_in_executor(
                        self._threads, self._work, bundle, given, record
                    )
            except TimeoutError as error:
                raise out_of_time(self._limits.request_seconds) from error

    @contextlib.contextmanager
    def _place(self, large: bool) -> Iterator[None]:
        inside, limits = self._inside, self._limits
        if sum(inside.values()) >= limits.max_requests:
            raise busy(f"{limits.max_requests} requests at once")
        if large and inside[large] >= limits.max_large:
            raise busy(f"{limits.max_large} long requests at once")
        inside[large] += 1
        WAITING.inc()
        try:
            yield
        finally:
            inside[large] -= 1
            WAITING.dec()

    def _work(
        self, bundle: Bundle, given: Call | Question, record: Record
    ) -> tuple[bytes, dict[str, str]]:
        with COMPUTING.track_inprogress():
            question = read(given, self.tasks) if isinstance(given, Call) else given
            record.model, record.rows = question.model, question.rows
            task = self.tasks[question.model]
            return write(question, task.run(bundle, question.tensors, question.settings))


def verified(folder: Path, manifest: dict[str, object], threads: int) -> Bundle:
    """A bundle every file of which has the digest that a manifest says.

    What is computed with was read under these digests, so a bundle that is replaced on disk is
    taken whole or not at all: whoever mixes two of them gets an error.

    Args:
        folder: of the bundle.
        manifest: as it was read before.
        threads: of one computation.

    Raises:
        BundleError: if a file is another one, or the manifest is another one by now.
    """
    bundle = Bundle.load(folder, threads=threads)
    if bundle.manifest != manifest:
        raise BundleError(f"{folder} should stay as it is. Received: another manifest")
    for name in bundle.manifest["files"]:
        read_file(folder, bundle.manifest, name)
    return bundle
