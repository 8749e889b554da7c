"""Refusals: what a request gets that is not answered, by HTTP and by gRPC."""

from __future__ import annotations

import logging
import traceback

import orjson
from grpc import StatusCode
from kserve.errors import InvalidInput

from wyner_serving import InputError

_logger = logging.getLogger("wyner_kserve")
_RETRY = {"retry-after": "1"}


class Refused(Exception):
    """A request is not answered.

    Args:
        status: of HTTP.
        code: of gRPC.
        message: what should be, and what was received.
    """

    def __init__(self, status: int, code: StatusCode, message: str) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message = status, code, message

    @property
    def content(self) -> bytes:
        """The body of the answer."""
        return orjson.dumps({"error": self.message})

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer: whether it is worth asking again."""
        return {"content-type": "application/json", **(_RETRY if self.status in (429, 503) else {})}

    @property
    def reason(self) -> str:
        """What should be, for logs: what was received stays out, because it may be data."""
        return self.message.partition(" Received:")[0][:200]


def invalid(message: str) -> Refused:
    """The request is not as it should be."""
    return Refused(400, StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> Refused:
    """There is no such thing."""
    return Refused(404, StatusCode.NOT_FOUND, message)


def too_large(limit: int, received: str) -> Refused:
    """The body is longer than the limit."""
    message = f"The body should have at most {limit} bytes. Received: {received}"
    return Refused(413, StatusCode.RESOURCE_EXHAUSTED, message)


def long_headers(size: int, count: int) -> Refused:
    """The headers are longer than the limit, or more."""
    message = f"The headers should be at most {count}, of {size} bytes in all. Received: more"
    return Refused(431, StatusCode.RESOURCE_EXHAUSTED, message)


def too_slow(seconds: float, what: str = "body") -> Refused:
    """The client did not send in time."""
    message = f"The {what} should be there within {seconds:g} s. Received: a part"
    return Refused(408, StatusCode.DEADLINE_EXCEEDED, message)


def busy(what: str) -> Refused:
    """The server has as much to do as it takes on."""
    message = f"The server should have room for a request: ask again later. Received: {what}"
    return Refused(429, StatusCode.RESOURCE_EXHAUSTED, message)


def out_of_time(seconds: float) -> Refused:
    """The answer took too long."""
    message = f"An answer should take at most {seconds:g} s: ask again later, or for less"
    return Refused(503, StatusCode.DEADLINE_EXCEEDED, message)


def not_ready(received: str) -> Refused:
    """The bundle is not verified yet, or the server ends."""
    message = f"The server should be ready: ask again later. Received: {received}"
    return Refused(503, StatusCode.UNAVAILABLE, message)


def refusal_of(error: Exception) -> Refused:
    """An error as a refusal; one that is the server's fault is logged, without what it says."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, InvalidInput | InputError):
        return invalid(str(error))
    where = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    _logger.error("A request failed: %s in %s", type(error).__name__, " < ".join(where[::-1][:8]))
    return Refused(500, StatusCode.INTERNAL, "Internal server error")
