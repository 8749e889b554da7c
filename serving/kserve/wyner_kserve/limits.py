"""What one client may take of the server, so that the others lose nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wyner_kserve.tasks import Task

# Parsing so many bytes takes a thread about a millisecond, in which the others wait for it.
LARGE = 2**16
# A value in JSON, brackets and comma included; what is around the values.
_BYTES_OF_VALUE, _BYTES_AROUND = 24, 2**16
_MOST_BYTES = 2**24


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a server.

    Args:
        max_bytes: of a request's body or message.
        max_buffer: bytes of all bodies that are held at once.
        max_requests: computed or waiting at once.
        max_connections: open at once, by REST.
        header_seconds: for a request's headers.
        body_seconds: for its body, and for a client to take what waits for it.
        request_seconds: for its answer, from when the body is there.
    """

    max_bytes: int
    max_buffer: int
    max_requests: int
    max_connections: int
    header_seconds: float
    body_seconds: float
    request_seconds: float

    @property
    def max_large(self) -> int:
        """Long requests computed or waiting at once: a share, so that short ones find room."""
        return max(1, self.max_requests // 4)

    @property
    def grace(self) -> float:
        """Seconds that requests under way can need when the server is told to stop."""
        return self.body_seconds + self.request_seconds


def bytes_for(tasks: Iterable[Task]) -> int:
    """What the largest request that the tasks allow needs as JSON, at most 16 MB.

    Example:
        >>> bytes_for([])
        65536
    """
    values = max((task.max_values for task in tasks), default=0)
    return min(_MOST_BYTES, _BYTES_OF_VALUE * values + _BYTES_AROUND)
