import contextlib
import copy
import functools
import http.server
import json
import pickle
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from model_server import listening
from tiny_bundle import tiny_rows

from wyner_serving import Bundle, Gallery, InputError, ServingError, tf_serving
from wyner_serving.noise import NoiseStreams
from wyner_serving.tf_serving.client import row_seeds

# A shared machine stalls now and then.
Client = functools.partial(tf_serving.Client, timeout=120)


@pytest.fixture(params=["rest", "rpc"])
def url(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def client(url):
    return Client(url)


def results(client, x, y):
    pair_x, pair_y = client.generate_pairs(5, seed=3)
    return {
        "y": client.generate_y(x, seed=3),
        "x": client.generate_x(y, seed=3),
        "samples": client.generate_y(x[:2], seed=3, samples=4),
        "pair_x": pair_x,
        "pair_y": pair_y,
        "transfer_x": client.transfer_x(style=x[:3], concept=y, seed=3),
        "transfer_y": client.transfer_y(style=y[:3], concept=x, seed=3),
    }


def test_shapes_are_the_bundles_and_requests_change_nothing(url, client, tiny_images):
    found = results(client, *tiny_images)
    shapes = {name: value.shape for name, value in found.items()}
    assert shapes == {
        "y": (7, 8, 8, 1),
        "x": (7, 8, 8, 1),
        "samples": (2, 4, 8, 8, 1),
        "pair_x": (5, 8, 8, 1),
        "pair_y": (5, 8, 8, 1),
        "transfer_x": (3, 7, 8, 8, 1),
        "transfer_y": (3, 7, 8, 8, 1),
    }
    for name, value in results(Client(url, rows=4), *tiny_images).items():
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, found[name], atol=1e-6, err_msg=name)


def test_a_client_ranks_as_the_bundle_does(url, bundle, tiny_images, tmp_path):
    client, x, y = Client(url, rows=3), *tiny_images
    bundle = Bundle.load(bundle, threads=1)
    for side, query in (("y", x), ("x", y)):
        gallery = getattr(bundle, f"gallery_{side}")(tiny_images["xy".index(side)])
        expected = bundle.rank(query, gallery)
        # The bundle's gallery serves the client, and the client's the bundle.
        again = getattr(client, f"gallery_{side}")(tiny_images["xy".index(side)])
        again = Gallery.load(again.save(tmp_path / side))
        for ranker, of in ((client, gallery), (client, again), (bundle, again)):
            found = ranker.rank(query, of)
            np.testing.assert_allclose(found.nats, expected.nats, rtol=1e-4, atol=1e-5)
            apart = np.abs(np.diff(expected.nats)).min(axis=1) > 1e-4
            np.testing.assert_array_equal(found.rows[apart], expected.rows[apart])
    np.testing.assert_allclose(client.log_pmi(x, y), bundle.log_pmi(x, y), rtol=1e-4, atol=1e-5)


def asked(client, servable):
    """A client that knows what the data are; requests are counted from here on."""
    client.example_shape("x")
    servable.requests.clear()
    return client


def test_no_request_has_more_rows_than_told(rest, servable, tiny_images):
    client = asked(Client(rest, rows=3), servable)
    client.transfer_x(style=tiny_images[0][:2], concept=tiny_images[1], seed=0)
    assert [sizes for _, sizes in servable.requests] == [{3}] * 4 + [{2}]


def test_rows_depend_on_their_own_seeds_alone(client, tiny_images):
    x, y = tiny_images
    whole = client.transfer_x(style=x, concept=y[:4], seed=5)
    part = client.transfer_x(style=x[:2], concept=y[:3], seed=5)
    np.testing.assert_allclose(part, whole[:2, :3], atol=1e-6)
    np.testing.assert_allclose(
        client.generate_y(x[:3], seed=5), client.generate_y(x, seed=5)[:3], atol=1e-6
    )
    same = client.generate_y(np.repeat(x[:1], 6, axis=0), seed=5)
    assert all(np.abs(same[0] - other).max() > 1e-3 for other in same[1:])
    assert np.abs(client.generate_y(x, seed=5) - client.generate_y(x, seed=6)).max() > 1e-3


def test_a_seed_gives_rows_seeds():
    seeds = row_seeds(3, 1000)
    assert seeds.dtype == np.int32 and seeds.min() >= 0
    assert len(set(seeds)) == 1000
    np.testing.assert_array_equal(row_seeds(3, 10), seeds[:10])
    assert not set(seeds) & set(row_seeds(4, 1000))


def test_no_two_rows_have_one_seed():
    """Of as many draws of 31 bits some 9 would."""
    assert len(np.unique(row_seeds(0, 2**17 + 2**16))) == 2**17 + 2**16
    counts = np.histogram(row_seeds(1, 2**14), 64, (0, 2**31))[0]
    assert np.abs(counts - 256).max() < 6 * 16


def test_seeded_tasks_are_the_signatures(client, tiny_images):
    x, y = tiny_images
    seeds = row_seeds(3, 7)
    direct = client.predict("generate_y_seeded", x=x, seed=seeds)["y"]
    np.testing.assert_allclose(client.generate_y(x, seed=3), direct, atol=1e-6)
    row = client.predict(
        "transfer_y_seeded",
        style=y[2:3],
        concept=x[4:5],
        style_seed=seeds[2:3],
        concept_seed=seeds[4:5],
    )["y"]
    grid = client.transfer_y(style=y[:3], concept=x, seed=3)
    np.testing.assert_allclose(grid[2, 4], row[0], atol=1e-6)


def test_given_the_noise_the_server_says_what_the_bundle_says(client, bundle, tiny_images):
    x, y = tiny_images
    opened = Bundle.load(bundle, threads=1)
    noise = NoiseStreams(8, opened.manifest["latents"])
    made = client.predict(
        "generate_y", x=x, noise_z=noise.draw("z", 7), noise_v=noise.draw("v", 7)
    )["y"]
    np.testing.assert_allclose(made, opened.generate_y(x, seed=8), atol=1e-5)

    noise = NoiseStreams(8, opened.manifest["latents"])
    row, column = (index.ravel() for index in np.indices((3, 7)))
    concept_z, style_z = noise.draw("z", 7), noise.draw("z", 3)
    made = client.predict(
        "transfer_x_rows",
        style=x[row],
        concept=y[column],
        noise_concept_z=concept_z[column],
        noise_style_z=style_z[row],
        noise_u=noise.draw("u", 3)[row],
    )["x"]
    expected = opened.transfer_x(style=x[:3], concept=y, seed=8)
    np.testing.assert_allclose(made.reshape(expected.shape), expected, atol=1e-5)

    z = np.eye(3, dtype=np.float32)
    u = np.zeros((3, 2), np.float32)
    np.testing.assert_allclose(
        client.predict("decode_x", z=z, u=u)["x"], opened.decode_x(z, u), atol=1e-5
    )


def test_png_says_the_same_in_256_levels(url, client, tiny_images):
    x, y = (np.round(255 * images).astype(np.uint8) for images in tiny_images)
    found = results(Client(url, png=True), x, y)
    for name, value in results(client, x, y).items():
        np.testing.assert_allclose(found[name], value, atol=0.51 / 255, err_msg=name)
        levels = 255 * found[name]
        np.testing.assert_allclose(levels, np.round(levels), atol=1e-3)


def test_vectors_and_series(columns_url, bundle_of, tiny_of):
    """What is missing is missing on the server too; what comes is of the columns' kinds."""
    client, opened = Client(columns_url), Bundle.load(bundle_of("columns"), threads=1)
    assert client.side_entries == opened.side_entries
    x, y = tiny_rows(tiny_of("columns")).values()
    assert np.isnan(x).any()
    found = results(client, x, y)
    for name, value in results(Client(columns_url, rows=4), x, y).items():
        assert value.dtype == np.float32 and np.isfinite(value).all()
        np.testing.assert_allclose(value, found[name], rtol=1e-5, atol=1e-5, err_msg=name)
    assert set(found["x"][:, 1]) <= {0, 1}
    noise = NoiseStreams(8, opened.latent_entries)
    made = client.predict("generate_y", x=x, noise_z=noise.draw("z", 7))["y"]
    np.testing.assert_allclose(made, opened.generate_y(x, seed=8), rtol=1e-5, atol=1e-5)
    # Bytes are numbers here, and no grey levels.
    whole = np.nan_to_num(np.round(x[:, 1:4])).astype(np.uint8)
    pixels = np.concatenate([whole[:, :1], whole, whole[:, :1]], axis=1)
    np.testing.assert_array_equal(
        client.generate_y(pixels, seed=0), client.generate_y(pixels.astype(float), seed=0)
    )


def test_bad_columns_are_not_sent(columns_url):
    client = Client(columns_url)
    with pytest.raises(InputError, match="0 or 1 in column 'left'"):
        client.generate_y(np.full((1, 5), 2.0), seed=0)
    with pytest.raises(InputError, match=r"`y` should be an array \(n, 12, 2\)"):
        client.generate_x(np.zeros((1, 5)), seed=0)
    with pytest.raises(InputError, match="`png` should be for images alone"):
        Client(columns_url, png=True).generate_pairs(1, seed=0)


def test_a_model_of_an_earlier_version_is_one_of_images(rest, monkeypatch, tiny_images):
    """Whose server does not tell what its data are."""
    client = Client(rest)
    outputs = {name: each for name, each in client._transport.outputs().items() if name != "sides"}
    monkeypatch.setattr(client._transport, "outputs", lambda: outputs)
    assert client.side_entries["y"] == {"kind": "image", "shape": (8, 8, 1)}
    expected = Client(rest).generate_y(tiny_images[0], seed=1)
    np.testing.assert_array_equal(client.generate_y(tiny_images[0], seed=1), expected)


def test_versions_and_their_states(url, client, tiny_images):
    assert client.states() == {1: "AVAILABLE"}
    assert client.example_shape("x") == (8, 8, 1)
    expected = client.generate_pairs(1, seed=0)[0]
    for options in ({"version": 1}, {"label": None}):
        np.testing.assert_array_equal(Client(url, **options).generate_pairs(1, seed=0)[0], expected)


def test_threads_share_a_client(rest, tiny_images):
    client, x = Client(rest), tiny_images[0]
    expected = {seed: Client(rest).generate_y(x[:2], seed=seed) for seed in range(4)}
    wrong = []

    def work(seed):
        try:
            np.testing.assert_allclose(client.generate_y(x[:2], seed=seed), expected[seed])
        except Exception as error:
            wrong.append(error)

    workers = [threading.Thread(target=work, args=(number % 4,)) for number in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.parametrize("travel", [lambda c: pickle.loads(pickle.dumps(c)), copy.deepcopy])
def test_a_client_travels(url, servable, tiny_images, travel):
    client = Client(url, label=None, version=1, rows=3, png=True)
    expected = client.generate_y(tiny_images[0], seed=3)
    other = asked(travel(client), servable)
    np.testing.assert_array_equal(other.generate_y(tiny_images[0], seed=3), expected)
    assert servable.requests[0] == ("generate_y_png", {3})


FORK = """
import os, signal, socket, sys, threading
from wyner_serving import ServingError
from wyner_serving.tf_serving import Client

def ask():
    try:
        client.example_shape("x")
    except ServingError:
        return
    sys.exit("no server answered")

# It takes connections and never answers, so that the thread holds the lock.
silent = socket.create_server(("127.0.0.1", 0))
client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=3)
threading.Thread(target=ask).start()
connection = silent.accept()
pid = os.fork()
if not pid:
    signal.alarm(60)
    ask()
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""


def test_a_forked_child_does_not_wait_for_a_thread_of_its_parent(tmp_path):
    (tmp_path / "fork.py").write_text(FORK)
    done = subprocess.run([sys.executable, tmp_path / "fork.py"], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr


IMAGE = np.zeros((1, 8, 8, 1), np.float32)
LARGE = np.broadcast_to(IMAGE, (10**5, 8, 8, 1))
BAD_CALLS = {
    "shape": (lambda c: c.generate_y(IMAGE[:, :4], seed=0), r"shape \(1, 4, 8, 1\)"),
    "range": (lambda c: c.generate_x(IMAGE + 9, seed=0), "values from 9"),
    "nan": (lambda c: c.transfer_x(style=IMAGE * np.nan, concept=IMAGE, seed=0), "NaN"),
    "concept": (lambda c: c.transfer_y(style=IMAGE, concept=IMAGE[:0], seed=0), "`concept`"),
    "samples": (lambda c: c.generate_y(IMAGE, seed=0, samples=0), "samples=0"),
    "count": (lambda c: c.generate_pairs(0, seed=0), "count=0"),
    "seed": (lambda c: c.generate_pairs(1, seed=-1), "seed=-1"),
    "large": (lambda c: c.generate_y(IMAGE, seed=1.5), "seed=1.5"),
    "mask": (lambda c: c.generate_y(np.ma.asarray(IMAGE), seed=0), "without a mask"),
    "mask predicted": (lambda c: c.predict("decode_x", z=np.ma.ones((1, 3))), "`z` .*a mask"),
    "complex": (lambda c: c.predict("decode_x", z=np.eye(3) * 1j), "`z` .*complex128"),
    "samples that cannot fit": (
        lambda c: c.generate_y(IMAGE, seed=0, samples=10**12),
        "`samples` .*fits in memory",
    ),
    "pairs that cannot fit": (lambda c: c.generate_pairs(2**62, seed=0), "`count` .*in memory"),
    "styles that cannot fit": (
        lambda c: c.transfer_x(style=LARGE, concept=LARGE, seed=0),
        "100000 styles x 100000 concepts",
    ),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_input_is_not_sent(rest, servable, case):
    call, message = BAD_CALLS[case]
    client = asked(Client(rest), servable)
    with pytest.raises(InputError, match=message):
        call(client)
    assert not servable.requests


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("localhost:8501", {}, "http://, https:// or grpc://"),
        ("ftp://localhost", {}, "Received: 'ftp://localhost'"),
        ("http://localhost", {"timeout": 0}, "timeout=0"),
        ("http://localhost", {"rows": 0}, "rows=0"),
        ("http://localhost", {"version": "1"}, "version='1'"),
    ],
)
def test_bad_options_are_refused(url, options, message):
    with pytest.raises(InputError, match=message):
        Client(url, **options)


def test_what_the_server_says_is_passed_on(url, rest):
    with pytest.raises(ServingError, match="any versions of model other") as raised:
        Client(url, model="other").states()
    assert raised.value.code == (404 if url == rest else "NOT_FOUND")
    with pytest.raises(ServingError, match="label: canary"):
        Client(url, label="canary").generate_pairs(1, seed=0)
    with pytest.raises(ServingError, match="version 2 of model wyner"):
        Client(url, version=2).generate_pairs(1, seed=0)
    with pytest.raises(ServingError, match="0th-dimension size") as raised:
        Client(url).predict("generate_y_seeded", x=IMAGE, seed=np.arange(2, dtype=np.int32))
    assert raised.value.code == (400 if url == rest else "INVALID_ARGUMENT")
    with pytest.raises(ServingError, match="generate_z"):
        Client(url).predict("generate_z", x=IMAGE)


def test_nobody_there(url):
    scheme = url.split(":")[0]
    with pytest.raises(ServingError) as raised:
        Client(f"{scheme}://127.0.0.1:1", timeout=2).states()
    assert raised.value.code == (None if scheme == "http" else "UNAVAILABLE")


def handler(content, code=200, delay=0.0, length=None):
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            time.sleep(delay)
            self.send_response(code)
            self.send_header("Content-Length", str(len(content) if length is None else length))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

    return Handler


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ({"content": b"<html>"}, "Expecting value"),
        ({"content": b"{}"}, "versions' states. Received: {}"),
        ({"content": b"[]"}, "versions' states"),
        ({"content": b"", "code": 503}, "503, Service Unavailable"),
        ({"content": b"<html>no", "code": 502}, "502, <html>no"),
        ({"content": b"{", "length": 9}, "within 1 s"),
        ({"content": b"[" * 10**4}, "within 1 s"),
        ({"content": b"{", "code": 500, "length": 9}, "500, Internal Server Error"),
        ({"content": b"[" * 10**4, "code": 500}, r"500, \[\["),
        ({"content": b"{}", "delay": 1.5}, "timed out"),
    ],
)
def test_odd_answers_are_errors(behaviour, message):
    with listening(handler(**behaviour)) as url, pytest.raises(ServingError, match=message):
        Client(url, timeout=1).states()


JSON = {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": "-1"}]}}
SIDE = {"kind": "image", "shape": [8, 8, 1], "local": "u"}
Z = {"family": "categorical", "n": 1, "k": 3, "size": 3, "noise": "uniform"}


@contextlib.contextmanager
def telling(name, told, signature=None):
    """The address of a server of one signature, which answers with a text."""
    signatures = {name: {"outputs": {"json": JSON}} if signature is None else signature}
    described = {"metadata": {"signature_def": {"signature_def": signatures}}}
    asked, answer = (
        handler(json.dumps(each).encode()) for each in (described, {"outputs": [json.dumps(told)]})
    )
    with listening(type("Both", (asked,), {"do_POST": answer.do_POST})) as url:
        yield url


@pytest.mark.parametrize(
    "signature",
    [
        *(1, [], {"outputs": []}, {"outputs": {"json": 1}}, {"outputs": {"json": {"dtype": 1}}}),
        {"outputs": {"json": {**JSON, "tensor_shape": {"dim": [{"size": "one"}]}}}},
    ],
)
def test_signatures_that_are_none_are_errors(signature):
    with telling("sides", {}, signature) as url, pytest.raises(ServingError, match="metadata"):
        Client(url).example_shape("x")


@pytest.mark.parametrize(
    "told",
    [
        *(1, [], {}, {"x": SIDE}, {"x": SIDE, "y": {}}, {"x": SIDE, "y": {**SIDE, "shape": [8]}}),
        {"x": SIDE, "y": {**SIDE, "shape": ["8", 8, 1]}},
        {"x": SIDE, "y": {**SIDE, "kind": "vector", "columns": 1}},
        {"x": SIDE, "y": {**SIDE, "local": "w"}},
    ],
)
def test_sides_that_are_none_are_errors(told):
    with telling("sides", told) as url, pytest.raises(ServingError, match="signature sides"):
        Client(url).generate_pairs(1, seed=0)


@pytest.mark.parametrize(
    "told",
    [
        *(1, [], {"latents": []}, {"latents": {"z": None}}, {"identity": 1}),
        {"latents": {"z": {**Z, "size": "3"}}},
        {"posterior_names": 1},
        {"posterior_names": [1]},
    ],
)
def test_a_model_that_is_none_is_an_error(told):
    with telling("about", told) as url, pytest.raises(ServingError, match="signature about"):
        _ = Client(url).latent_entries


@pytest.mark.parametrize("code", [200, 500])
def test_an_answer_that_trickles_in_for_ever_ends(code):
    class Handler(handler(b"{}")):
        def do_GET(self):
            self.send_response(code)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(100):
                    self.wfile.write(b" ")
                    time.sleep(0.05)

    begun = time.monotonic()
    expected = "a part of an answer" if code == 200 else "500, Internal Server Error"
    with listening(Handler) as url, pytest.raises(ServingError, match=expected):
        Client(url, timeout=0.5).states()
    assert time.monotonic() - begun < 4


def test_answers_that_are_not_finite_are_refused(rest, monkeypatch, tiny_images):
    client = Client(rest)
    names = client.posterior_names
    client.example_shape("x")
    ask = client._transport.predict

    def broken(signature, inputs):
        return {
            name: np.full_like(values, np.inf) for name, values in ask(signature, inputs).items()
        }

    monkeypatch.setattr(client._transport, "predict", broken)
    assert names
    for task, call in (
        ("generate_pairs", lambda: client.generate_pairs(2, seed=0)),
        ("generate_y", lambda: client.generate_y(tiny_images[0], seed=0)),
        ("posterior_x_z", lambda: client.posteriors(tiny_images[0], "x")),
        ("posterior_y_z", lambda: client.gallery_y(tiny_images[1])),
    ):
        with pytest.raises(InputError, match=f"{task} should be asked for what float32 can hold"):
            call()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"outputs": {"x": [[1.0]], "y": [[1.0]]}}, r"x of shape \(1, 8, 8, 1\). .*\(1, 1\)"),
        ({"outputs": {"x": [[1.0]]}}, "KeyError"),
        ({"predictions": []}, "KeyError"),
        ({"outputs": {"x": [["a"]], "y": []}}, "ValueError"),
    ],
)
def test_answers_of_other_shapes_are_errors(rest, monkeypatch, answer, message):
    client = Client(rest)
    client.example_shape("x")
    monkeypatch.setattr(client._transport, "_call", lambda url, body=None: answer)
    with pytest.raises(ServingError, match=message):
        client.generate_pairs(1, seed=0)
