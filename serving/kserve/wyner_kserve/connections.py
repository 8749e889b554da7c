"""HTTP connections within limits on number, headers and time, which uvicorn lacks."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from wyner_kserve.limits import Limits
from wyner_kserve.records import CONNECTIONS, Record
from wyner_kserve.refusals import Refused, busy, long_headers, too_slow

_HEADER_BYTES = 2**16
_LAST_CHANCE = 0.1  # seconds


class Connection(HttpToolsProtocol):
    """A connection that is closed where the client sends headers, or takes answers, too slowly."""

    limits: Limits

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._in_headers, self._header_bytes = True, 0
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
        """Read, while the headers are of bounded length."""
        if self._in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._in_headers and self._header_bytes > _HEADER_BYTES:
            self._close(long_headers(_HEADER_BYTES))

    def on_message_begin(self) -> None:
        """A request begins; the first of a connection has begun with the connection."""
        super().on_message_begin()
        self._in_headers = True
        if self._timer is None:
            self._header_bytes = 0
            self._start_timer()

    def on_headers_complete(self) -> None:
        """The headers are there."""
        self._in_headers = False
        self._stop_timer()
        super().on_headers_complete()

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
