"""A run whose x and y have different shapes becomes a bundle that does what the run does."""

import numpy as np
import pytest
from padded_digits import write_padded_digits
from PIL import Image

from wyner_export.graphs import graphs_of
from wyner_keras import runs
from wyner_keras.cli import main
from wyner_serving import Bundle, InputError

SHAPES = {"x": (8, 8, 1), "y": (12, 8, 1)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The digits again, higher, as files by label."""
    return write_padded_digits(tmp_path_factory.mktemp("images") / "high", ((2, 2), (0, 0)), 10)


@pytest.fixture(scope="module")
def run(make_tiny, folder, tmp_path_factory):
    from wyner_keras.training import recipe

    out = tmp_path_factory.mktemp("runs") / "run"
    settings = runs.settings_of(
        recipe("annealed", "digits"),
        data="digits",
        data_y=str(folder),
        label_map={label: label for label in range(10)},
        seed=0,
    )
    runs.save_trained(
        runs.start_run(out, settings), make_tiny(y_shape=SHAPES["y"], flow_steps=0), {}, {}
    )
    return runs.Run.open(runs.finish_run(out))


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """Its bundle with the graphs that have both sides; the others take time, and have one each."""

    def of_both_sides(model):
        return tuple(
            graph for graph in graphs_of(model) if graph.name.startswith(("generate", "transfer"))
        )

    out = tmp_path_factory.mktemp("exported") / "bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wyner_export.bundle.graphs_of", of_both_sides)
        assert main(["export", str(run.folder), "--out", str(out), "--quiet"]) == 0
    return out


def test_samples_are_of_their_sides_source(run, exported):
    sources = {"x": run.source(), "y": run.target()}
    for side, source in sources.items():
        known = {np.rint(255 * image).astype(np.uint8).tobytes() for image in source.test.images}
        files = sorted((exported / "samples" / side).glob("*.png"))
        assert len(files) == 10
        for file in files:
            with Image.open(file) as image:
                assert np.asarray(image).tobytes() in known


def test_the_bundle_generates_what_the_model_does_on_either_side(run, exported):
    bundle, model = Bundle.load(exported), run.load_model()
    rng = np.random.default_rng(0)
    x, y = (rng.random((4, *SHAPES[side]), dtype=np.float32) for side in "xy")
    for side in "xy":
        assert bundle.image_shape(side) == SHAPES[side]
    results = [
        {
            "y": found.generate_y(x, seed=1),
            "x": found.generate_x(y, seed=1, samples=2),
            "pair": found.generate_pairs(3, seed=1),
            "transfer_x": found.transfer_x(style=x[:2], concept=y, seed=1),
            "transfer_y": found.transfer_y(style=y[:2], concept=x, seed=1),
        }
        for found in (bundle, model)
    ]
    assert results[0]["y"].shape == (4, *SHAPES["y"])
    assert results[0]["x"].shape == (4, 2, *SHAPES["x"])
    assert results[0]["transfer_y"].shape == (2, 4, *SHAPES["y"])
    for name, found in results[0].items():
        for one, other in zip(found, results[1][name], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5, err_msg=name)
    with pytest.raises(InputError, match=r"\(n, 12, 8, 1\)"):
        bundle.generate_x(x, seed=0)


def test_the_bundle_verifies_and_its_commands_take_its_samples(exported, tmp_path):
    assert main(["export", "--verify", str(exported), "--quiet"]) == 0
    out = tmp_path / "a.npz"
    words = ["transfer", str(exported), "--side", "y", "--out", str(out)]
    assert main([*words, "--quiet"]) == 0
    with np.load(out) as arrays:
        assert arrays["style"].shape[1:] == arrays["result"].shape[2:] == SHAPES["y"]
        assert arrays["concept"].shape[1:] == SHAPES["x"]
