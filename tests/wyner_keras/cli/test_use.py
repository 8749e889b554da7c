import json

import numpy as np
import pytest
from PIL import Image

from wyner_keras import runs


def test_evaluate_finds_the_same_again(trained, call):
    folder, values = trained
    before = (folder / "metrics.json").read_text()
    (folder / "metrics.json").unlink()
    code, out, _ = call("evaluate", folder)
    assert code == 0
    assert "conditional accuracy, y from x" in out
    found = json.loads((folder / "metrics.json").read_text())
    first, second = json.loads(before)["figures"], found["figures"]
    assert first.keys() == second.keys()
    for name, figure in first.items():
        assert second[name] == pytest.approx(figure, abs=1e-3, nan_ok=True), name
    assert values["metrics"]["counts"] == found["counts"]


def test_generate_arrays_from_the_test_digits(trained, call, tmp_path):
    words = ("generate", trained[0], "--from", "x", "--count", 12, "--samples", 3, "--json")
    code, out, _ = call(*words, "--out", tmp_path / "a.npz", "--seed", 1)
    assert code == 0
    assert json.loads(out) == {
        "out": str(tmp_path / "a.npz"),
        "from": "x",
        "seed": 1,
        "count": 12,
        "samples": 3,
    }
    arrays = np.load(tmp_path / "a.npz")
    assert arrays["x"].shape == (12, 8, 8, 1)
    assert arrays["y"].shape == (12, 3, 8, 8, 1)
    run = runs.Run.open(trained[0])
    test = run.source().test
    labels = [test.labels[(test.images == x).all((1, 2, 3))][0] for x in arrays["x"]]
    assert labels == [*range(10), 0, 1]  # each class in turn, of the images held out
    expected = run.load_model().generate_y(arrays["x"], seed=1, samples=3)
    np.testing.assert_array_equal(arrays["y"], expected)
    assert call(*words, "--out", tmp_path / "b.npz", "--seed", 2)[0] == 0
    assert (np.load(tmp_path / "b.npz")["y"] != arrays["y"]).any()


def test_generate_from_files(trained, call, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    (tmp_path / "in").mkdir()
    for place, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "in" / f"{place}.png")
    np.save(tmp_path / "in.npy", (pixels / 255)[..., None])
    made = []
    for name, out in (("in", "a.npz"), ("in.npy", "b.npz")):
        words = ("generate", trained[0], "--from", "y", "--input", tmp_path / name)
        assert call(*words, "--out", tmp_path / out)[0] == 0
        made.append(np.load(tmp_path / out))
    for arrays in made:
        np.testing.assert_allclose(arrays["y"][..., 0], pixels / 255, atol=1e-6)
        assert arrays["x"].shape == (3, 8, 8, 8, 1)
    np.testing.assert_allclose(made[0]["x"], made[1]["x"], atol=1e-5)


@pytest.mark.parametrize(
    "words",
    [
        ("generate", "--from", "x", "--count", 4),
        ("generate", "--from", "prior", "--count", 5),
        ("transfer", "--side", "x"),
        ("transfer", "--side", "y"),
    ],
)
def test_pictures_are_written_whole_and_never_over_another(trained, call, refused, tmp_path, words):
    words = (words[0], trained[0], *words[1:], "--out", tmp_path / "deep" / "a.png")
    assert call(*words)[0] == 0
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.png"]
    with Image.open(tmp_path / "deep" / "a.png") as image:
        assert min(image.size) > 100
    assert "should not exist yet" in refused(*words)


def test_transfer_arrays(trained, call, tmp_path):
    out = tmp_path / "a.npz"
    words = ("transfer", trained[0], "--side", "y", "--seed", 4, "--json", "--out", out)
    code, text, _ = call(*words)
    assert code == 0
    assert json.loads(text)["styles"] == 6
    arrays = np.load(out)
    assert arrays["result"].shape == (6, 10, 8, 8, 1)
    model = runs.Run.open(trained[0]).load_model()
    expected = model.transfer_y(style=arrays["style"], concept=arrays["concept"], seed=4)
    np.testing.assert_array_equal(arrays["result"], expected)


def test_prior_pairs_as_arrays(trained, call, tmp_path):
    words = ("generate", trained[0], "--from", "prior", "--count", 7, "--out", tmp_path / "a.npz")
    assert call(*words)[0] == 0
    assert {name: array.shape for name, array in np.load(tmp_path / "a.npz").items()} == {
        "x": (7, 8, 8, 1),
        "y": (7, 8, 8, 1),
    }


def test_bad_requests_are_one_clear_line(trained, refused, tmp_path):
    folder, out = trained[0], tmp_path / "a.npz"
    np.save(tmp_path / "bytes.npy", np.zeros((2, 8, 8, 1), np.uint8))
    np.save(tmp_path / "large.npy", np.zeros((2, 9, 9, 1)))
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (9, 8)).save(tmp_path / "wide.png")
    for name, message in (
        ("bytes.npy", "divide integer intensities by 255"),
        ("large.npy", "should have shape (n, 8, 8, 1)"),
        ("text.npy", "should be a NumPy array"),
        ("text.png", "should be readable"),
        ("wide.png", "8 high and 9 wide"),
        ("absent.png", "should be one .npy file, or "),
    ):
        words = ("generate", folder, "--from", "x", "--out", out, "--input", tmp_path / name)
        line = refused(*words)
        assert message in line
        assert "Received: " in line
    words = ("generate", folder, "--from")
    assert "at most 360" in refused(*words, "x", "--count", 361, "--out", out)
    assert "neither" in refused(*words, "prior", "--samples", 2, "--out", out)
    assert ".npz or .png" in refused(*words, "x", "--out", tmp_path / "a.txt")
    assert "written by `wyner train`" in refused("evaluate", tmp_path)
    assert "written by" in refused("transfer", "no-run", "--side", "x", "--out", out)
    assert not out.exists()
