"""What the server says of requests: a line of JSON and Prometheus' numbers, and no data."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady
from prometheus_client import Counter, Gauge, Histogram
from starlette.exceptions import HTTPException

REQUESTS = Counter(
    "wyner_requests", "Requests by protocol, model and status.", ["protocol", "model", "code"]
)
SECONDS = Histogram(
    "wyner_request_seconds", "From a request's headers to its answer.", ["protocol", "model"]
)
ROWS = Counter("wyner_rows", "Rows asked about in requests that were read.", ["model"])
WAITING = Gauge("wyner_requests_inside", "Requests computed or waiting.")
COMPUTING = Gauge("wyner_requests_computing", "Requests computed.")
HELD = Gauge("wyner_body_bytes", "Bytes of bodies that are held.")
CONNECTIONS = Gauge("wyner_connections", "Open connections by REST.")
READY = Gauge("wyner_ready", "1 when the bundle is verified and the server does not end.")

_logger = logging.getLogger("wyner_kserve.requests")
_TOLD = (InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady, HTTPException)
_QUIET = ("/v2/health/live", "/v2/health/ready", "/metrics", "/")


@dataclass(kw_only=True)
class Record:
    """One request.

    Args:
        protocol: "v1", "v2" or "grpc"; "http" for what asks no model.
        path: of the request, or the method.
        model: asked for; empty until it is known to be there.
        code: status of the answer.
        rows: that it asks about.
        size: bytes of its body.
        reason: what should have been.
    """

    protocol: str
    path: str
    model: str = ""
    code: str = ""
    rows: int = 0
    size: int = 0
    reason: str = ""
    begun: float = field(default_factory=time.perf_counter)

    @contextlib.contextmanager
    def kept(self) -> Iterator[Record]:
        """Counts and logs the request at its end."""
        try:
            yield self
        finally:
            seconds = time.perf_counter() - self.begun
            REQUESTS.labels(self.protocol, self.model, self.code or "gone").inc()
            SECONDS.labels(self.protocol, self.model).observe(seconds)
            if self.rows:
                ROWS.labels(self.model).inc(self.rows)
            if self.path not in _QUIET or self.code != "200":
                self._log(seconds)

    def _log(self, seconds: float) -> None:
        said = {
            "protocol": self.protocol,
            "path": self.path[:200],
            "model": self.model,
            "code": self.code or "gone",
            "rows": self.rows,
            "bytes": self.size,
            "seconds": round(seconds, 6),
        }
        if self.reason:
            said["reason"] = self.reason
        _logger.info("request", extra={"said": said})


class _Json(logging.Formatter):
    """A line of JSON; of an error its class and place, because what it says may hold data."""

    def format(self, record: logging.LogRecord) -> str:
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        said = {
            "time": f"{now}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "said", {}),
        }
        if record.exc_info and record.exc_info[0]:
            said["error"] = record.exc_info[0].__name__
        return json.dumps(said)


def _is_news(record: logging.LogRecord) -> bool:
    """Not what clients and probes are told with a status."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, _TOLD)


def log_as_json() -> None:
    """Write all logs to standard error, a line of JSON each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json())
    logging.captureWarnings(True)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("kserve", "kserve.trace", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.getLogger("kserve").setLevel(logging.WARNING)
    logging.getLogger("kserve").addFilter(_is_news)
    # Of requests the door has a line.
    logging.getLogger("uvicorn.access").propagate = False
