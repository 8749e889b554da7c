"""`wyner generate` and `wyner transfer` of a bundle: what is too large, and what is interrupted."""

import numpy as np
import pytest
from PIL import Image

from wyner_serving import Bundle


@pytest.fixture
def never(monkeypatch):
    """No image may be generated."""

    def fail(*_):
        raise AssertionError("it generates")

    monkeypatch.setattr("wyner_serving.sessions.Sessions.run", fail)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("x", "--samples", 10**12), "7 inputs x 1000000000000 samples of 8x8x1, 1.592 PiB, of"),
        (("y", "--samples", 10**30), "x about 10^30 samples"),
        (("prior", "--count", 2**62), "pairs of 8x8x1 and 8x8x1, more than 1024 EiB"),
    ],
)
def test_what_cannot_fit_in_memory_is_refused(never, bundle, refused, tmp_path, words, message):
    out = tmp_path / "a.npz"
    line = refused("generate", bundle, "--from", *words, "--out", out)
    assert message in line and "fits in memory" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("x", "--samples", 3000), "7 rows of 3001 images, 189063 pixels wide and 441 high"),
        (("y", "--samples", 10**12), "rows of 1000000000001 images"),
        (("prior", "--count", 100000), "16667 rows of 12 images"),
        (("prior", "--count", 10**30), "and 67108864 in all"),
    ],
)
def test_a_picture_that_no_viewer_opens_is_refused(
    never, bundle, refused, tmp_path, words, message
):
    line = refused("generate", bundle, "--from", *words, "--out", tmp_path / "a.png")
    assert message in line and "write arrays (.npz)" in line
    assert not list(tmp_path.iterdir())


def test_so_is_one_of_a_transfer(never, bundle, refused, tmp_path):
    np.save(tmp_path / "many.npy", np.zeros((600, 8, 8, 1)))
    words = ("transfer", bundle, "--side", "x", "--style", tmp_path / "many.npy")
    assert "601 rows of 8 images" in refused(*words, "--out", tmp_path / "a.png")
    words = ("transfer", bundle, "--side", "x", "--concept", tmp_path / "many.npy")
    assert "601 images" in refused(*words, "--out", tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["many.npy"]


def test_the_same_numbers_are_written_as_arrays(bundle, call, tmp_path):
    words = ("generate", bundle, "--from", "x", "--count", 1, "--samples", 1000)
    assert call(*words, "--out", tmp_path / "a.npz")[0] == 0
    with np.load(tmp_path / "a.npz") as found:
        expected = Bundle.load(bundle).generate_y(found["x"], seed=0, samples=1000)
        np.testing.assert_allclose(found["y"], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["a.png", "a.npz"])
def test_an_interrupted_command_leaves_nothing(bundle, call, tmp_path, monkeypatch, name):
    def interrupted(target, *_, **__):
        target.write_bytes(b"half") if name == "a.png" else target.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", lambda _, target, **__: interrupted(target))
    monkeypatch.setattr(np, "savez_compressed", interrupted)
    for words in (("generate", bundle, "--from", "x"), ("transfer", bundle, "--side", "x")):
        assert call(*words, "--out", tmp_path / name)[0] == 130
        assert not list(tmp_path.iterdir())
