"""A limit on the bodies of HTTP requests, which neither kserve nor uvicorn has."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class BodyLimit:
    """ASGI middleware: longer bodies are answered with 413, unread or once they are too long.

    Args:
        app: behind it.
        limit: bytes.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = int(dict(scope["headers"]).get(b"content-length", 0))
        if declared > self._limit:
            await self._refuse(send, f"{declared} bytes")
            return
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._limit:
                raise _TooLong
            return message

        try:
            await self._app(scope, bounded, send)
        except _TooLong:
            await self._refuse(send, "more")

    async def _refuse(self, send: Send, received: str) -> None:
        expected = f"The body should have at most {self._limit} bytes"
        content = json.dumps({"error": f"{expected}. Received: {received}"}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(content)),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": content})


class _TooLong(BaseException):
    """No `Exception`, because frameworks in between turn those into answers of their own."""
