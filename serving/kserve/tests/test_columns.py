"""A model of vectors, some of whose values are missing, and of series."""

import os
from pathlib import Path

import numpy as np
import pytest

from wyner_serving import Bundle


@pytest.fixture(scope="module")
def written():
    """The folder of the bundle that `make test-serving` writes of them."""
    return Path(os.environ["WYNER_COLUMNS"]).resolve()


@pytest.fixture(scope="module")
def columns(written):
    return Bundle.load(written, threads=1)


@pytest.fixture(scope="module")
def server(start, written):
    return start(folder=written).wait()


@pytest.fixture(scope="module")
def x(columns):
    x = columns.samples("x")
    assert np.isnan(x).any()
    return x


def nulls(values):
    """Lists with null for NaN, which JSON lacks."""
    if isinstance(values, list):
        return [nulls(each) for each in values]
    return None if np.isnan(values) else values


def same(found, expected):
    np.testing.assert_array_equal(np.asarray(found, np.float32), expected)


def test_v1(server, columns, x):
    expected = columns.generate_y(x, seed=5)
    for key, answered in (("instances", "predictions"), ("inputs", "outputs")):
        body = {key: nulls(x.tolist()), "parameters": {"seed": 5}}
        same(server.v1("generate-y", body).json()[answered], expected)
    y = columns.samples("y")
    body = {"style": nulls(x[:2].tolist()), "concept": y.tolist()}
    found = server.v1("transfer-x", {"inputs": body, "parameters": {"seed": 1}}).json()["outputs"]
    same(found, columns.transfer_x(style=x[:2], concept=y, seed=1))


def test_v2_and_grpc(server, columns, x):
    expected = columns.generate_y(x, seed=0)
    given = {"name": "x", "shape": list(x.shape), "datatype": "FP32"}
    body = {"inputs": [{**given, "data": nulls(x.ravel().tolist())}]}
    (output,) = server.v2("generate-y", body).json()["outputs"]
    same(np.reshape(output["data"], output["shape"]), expected)
    (raw,) = server.rpc("generate-y", {"x": x}).raw_output_contents
    same(np.frombuffer(raw, np.float32).reshape(expected.shape), expected)


def test_a_latent_that_the_model_lacks_is_neither_given_nor_asked_for(server, columns):
    y = columns.samples("y")
    answer = server.rpc("encode-y", {"y": y})
    assert [output.name for output in answer.outputs] == ["z"]
    z = columns.encode_y(y, seed=0).z
    same(np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(z.shape), z)
    (raw,) = server.rpc("decode-y", {"z": z}).raw_output_contents
    expected = columns.decode_y(z)
    same(np.frombuffer(raw, np.float32).reshape(expected.shape), expected)


def test_what_is_wrong_is_said(server, x):
    good = np.nan_to_num(x[:1])
    bad, gap = good.tolist(), np.zeros((1, 12, 2)).tolist()
    bad[0][1], gap[0][3][1] = 1.5, None
    for task, rows, message in (
        ("generate-y", bad, "0 or 1 in column 'left'"),
        ("generate-y", [{"b64": "AAAA"}], "`x` should be lists of numbers"),
        ("generate-y", good.astype(str).tolist(), "`x` should be lists of numbers"),
        ("generate-x", gap, "`y` should be lists of numbers"),
    ):
        answer = server.v1(task, {"instances": rows})
        assert answer.status_code == 400
        assert message in answer.json()["error"]
    assert server.http.get("/v2/health/ready").status_code == 200
