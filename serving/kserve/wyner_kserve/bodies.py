"""Bodies of HTTP requests, within limits on bytes and time, which kserve and uvicorn lack."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from wyner_kserve.limits import LARGE, Limits
from wyner_kserve.records import HELD
from wyner_kserve.refusals import busy, too_large, too_slow

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class Gone(Exception):
    """The client closed the connection."""


class Body:
    """One body; its memory counts until the request ends, or the body is refused."""

    def __init__(self) -> None:
        self.size = 0  # that counts
        self.received = 0
        self.whole = False
        self.dropped = False
        self._timeout: asyncio.Timeout | None = None

    async def read(self, receive: Receive, seconds: float, hold: Callable[[int], None]) -> bytes:
        """The bytes.

        Args:
            receive: of ASGI.
            seconds: for all of them.
            hold: told of every part's length.

        Raises:
            Gone: if the client closed the connection.
            TimeoutError: if they are not there in time, or the body was dropped.
        """
        parts = []
        async with asyncio.timeout(seconds) as self._timeout:
            while not self.whole:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                parts.append(message.get("body", b""))
                hold(len(parts[-1]))
                self.whole = not message.get("more_body", False)
        return b"".join(parts)

    def drop(self) -> None:
        """Read no more of it."""
        self.dropped = True
        if self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time())


class Bodies:
    """All bodies that are held, within bounded memory.

    Where they would take more, a long one that is not whole yet is refused, the last that began:
    those before it can end, and short ones find room.

    Args:
        limits: of the server.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0
        self._bodies: dict[Body, None] = {}  # in the order in which they began

    @contextlib.contextmanager
    def place(self) -> Iterator[Body]:
        """A body, held until the end."""
        body = Body()
        self._bodies[body] = None
        try:
            yield body
        finally:
            self._release(body)

    async def read(self, body: Body, declared: str | None, receive: Receive) -> bytes:
        """A body's bytes.

        Args:
            body: its place.
            declared: its length, by its headers.
            receive: of ASGI.

        Raises:
            Refused: if it is too long, too slow, or there is no room for it.
            Gone: if the client closed the connection.
        """
        limits = self._limits
        # uvicorn's parser has checked that it is a number.
        if declared is not None and int(declared) > limits.max_bytes:
            raise too_large(limits.max_bytes, f"{declared} bytes")

        def hold(count: int) -> None:
            body.received += count
            self._count(body, count)
            if body.size > limits.max_bytes:
                raise too_large(limits.max_bytes, "more")
            while self._held > limits.max_buffer:
                last = self._last_large() or body
                if last is body:
                    raise busy(f"more than {limits.max_buffer} bytes of requests at once")
                self._release(last)
                last.drop()

        try:
            return await body.read(receive, limits.body_seconds, hold)
        except TimeoutError as error:
            if body.dropped:
                raise busy(f"more than {limits.max_buffer} bytes of requests at once") from error
            raise too_slow(limits.body_seconds) from error
        finally:
            if not body.whole:
                self._release(body)

    def _last_large(self) -> Body | None:
        for body in reversed(self._bodies):
            if body.size > LARGE and not body.whole:
                return body
        return None

    def _release(self, body: Body) -> None:
        self._bodies.pop(body, None)
        self._count(body, -body.size)

    def _count(self, body: Body, change: int) -> None:
        body.size += change
        self._held += change
        HELD.set(self._held)
