"""HTTP connections within limits on number, headers and time, which uvicorn lacks."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from wyner_kserve.limits import Limits
from wyner_kserve.records import CONNECTIONS, Record
from wyner_kserve.refusals import Refused, busy, long_headers, too_slow

_HEADER_BYTES, _HEADERS = 2**16, 256
_PIPELINED = 8  # requests that wait on one connection for the answers to those before them
_LAST_CHANCE = 0.1  # seconds


class Connection(HttpToolsProtocol):
    """A connection that is closed where the client sends headers, or takes answers, too slowly."""

    limits: Limits

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._in_message, self._header_count = False, 0
        self._beside = self._header_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._drain: asyncio.TimerHandle | None = None
        CONNECTIONS.set(len(self.connections))
        if len(self.connections) > self.limits.max_connections:
            self._close(busy(f"{self.limits.max_connections} connections at once"))
            return
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        super().connection_lost(exc)
        CONNECTIONS.set(len(self.connections))
        self._stop_timer()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Read, while what is no body is of bounded length."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and not self._in_message and self._timer is None:
            # Blank lines, say, which end uvicorn's own wait for a request.
            self._beside = 0
            self._start_timer()
        self._beside += len(data)
        super().data_received(data)
        if (self._in_message or self._timer is not None) and self._beside > _HEADER_BYTES:
            self._close(long_headers(_HEADER_BYTES, _HEADERS))

    def send_400_response(self, msg: str) -> None:
        """Say that a request is none, unless it was refused."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """A request begins; the first of a connection has begun with the connection."""
        super().on_message_begin()
        if len(self.pipeline) >= _PIPELINED:
            self._refuse(busy(f"{_PIPELINED} requests at once by one connection"))
        self._in_message, self._header_count, self._header_bytes = True, 0, 0
        if self._timer is None:
            self._beside = 0
            self._start_timer()

    def on_url(self, url: bytes) -> None:
        """A part of the path."""
        super().on_url(url)
        self._header_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or what trails a body."""
        super().on_header(name, value)
        self._header_count += 1
        self._header_bytes += len(name) + len(value)
        if self._header_count > _HEADERS or self._header_bytes > _HEADER_BYTES:
            self._refuse(long_headers(_HEADER_BYTES, _HEADERS))

    def on_headers_complete(self) -> None:
        """The headers are there."""
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        super().on_body(body)
        self._beside = 0

    def on_message_complete(self) -> None:
        """All of a request is there."""
        super().on_message_complete()
        self._in_message = False

    def pause_writing(self) -> None:
        """The client does not take what waits for it; it has so long to do that."""
        super().pause_writing()
        self._drain = self.loop.call_later(self.limits.body_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It did."""
        super().resume_writing()
        if self._drain is not None:
            self._drain.cancel()
            self._drain = None

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self.limits.header_seconds, self._late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        # Where this process was held up, what came meanwhile is read first.
        refused = too_slow(self.limits.header_seconds, "headers")
        self._timer = self.loop.call_later(_LAST_CHANCE, self._close, refused)

    def _refuse(self, refused: Refused) -> None:
        """Close, and have the parser stop where it is."""
        self._close(refused)
        raise refused

    def _close(self, refused: Refused) -> None:
        self._stop_timer()
        if self.transport.is_closing():
            return
        with Record(protocol="http", path="").kept() as record:
            record.code, record.reason = str(refused.status), refused.reason
        content, headers = refused.content, {**refused.headers, "connection": "close"}
        lines = [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
        length = b"content-length: %d\r\n\r\n" % len(content)
        self.transport.write(b"".join([STATUS_LINE[refused.status], *lines, length, content]))
        self.transport.close()


def connections_within(limits: Limits) -> type[Connection]:
    """The class of a server's connections."""
    return type("Connection", (Connection,), {"limits": limits})
