"""kserve's REST and gRPC servers, put together with limits, readiness and an orderly end."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from kserve import ModelRepository
from kserve.errors import InvalidInput
from kserve.model_server import app
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.server import RESTServer
from starlette.exceptions import HTTPException

from wyner_kserve.calls import Call
from wyner_kserve.connections import connections_within
from wyner_kserve.door import RECORD, Door
from wyner_kserve.limits import Limits
from wyner_kserve.model import TaskModel
from wyner_kserve.records import Record
from wyner_kserve.refusals import Refused, not_found, refusal_of
from wyner_kserve.rpc import grpc_server
from wyner_kserve.service import Service
from wyner_serving import Bundle

_KEEP_ALIVE = 30  # seconds of an idle connection
_BEGIN = 0.5  # seconds


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
    """Tells of models and health.

    Args:
        models: that are served.
        service: that knows whether it is ready.
    """

    def __init__(self, models: ModelRepository, service: Service) -> None:
        super().__init__(models)
        self._service = service

    async def ready(self) -> bool:
        """Whether the bundle is verified and the server does not end."""
        return self._service.ready


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
    """kserve's REST server, but for requests to models, which go to the service unparsed.

    Args:
        service: that answers.
        plane: that tells of models and health.
        models: what clients may do to models.
        address: where it listens.
        limits: of the server.
    """

    def __init__(
        self,
        service: Service,
        plane: DataPlane,
        models: FixedModels,
        address: Address,
        limits: Limits,
    ) -> None:
        super().__init__(
            "kserve.model_server:app",
            plane,
            models,
            address.http_port,
            grace_period=round(limits.grace),
            timeout_keep_alive=_KEEP_ALIVE,
        )
        self._service, self._limits = service, limits
        self.config.host = address.host
        self.config.access_log = False
        self.config.ws = "none"
        self.config.http = connections_within(limits)

    @property
    def stopping(self) -> bool:
        """Whether the server was told to stop."""
        return self._server.should_exit

    def stop(self) -> None:
        """Take no request more, and finish those under way."""
        self._server.should_exit = True

    def create_application(self) -> None:
        """Add to kserve's application what is missing."""
        super().create_application()
        app.add_middleware(Door, limits=self._limits)
        app.add_exception_handler(Refused, _refused)
        app.add_exception_handler(HTTPException, _http_error)

    def _add_middlewares(self, app: FastAPI) -> None:
        """None of kserve's: the door counts and logs."""

    def _register_endpoints(self, app: FastAPI) -> None:
        # Asked first, so that they stand in for kserve's.
        for path, endpoint in (
            ("/v1/models/{model}:predict", self._endpoint(_v1)),
            ("/v2/models/{model}/infer", self._endpoint(_v2)),
            ("/v1/models/{model}:explain", _no_explanations),
            ("/v2/models/{model}/versions/{version}/infer", _no_versions),
        ):
            app.add_api_route(path, endpoint, methods=["POST"], response_model=None)
        super()._register_endpoints(app)

    def _endpoint(
        self, call_of: Callable[[str, Request, bytes], Call]
    ) -> Callable[[str, Request], Awaitable[Response]]:
        async def endpoint(model: str, request: Request) -> Response:
            call = call_of(model, request, await request.body())
            record: Record = request.scope[RECORD]
            record.protocol = call.protocol
            try:
                content, headers = await self._service.answer(call, record)
            except Exception as error:
                refused = refusal_of(error)
                record.reason = refused.reason
                raise refused from None
            return Response(content, headers=headers)

        return endpoint


def _v1(model: str, request: Request, body: bytes) -> Call:
    return Call(protocol="v1", model=model, body=body)


def _v2(model: str, request: Request, body: bytes) -> Call:
    return Call(
        protocol="v2",
        model=model,
        body=body,
        json_length=request.headers.get("inference-header-content-length"),
        binary=request.headers.get("content-type") == "application/octet-stream",
    )


async def _no_explanations() -> Response:
    raise not_found("The request should be to predict. Received: one to explain")


async def _no_versions() -> Response:
    raise not_found("The path should name no version: versioning is not offered. Received: one")


async def _refused(_: Request, error: Any) -> Response:
    return Response(error.content, error.status, error.headers)


async def _http_error(_: Request, error: Any) -> JSONResponse:
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def serve(
    service: Service, address: Address, limits: Limits, bundle_of: Callable[[], Bundle]
) -> None:
    """Serve until SIGTERM or SIGINT, and finish what is under way.

    Args:
        service: that answers.
        address: where to listen.
        limits: of the server.
        bundle_of: opens and verifies the bundle; meanwhile the server is live and not ready.

    Raises:
        SystemExit: with 0 after a signal.
        RuntimeError: if a port is taken.
        BundleError: if the bundle is not as it should be.
    """
    repository = ModelRepository()
    for name, task in service.tasks.items():
        repository.update(TaskModel(name, task, service))
    plane, fixed = BundleDataPlane(repository, service), FixedModels(repository)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn holds its own while it runs, and raises the signal again when it has stopped.
        signal.signal(number, lambda *_: sys.exit(0))
    host = f"[{address.host}]" if ":" in address.host else address.host

    async def run() -> None:
        rpc = grpc_server(service, plane, fixed, f"{host}:{address.grpc_port}", limits)
        rest = Rest(service, plane, fixed, address, limits)
        await rpc.start()

        async def opened() -> None:
            try:
                await asyncio.to_thread(lambda: service.open(bundle_of()))
            except BaseException:
                rest.stop()
                raise

        async def drained() -> None:
            while not rest.stopping:
                await asyncio.sleep(0.05)
            service.stop()
            # gRPC drops what it has received and not begun: it gets the time to begin.
            await asyncio.sleep(_BEGIN)
            await rpc.stop(limits.grace)

        opening, end = asyncio.create_task(opened()), asyncio.create_task(drained())
        try:
            await rest.start()
            await opening
        finally:
            rest.stop()
            await end
            service.close()

    asyncio.run(run())
