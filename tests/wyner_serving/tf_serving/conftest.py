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
def staged(bundle, tmp_path_factory):
    return stage(bundle, tmp_path_factory.mktemp("staged") / "models")


@pytest.fixture(scope="session")
def servable(staged):
    """The staged version, as the server loads it."""
    loaded = Servable(staged)
    yield loaded
    loaded.session.close()


@pytest.fixture(scope="session")
def rest(servable):
    """The address of a REST server of the staged version."""
    with listening(type("Bound", (Handler,), {"servable": servable})) as url:
        yield url


@pytest.fixture(scope="session")
def rpc(servable):
    """The address of a gRPC server of the staged version."""
    server = grpc.server(futures.ThreadPoolExecutor(2))
    service = Predictions(servable)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"grpc://127.0.0.1:{port}"
    server.stop(None).wait()
