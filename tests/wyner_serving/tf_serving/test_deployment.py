"""The deployment's files, parsed, and checked against one another."""

import json
import re
import tomllib
from inspect import signature
from pathlib import PurePosixPath

import pytest
import yaml
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

from wyner_serving.tf_serving import Client
from wyner_serving.tf_serving.stage import MODEL

_FIELD = descriptor_pb2.FieldDescriptorProto


def message(name, **fields):
    """A message class; tensorflow-serving-api leaves some of the server's messages out.

    Fields are `(number, type)`, transcribed from the server's .proto files; a type is a scalar's
    name or a message class.
    """
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="t", syntax="proto3")
    declared = file.message_type.add(name=name)
    needed = set()
    for field, (number, kind) in fields.items():
        added = declared.field.add(name=field, number=number, label=_FIELD.LABEL_OPTIONAL)
        if isinstance(kind, str):
            added.type = getattr(_FIELD, f"TYPE_{kind.split()[-1].upper()}")
            if kind.startswith("repeated "):
                added.label = _FIELD.LABEL_REPEATED
        else:
            added.type, added.type_name = _FIELD.TYPE_MESSAGE, f".{kind.DESCRIPTOR.full_name}"
            needed.add(kind.DESCRIPTOR.file.name)
    file.dependency.extend(sorted(needed))
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"t.{name}"))


# tensorflow_serving/servables/tensorflow/session_bundle_config.proto
BatchingParameters = message(
    "BatchingParameters",
    max_batch_size=(1, wrappers_pb2.Int64Value),
    batch_timeout_micros=(2, wrappers_pb2.Int64Value),
    max_enqueued_batches=(3, wrappers_pb2.Int64Value),
    num_batch_threads=(4, wrappers_pb2.Int64Value),
    thread_pool_name=(5, wrappers_pb2.StringValue),
    allowed_batch_sizes=(6, "repeated int64"),
    pad_variable_length_inputs=(7, "bool"),
)
# tensorflow_serving/config/monitoring_config.proto
PrometheusConfig = message("PrometheusConfig", enable=(1, "bool"), path=(2, "string"))
MonitoringConfig = message("MonitoringConfig", prometheus_config=(1, PrometheusConfig))


def parsed(path, kind):
    return text_format.Parse(path.read_text(), kind())


@pytest.fixture(scope="module")
def dockerfile(deployment):
    """Instructions and their arguments, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (deployment / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line]


@pytest.fixture(scope="module")
def flags(dockerfile):
    program, *options = json.loads(dict(dockerfile)["ENTRYPOINT"])
    assert program == "tensorflow_model_server"
    return dict(option.removeprefix("--").split("=") for option in options)


@pytest.fixture(scope="module")
def kubernetes(deployment):
    documents = yaml.safe_load_all((deployment / "kubernetes.yaml").read_text())
    return {document["kind"]: document for document in documents}


@pytest.fixture(scope="module")
def container(kubernetes):
    (found,) = kubernetes["Deployment"]["spec"]["template"]["spec"]["containers"]
    return found


@pytest.fixture(scope="module")
def compose(deployment):
    (found,) = yaml.safe_load((deployment / "compose.yaml").read_text())["services"].values()
    return found


def test_the_model_is_where_staging_puts_it(deployment):
    kind = model_server_config_pb2.ModelServerConfig
    (model,) = parsed(deployment / "config" / "models.config", kind).model_config_list.config
    assert model.name == MODEL
    assert model.base_path == f"/models/{MODEL}"
    assert model.model_platform == "tensorflow"
    # A canary stands beside the stable version, and stays when the label has moved.
    assert model.model_version_policy.latest.num_versions == 2
    assert dict(model.version_labels) == {"stable": 1}


def test_batching_takes_what_the_client_sends(deployment, container):
    values = parsed(deployment / "config" / "batching.config", BatchingParameters)
    assert values.max_batch_size.value >= signature(Client).parameters["rows"].default
    assert not values.allowed_batch_sizes and not values.pad_variable_length_inputs
    assert 0 < values.batch_timeout_micros.value <= 5000
    assert values.max_enqueued_batches.value > 0
    assert values.num_batch_threads.value == int(container["resources"]["requests"]["cpu"])


def test_an_unknown_setting_would_be_found():
    with pytest.raises(text_format.ParseError, match="max_batch"):
        text_format.Parse("max_batch { value: 1 }", BatchingParameters())


def test_metrics_are_where_prometheus_is_sent(deployment, flags, kubernetes):
    values = parsed(deployment / "config" / "monitoring.config", MonitoringConfig)
    assert values.prometheus_config.enable
    annotations = kubernetes["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": flags["rest_api_port"],
        "prometheus.io/path": values.prometheus_config.path,
    }


def test_the_server_is_told_of_every_file(deployment, dockerfile, flags):
    assert flags["enable_batching"] == "true"
    # The labels of models.config name versions that are not loaded yet when it is read.
    assert flags["allow_version_labels_for_unavailable_models"] == "true"
    copies = dict(value.split() for name, value in dockerfile if name == "COPY")
    assert copies == {"config": "/config", "models": "/models"}
    told = {PurePosixPath(value) for name, value in flags.items() if name.endswith("_file")}
    assert told == {
        PurePosixPath("/config", path.name) for path in (deployment / "config").iterdir()
    }
    assert {name for name in flags if name.endswith("_file")} == {
        "model_config_file",
        "batching_parameters_file",
        "monitoring_config_file",
    }
    ignored = (deployment / ".dockerignore").read_text().split()
    assert ignored == ["*", *(f"!{source}" for source in copies)]


def test_the_servers_version_is_the_tested_tensorflow(deployment, dockerfile):
    lock = (deployment.parents[1] / "requirements.lock").read_text()
    (version,) = re.findall(r"^tensorflow-serving-api==(\S+)$", lock, flags=re.MULTILINE)
    assert dict(dockerfile)["FROM"] == f"tensorflow/serving:{version}"


def test_ports_agree(dockerfile, flags, compose, kubernetes, container):
    ports = {"grpc": int(flags["port"]), "rest": int(flags["rest_api_port"])}
    assert dict(dockerfile)["EXPOSE"].split() == [str(port) for port in ports.values()]
    assert compose["ports"] == [f"127.0.0.1:{port}:{port}" for port in ports.values()]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == ports
    service = kubernetes["Service"]["spec"]["ports"]
    assert {port["targetPort"]: port["port"] for port in service} == ports


def test_compose_mounts_what_the_image_holds(deployment, dockerfile, compose):
    copies = dict(value.split() for name, value in dockerfile if name == "COPY")
    assert compose["volumes"] == [
        f"./{source}:{copies[source]}:ro" for source in ("models", "config")
    ]
    assert compose["build"] == "."


def test_kubernetes_runs_the_image_and_asks_how_it_is(dockerfile, compose, kubernetes, container):
    deployment, service = kubernetes["Deployment"]["spec"], kubernetes["Service"]["spec"]
    assert deployment["selector"]["matchLabels"] == deployment["template"]["metadata"]["labels"]
    assert service["selector"] == deployment["selector"]["matchLabels"]
    assert container["image"] == compose["image"]
    # The image's entry point has the flags.
    assert "command" not in container and "args" not in container
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": f"/v1/models/{MODEL}", "port": "rest"}
    pod = deployment["template"]["spec"]
    user = dict(dockerfile)["USER"].split(":")[0]
    assert str(pod["securityContext"]["runAsUser"]) == user
    sleep = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert sleep < pod["terminationGracePeriodSeconds"]
    assert set(container["resources"]) == {"requests", "limits"}


def test_the_files_come_with_the_package(deployment):
    settings = tomllib.loads((deployment.parents[1] / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["wyner_serving.tf_serving"]
    shipped = {path for pattern in patterns for path in deployment.glob(pattern)}
    files = {path for path in deployment.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    ours = {path for path in files if "models" not in path.relative_to(deployment).parts}
    assert shipped == {path for path in ours if path.suffix != ".py"}
