import contextlib
import functools
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from model_server import Handler, Predictions, Servable, listening
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from wyner_serving.tf_serving import stage


@pytest.fixture(scope="session")
def deployment():
    """The folder of the deployment's files."""
    return Path(__file__).parents[3] / "serving" / "tf_serving"


@pytest.fixture(scope="session")
def staged_of(bundle_of, tmp_path_factory):
    """The staged version of a shared bundle, by its name."""
    return functools.cache(
        lambda name: stage(bundle_of(name), tmp_path_factory.mktemp("staged") / "models")
    )


@pytest.fixture(scope="session")
def staged(staged_of):
    return staged_of("images")


@pytest.fixture(scope="session")
def servable_of(staged_of):
    """A staged version, as the server loads it."""
    loaded = {}

    def servable(name):
        if name not in loaded:
            loaded[name] = Servable(staged_of(name))
        return loaded[name]

    yield servable
    for each in loaded.values():
        each.session.close()


@pytest.fixture(scope="session")
def servable(servable_of):
    return servable_of("images")


@contextlib.contextmanager
def rest_server(servable):
    with listening(type("Bound", (Handler,), {"servable": servable})) as url:
        yield url


@contextlib.contextmanager
def rpc_server(servable):
    server = grpc.server(futures.ThreadPoolExecutor(2))
    service = Predictions(servable)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"grpc://127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture(scope="session")
def rest(servable):
    """The address of a REST server of the staged version."""
    with rest_server(servable) as url:
        yield url


@pytest.fixture(scope="session")
def rpc(servable):
    """The address of a gRPC server of the staged version."""
    with rpc_server(servable) as url:
        yield url


@pytest.fixture(scope="session", params=["rest", "rpc"])
def columns_url(request, servable_of):
    """The address of a server of the vectors and series."""
    start = {"rest": rest_server, "rpc": rpc_server}[request.param]
    with start(servable_of("columns")) as url:
        yield url
