"""kserve's REST and gRPC servers, put together with limits and a host of one's own."""

from __future__ import annotations

import asyncio
import logging
import reprlib
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc.aio
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from kserve import InferRequest, Model, ModelRepository
from kserve.errors import InvalidInput, ModelNotFound
from kserve.logging import logger
from kserve.model_server import app
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import (
    add_GRPCInferenceServiceServicer_to_server,
)
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor, LoggingInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.server import RESTServer
from kserve.protocol.rest.v2_datamodels import InferenceRequest
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from wyner_kserve.body_limit import BodyLimit

_EXPECTED = "The body should be an inference request"
_GRACE = 10  # seconds for requests under way when the server is told to stop


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the server listens.

    Args:
        host: name or address.
        http_port: of REST.
        grpc_port: of gRPC.
    """

    host: str
    http_port: int
    grpc_port: int


class BundleDataPlane(DataPlane):
    """Reads bodies: whatever fails in that is the request's fault, not the server's."""

    def decode(
        self, body: Any, headers: Any, protocol_version: str = "v1", model_name: str | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """A V2 request checked; V1 bodies stay bytes, which the model reads in its threads.

        Raises:
            InvalidInput: if the body is no V2 request.
        """
        if protocol_version == "v1":
            return body, {}
        try:
            request, attributes = super().decode(body, headers, protocol_version, model_name)
            if isinstance(body, bytes):
                _check_binary(request)
            return request, attributes
        except InvalidInput:
            raise
        except ValidationError as error:
            raise InvalidInput(_no_request(error.errors())) from error
        except Exception as error:
            problem = f"{type(error).__name__}: {reprlib.repr(str(error))}"
            raise InvalidInput(f"{_EXPECTED}. Received: {problem}") from error

    def encode(
        self, model_name: str, response: Any, headers: Any, req_attributes: dict[str, Any]
    ) -> tuple[Any, dict[str, str]]:
        """The answer; headers of a request change nothing in it (no cloud events)."""
        return super().encode(model_name, response, {}, req_attributes)


def _check_binary(request: InferRequest) -> None:
    """What FastAPI does for JSON: kserve reads the binary form unchecked."""
    wanted = request.request_outputs or []
    InferenceRequest.model_validate(
        {
            "id": request.id,
            "parameters": request.parameters,
            "inputs": [given.to_dict() for given in request.inputs],
            "outputs": [{"name": each.name, "parameters": each.parameters} for each in wanted],
        }
    )


class FixedModels(ModelRepositoryExtension):
    """No client loads or unloads models."""

    async def load(self, model_name: str) -> None:
        """Refuse.

        Raises:
            InvalidInput: always.
        """
        raise InvalidInput("The models should stay as they are. Received: a request to load one")

    async def unload(self, model_name: str) -> None:
        """Refuse.

        Raises:
            InvalidInput: always.
        """
        raise InvalidInput("The models should stay as they are. Received: a request to unload one")


class Rest(RESTServer):
    """kserve's REST server with a limit on bodies, and errors in one form.

    Args:
        plane: what answers.
        models: what clients may do to models.
        address: where it listens.
        max_bytes: of a body.
    """

    def __init__(
        self, plane: DataPlane, models: FixedModels, address: Address, max_bytes: int
    ) -> None:
        super().__init__(
            "kserve.model_server:app", plane, models, address.http_port, grace_period=_GRACE
        )
        self.config.host = address.host
        self._max_bytes = max_bytes

    def create_application(self) -> None:
        """Add to kserve's application what is missing."""
        super().create_application()
        app.add_middleware(BodyLimit, limit=self._max_bytes)
        app.add_exception_handler(RequestValidationError, _invalid)
        app.add_exception_handler(HTTPException, _refused)
        app.add_exception_handler(NotImplementedError, _not_offered)


def _no_request(errors: Sequence[Any]) -> str:
    # FastAPI's own answer repeats the body, and fails where that holds NaN.
    where = ".".join(map(str, errors[0]["loc"]))
    return f"{_EXPECTED}. Received: {errors[0]['msg']} at {reprlib.repr(where)}"


async def _invalid(_: Request, error: Any) -> JSONResponse:
    return JSONResponse({"error": _no_request(error.errors())}, status_code=400)


async def _refused(_: Request, error: Any) -> JSONResponse:
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _not_offered(_: Request, error: Any) -> JSONResponse:
    # Versions and explanations, which kserve has paths for.
    logger.error("Refused", exc_info=error)
    return JSONResponse({"error": str(error)}, status_code=404)


class _Brief(logging.Filter):
    """One line, no traceback, for a request that was refused."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, InvalidInput | ModelNotFound | NotImplementedError):
            record.msg, record.args, record.exc_info = "Refused: %s", (str(error)[:500],), None
        return True


def _grpc_server(
    plane: DataPlane, models: FixedModels, address: Address, max_bytes: int
) -> grpc.aio.Server:
    server = grpc.aio.server(
        interceptors=(LoggingInterceptor(), ExceptionToStatusInterceptor()),
        options=[
            ("grpc.max_receive_message_length", max_bytes),
            ("grpc.max_send_message_length", -1),
            # Two servers on one port would share its requests.
            ("grpc.so_reuseport", 0),
        ],
    )
    add_GRPCInferenceServiceServicer_to_server(InferenceServicer(plane, models), server)
    host = f"[{address.host}]" if ":" in address.host else address.host
    server.add_insecure_port(f"{host}:{address.grpc_port}")
    return server


def serve(models: list[Model], address: Address, max_bytes: int) -> None:
    """Serve until SIGTERM or SIGINT, and finish what is under way.

    Args:
        models: ready ones.
        address: where to listen.
        max_bytes: of one request, by REST and by gRPC.

    Raises:
        SystemExit: with 0 after a signal.
        RuntimeError: if a port is taken.
    """
    logger.addFilter(_Brief())
    repository = ModelRepository()
    for model in models:
        repository.update(model)
    plane, fixed = BundleDataPlane(repository), FixedModels(repository)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn holds its own while it runs, and raises the signal again when it has stopped.
        signal.signal(number, lambda *_: sys.exit(0))

    async def run() -> None:
        rpc = _grpc_server(plane, fixed, address, max_bytes)
        await rpc.start()
        try:
            await Rest(plane, fixed, address, max_bytes).start()
        finally:
            await rpc.stop(_GRACE)

    asyncio.run(run())
