"""kserve's gRPC server, within the limits of the server."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import (
    add_GRPCInferenceServiceServicer_to_server,
)
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from wyner_kserve.calls import Call
from wyner_kserve.limits import Limits
from wyner_kserve.records import Record
from wyner_kserve.refusals import refusal_of
from wyner_kserve.service import Service

_SERVICE, _METHOD = "inference.GRPCInferenceService", "ModelInfer"
_STREAMS = 16  # of one connection
_RPCS = 4  # of all connections, for each request that may be inside: some are still on their way
_AGE = 60_000  # ms of a connection, which a good client opens anew unseen


class _Infer:
    """`ModelInfer`, of bytes: the event loop parses none of them."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, body: bytes, context: Any) -> bytes:
        path = f"/{_SERVICE}/{_METHOD}"
        with Record(protocol="grpc", path=path, size=len(body)).kept() as record:
            try:
                answer, _ = await self._service.answer(Call(protocol="grpc", body=body), record)
            except Exception as error:
                refused = refusal_of(error)
                record.code, record.reason = refused.code.name, refused.reason
                # No `abort`: kserve's interceptor would abort once more.
                context.set_code(refused.code)
                context.set_details(refused.message)
                return b""
            record.code = "OK"
            return answer


def grpc_server(
    service: Service,
    plane: DataPlane,
    models: ModelRepositoryExtension,
    address: str,
    limits: Limits,
) -> grpc.aio.Server:
    """A server that listens once it is started.

    Args:
        service: that answers.
        plane: that tells of models and health.
        models: what clients may do to models.
        address: host and port.
        limits: of the server.

    Raises:
        RuntimeError: if the port is taken.
    """
    server = grpc.aio.server(
        interceptors=(ExceptionToStatusInterceptor(),),
        maximum_concurrent_rpcs=_RPCS * limits.max_requests,
        options=[
            ("grpc.max_receive_message_length", limits.max_bytes),
            ("grpc.max_send_message_length", -1),
            # Two servers on one port would share its requests.
            ("grpc.so_reuseport", 0),
            ("grpc.max_concurrent_streams", _STREAMS),
            ("grpc.server_handshake_timeout_ms", round(1000 * limits.header_seconds)),
            # A stream that is never sent whole ends with its connection.
            ("grpc.max_connection_age_ms", _AGE),
            ("grpc.max_connection_age_grace_ms", round(1000 * limits.grace)),
        ],
    )
    add_GRPCInferenceServiceServicer_to_server(InferenceServicer(plane, models), server)
    # Registered last, so that it stands in for kserve's.
    infer = grpc.unary_unary_rpc_method_handler(_Infer(service).__call__)
    server.add_registered_method_handlers(_SERVICE, {_METHOD: infer})
    server.add_insecure_port(address)
    return server
