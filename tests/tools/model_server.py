"""What `tensorflow_model_server` does with a request, written from its documentation and source.

No server binary is to be had from the package registries, so this stands in for one: the SavedModel
is loaded as the server does, by tag into a session, and signatures are run by their tensors' names.
REST: https://www.tensorflow.org/tfx/serving/api_rest and tensorflow_serving/util/json_tensor.cc;
batching: tensorflow_serving/batching/batching_session.cc.
"""

import base64
import contextlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

LABELS = {"stable": 1}
MODEL = "wyner"


class Refused(Exception):
    def __init__(self, message, code=400):
        super().__init__(message)
        self.code = code


class Servable:
    """A version's folder, loaded."""

    def __init__(self, folder):
        # Optimising a graph takes longer here than running it a few times.
        config = tf.compat.v1.ConfigProto()
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        self.session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
        with self.session.graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self.session, ["serve"], str(folder))
        self.signatures = loaded.signature_def
        self.requests = []

    def signature(self, name):
        if name not in self.signatures:
            raise Refused(f'Serving signature name: "{name}" not found in signature def')
        return self.signatures[name]

    def run(self, name, inputs):
        signature = self.signature(name)
        if set(inputs) != set(signature.inputs):
            raise Refused(f"input keys should be {sorted(signature.inputs)}: {sorted(inputs)}")
        for key, value in inputs.items():
            dtype = tf.dtypes.as_dtype(signature.inputs[key].dtype).as_numpy_dtype
            if value.dtype != dtype:
                raise Refused(f"Expects {key} to be {np.dtype(dtype)} but {value.dtype} is given")
        self.requests.append((name, {len(value) for value in inputs.values()}))
        fetches = {key: info.name for key, info in signature.outputs.items()}
        feeds = {signature.inputs[key].name: value for key, value in inputs.items()}
        try:
            return self.session.run(fetches, feeds)
        except (tf.errors.OpError, ValueError) as error:
            raise Refused(str(error)) from error

    def batched(self, name, requests):
        """Requests as `--enable_batching` runs them: concatenated, run once, split."""
        for request in requests:
            if len({len(value) for value in request.values()}) != 1:
                raise Refused("Batching Run() input tensors must have equal 0th-dimension size")
        sizes = [len(next(iter(request.values()))) for request in requests]
        merged = {
            key: np.concatenate([request[key] for request in requests]) for key in requests[0]
        }
        results = self.run(name, merged)
        for value in results.values():
            if len(value) != sum(sizes):
                raise Refused("Batched output tensor's 0th dimension does not equal the sum of …")
        ends = np.cumsum(sizes)[:-1]
        parts = {key: np.split(value, ends) for key, value in results.items()}
        return [{key: parts[key][i] for key in parts} for i in range(len(requests))]


def tensor(values, info):
    """JSON to an array of the signature's dtype."""
    dtype = tf.dtypes.as_dtype(info.dtype)

    def leaf(value):
        if isinstance(value, list):
            return [leaf(inner) for inner in value]
        if isinstance(value, dict):
            if dtype != tf.string or list(value) != ["b64"]:
                raise Refused(f"JSON Value: {value} Type: Object is not of expected type")
            return base64.b64decode(value["b64"], validate=True)
        if dtype == tf.string and isinstance(value, str):
            return value.encode()
        numbers = (int,) if dtype.is_integer else (int, float)
        if isinstance(value, bool) or not isinstance(value, numbers):
            raise Refused(f"JSON Value: {value!r} is not of expected type: {dtype.name}")
        return value

    try:
        return np.array(leaf(values), object if dtype == tf.string else dtype.as_numpy_dtype)
    except (ValueError, OverflowError) as error:
        raise Refused(f"Encountered list at unexpected size: {error}") from error


def tensors(body, servable):
    """Signature name, arrays and whether rows are asked for, of a `:predict` body."""
    try:
        values = json.loads(body)
    except ValueError as error:
        raise Refused(f"JSON Parse error: {error}") from error
    name = values.get("signature_name", "serving_default")
    infos = servable.signature(name).inputs
    if ("instances" in values) == ("inputs" in values):
        raise Refused("Missing 'inputs' or 'instances' key, or both given")
    if "inputs" in values:
        given = values["inputs"]
        if not isinstance(given, dict) or list(given) == ["b64"]:
            if len(infos) > 1:
                raise Refused("inputs is a plain value/list, but expecting an object")
            given = {next(iter(infos)): given}
        missing = set(infos) - set(given)
        if missing:
            raise Refused(f"Missing named input: {min(missing)} in 'inputs' object.")
        return name, {key: tensor(given[key], info) for key, info in infos.items()}, False
    rows = values["instances"]
    if not isinstance(rows, list) or not rows:
        raise Refused("No values in 'instances' array")
    named = [isinstance(row, dict) and list(row) != ["b64"] for row in rows]
    if not any(named) and len(infos) == 1:
        rows = [{next(iter(infos)): row} for row in rows]
    elif not all(named):
        raise Refused("instances is a plain list, but expecting list of objects")
    for number, row in enumerate(rows):
        if set(row) != set(infos):
            raise Refused(f"element: {number} keys must be equal to: {','.join(sorted(infos))}")
    columns = {key: tensor([row[key] for row in rows], info) for key, info in infos.items()}
    return name, columns, True


def answer(results, rows):
    """The body of a `:predict` answer."""

    def plain(name, value):
        if value.dtype != object:
            return value.tolist()

        def leaf(item):
            if isinstance(item, np.ndarray | list):
                return [leaf(inner) for inner in item]
            if name.endswith("_bytes"):
                return {"b64": base64.b64encode(item).decode()}
            return item.decode()

        return leaf(value)

    if not rows:
        found = {name: plain(name, value) for name, value in results.items()}
        return {"outputs": found if len(found) > 1 else next(iter(found.values()))}
    if len({len(value) for value in results.values()}) != 1:
        raise Refused("a tensor has inconsistent batch size")
    found = {name: plain(name, value) for name, value in results.items()}
    if len(found) == 1:
        return {"predictions": next(iter(found.values()))}
    return {
        "predictions": [
            dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)
        ]
    }


def check_version(model, version, label):
    if model != MODEL:
        raise Refused(f"Could not find any versions of model {model}", 404)
    if label is not None and label not in LABELS:
        raise Refused(f"Unrecognized servable version label: {label}")
    if version not in (None, 1):
        raise Refused(f"Could not find version {version} of model {model}", 404)


def metadata(servable):
    described = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in servable.signatures.items():
        described.signature_def[name].CopyFrom(signature)
    return described


_URL = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?(:predict|/metadata)?", re.IGNORECASE
)


class Handler(BaseHTTPRequestHandler):
    servable = None

    def log_message(self, *_):
        pass

    def respond(self):
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        found = _URL.fullmatch(self.path)
        if not found:
            raise Refused(f"Malformed request: {self.command} {self.path}", 404)
        model, version, label, action = found.groups()
        check_version(model, int(version) if version else None, label)
        if (self.command == "POST") != (action == ":predict"):
            raise Refused(f"Malformed request: {self.command} {self.path}", 404)
        if action == "/metadata":
            signatures = json_format.MessageToDict(
                metadata(self.servable),
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
            return {"model_spec": {"name": model}, "metadata": {"signature_def": signatures}}
        if action == ":predict":
            name, inputs, rows = tensors(body, self.servable)
            return answer(self.servable.batched(name, [inputs])[0], rows)
        status = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": status}]}

    def do_GET(self):
        try:
            code, values = 200, self.respond()
        except Refused as error:
            code, values = error.code, {"error": str(error)}
        content = json.dumps(values, indent=1).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET


class Predictions(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    def __init__(self, servable):
        self.servable = servable

    def check(self, spec, context):
        try:
            label = spec.version_label or None
            version = spec.version.value if spec.HasField("version") else None
            check_version(spec.name, version, label)
        except Refused as error:
            code = grpc.StatusCode.NOT_FOUND if error.code == 404 else None
            context.abort(code or grpc.StatusCode.INVALID_ARGUMENT, str(error))

    def Predict(self, request, context):
        self.check(request.model_spec, context)
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        try:
            (results,) = self.servable.batched(request.model_spec.signature_name, [inputs])
        except Refused as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = predict_pb2.PredictResponse()
        for name, value in results.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response

    def GetModelMetadata(self, request, context):
        self.check(request.model_spec, context)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(metadata(self.servable))
        return response

    def GetModelStatus(self, request, context):
        self.check(request.model_spec, context)
        response = get_model_status_pb2.GetModelStatusResponse()
        response.model_version_status.add(
            version=1, state=get_model_status_pb2.ModelVersionStatus.AVAILABLE
        )
        return response


class Listener(ThreadingHTTPServer):
    # With the library's 5, a machine that stalls for some seconds loses connections of 16 clients.
    request_queue_size = 128


@contextlib.contextmanager
def listening(handler):
    server = Listener(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
