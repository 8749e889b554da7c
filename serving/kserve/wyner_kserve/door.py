"""Every HTTP request comes in and goes out here: read within limits, watched, counted, logged."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from wyner_kserve.bodies import Bodies, Gone, Message, Receive
from wyner_kserve.limits import Limits
from wyner_kserve.records import Record
from wyner_kserve.refusals import Refused

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

RECORD = "wyner_kserve.record"  # of a scope
# What a refused client may go on sending before the connection is closed: one that is closed with
# bytes unread is reset, and the client may never see its answer.
_LINGER, _PAUSE = 5.0, 0.05


class Door:
    """ASGI middleware: the application gets whole bodies, and nobody to wait for.

    Args:
        app: behind it.
        limits: of the server.
    """

    def __init__(self, app: App, limits: Limits) -> None:
        self._app = app
        self._bodies = Bodies(limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with Record(protocol="http", path=scope["path"]).kept() as record:
            scope[RECORD] = record

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    record.code = str(message["status"])
                await send(message)

            with contextlib.suppress(Gone):
                await self._answer(scope, receive, noted, record)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length")
        with self._bodies.place() as body:
            try:
                content = await self._bodies.read(
                    body, declared and declared.decode("latin-1"), receive
                )
            except Refused as refused:
                record.size = body.received
                await _refuse(refused, receive, send, record)
                return
            record.size = len(content)
            await self._watched(scope, content, receive, send)

    async def _watched(self, scope: Scope, content: bytes, receive: Receive, send: Send) -> None:
        """The application's answer, unless the client goes away."""
        replayed = False
        gone = asyncio.create_task(_disconnected(receive))

        async def whole() -> Message:
            nonlocal replayed
            if replayed:
                await asyncio.shield(gone)
                return {"type": "http.disconnect"}
            replayed = True
            return {"type": "http.request", "body": content, "more_body": False}

        work = asyncio.ensure_future(self._app(scope, whole, send))
        try:
            await asyncio.wait({gone, work}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise Gone
            await work
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(refused: Refused, receive: Receive, send: Send, record: Record) -> None:
    record.reason, content = refused.reason, refused.content
    headers = {
        **refused.headers,
        "content-length": str(len(content)),
        "connection": "close",
    }
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": pairs})
    await send({"type": "http.response.body", "body": content, "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER):
            more = refused.status != 408
            while more:
                message = await receive()
                more = message.get("more_body", False)
                await asyncio.sleep(_PAUSE)
    await send({"type": "http.response.body", "body": b""})
