"""Whatever a large value is given as, the error says what it is in a line, not what it holds."""

import keras
import numpy as np
import pytest
import tiny_bundle

from wyner_keras import data, evaluation, information, pictures
from wyner_keras.data import LabelledImages, Pairs
from wyner_keras.data.checks import check_images, check_labels, check_whole
from wyner_keras.evaluation import Judge
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.losses import Joint
from wyner_keras.modality import Image, Series, Vector
from wyner_keras.recipe import Recipe
from wyner_keras.schedules import Ramp
from wyner_keras.side import SideSettings
from wyner_keras.stage import Stage
from wyner_keras.training import train

# What an error may tell of all the values together, such as the smallest, is not among the first.
ARRAY = np.full((40, 30), 0.12345678)
ARRAY[-1] = 0.0625
MANY = np.full((40, 5, 5, 1), 0.12345678, np.float32)
MANY[0] = 0.0625
IMAGES = LabelledImages(MANY, np.arange(40))
LARGE = {
    "an array": ARRAY,
    "a float32 array": ARRAY.astype(np.float32),
    "lists": ARRAY.tolist(),
    "images": IMAGES,
    "pairs": Pairs(IMAGES, IMAGES),
    "a model": keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]),
    "a dict": dict(enumerate(ARRAY)),
}
SMALL = LabelledImages(np.random.default_rng(0).random((6, 8, 8, 1), "f"), [0, 0, 0, 1, 1, 1])
SOURCE = data.ImageSource("small", SMALL, SMALL)
PAIRS = Pairs(SMALL, SMALL)
GRID = np.full((6, 2, 8, 8, 1), 0.5)


class NoModel:
    """Never asked: what it is to be asked with is refused before."""

    tasks = ("conditional",)


CALLS = [
    (data.load, {"source": "digits", "test_fraction": 0.2, "seed": 0}),
    (data.add_one, {"images": SMALL, "pairs_per_class": 1, "seed": 0, "classes": 2}),
    (
        data.label_map,
        {"images": SMALL, "mapping": abs, "pairs_per_class": 1, "seed": 0, "targets": SMALL},
    ),
    (data.same_label, {"x_images": SMALL, "y_images": SMALL, "pairs_per_class": 1, "seed": 0}),
    (data.from_indices, {"index": [[0, 0]]} | dict.fromkeys(("x_images", "y_images"), SMALL)),
    (data.rotated, {"turns": 1}),
    (check_images, {"images": SMALL.images}),
    (check_labels, {"labels": [0]}),
    (check_whole, {"value": 1}),
    (LabelledImages, {"images": SMALL.images, "labels": SMALL.labels}),
    (SMALL.take, {"n": 1}),
    (SMALL.by_class, {"count": 1, "seed": 0}),
    (Pairs, {"x": SMALL, "y": SMALL, "index": [[0, 0], [1, 1]]}),
    (PAIRS.take, {"n": 1, "seed": 0}),
    (PAIRS.split, {"fraction": 0.2, "seed": 0}),
    (PAIRS.dataset, {"batch_size": 1, "seed": 0}),
    (data.load_pairs, {"source": SMALL.images}),
    (Categorical, {"n": 1, "k": 2}),
    (DiagonalGaussian, {"dim": 1}),
    (Image, {"shape": (8, 8, 1)}),
    (Series, {"shape": (8, 1)}),
    (Vector, {"kinds": ("real",)}),
    (SideSettings, {"local": None, "hidden": (4,), "reader": "data", "flow_steps": 0}),
    (Stage, {"model": None, "loss": Joint()}),
    (train, {"pairs": PAIRS}),
    (Ramp, {"start": 1.0, "end": 0.5, "begin": 0.0, "finish": 1.0}),
    (Recipe, {"seed": 0}),
    (information.gaussian, {"rho": 0.5}),
    (information.relaxed_gaussian, {"rho": 0.5, "weight": 0.1}),
    (information.canonical_correlations, {"covariance": np.eye(2), "split": 1}),
    (information.multivariate_gaussian, {"covariance": np.eye(2), "split": 1}),
    (information.doubly_symmetric_binary, {"a0": 0.1}),
    (information.relaxed_doubly_symmetric_binary, {"a0": 0.1, "weight": 0.1}),
    (information.binary_erasure, {"erasure": 0.1}),
    (information.deterministic_label, {"p": [0.5, 0.5]}),
    (information.relaxed_label, {"p": [0.5, 0.5], "weight": 0.1}),
    (information.entropy, {"p": [0.5, 0.5]}),
    (information.binary_entropy, {"p": 0.5}),
    (information.mutual_information, {"p_xy": np.eye(2) / 2}),
    (information.bounds, {"p_xy": np.eye(2) / 2}),
    (
        information.wyner_common_information,
        {"p_xy": np.eye(2) / 2, "tolerance": 1e-5, "starts": 1, "rounds": 1, "seed": 0},
    ),
    (information.measure, {"pairs": PAIRS, "rows": 2, "contrasted": 2}),
    (evaluation.frechet_distance, {"real": np.eye(3), "generated": np.eye(3)}),
    (evaluation.precision_recall, {"real": np.eye(5), "generated": np.eye(5), "k": 3}),
    (
        evaluation.within_input_diversity,
        {
            **{"samples": GRID.reshape(6, 2, -1), "labels": SMALL.labels},
            **{"real": np.eye(6, 64), "real_labels": SMALL.labels},
        },
    ),
    (
        evaluation.style_correlation,
        {"reference": np.arange(3.0), "results": np.ones((3, 2)), "groups": np.arange(2)},
    ),
    (evaluation.slant, {"images": SMALL.images}),
    (evaluation.stroke_thickness, {"images": SMALL.images}),
    (evaluation.dependence_test, {"pairs": PAIRS, "permutations": 19, "rows": 20, "seed": 0}),
    (evaluation.leakage_test, {"latent": np.eye(20), "target": np.eye(20), "permutations": 19}),
    (
        evaluation.memory_test,
        {"samples": np.eye(3), "held_out": np.eye(3), "train": np.eye(3), "shown": 1},
    ),
    (evaluation.two_sample_test, {"real": [np.eye(10)], "generated": [np.eye(10)]}),
    (
        evaluation.evaluate,
        {"inputs": 10, "samples": 2, "styles": 3, "concepts": 1},
    ),
    (Judge.train, {"epochs": 1}),
    (pictures.conditional_grid, {"inputs": SMALL.images, "samples": GRID}),
    (pictures.joint_grid, {"x": SMALL.images, "y": SMALL.images}),
]
# What the calls take besides; no value of theirs is replaced.
MORE = {
    data.rotated: {"source": SOURCE},
    Recipe: {"z": Categorical(n=1, k=2), "sides": {}, "codecs": {}, "stages": ()},
    check_labels: {"count": 1},
    check_whole: {"name": "value"},
    information.measure: {"model": None},
    evaluation.evaluate: {"model": NoModel(), "held_out": PAIRS},
    Judge.train: {"examples": SMALL.images, "labels": SMALL.labels},
    pictures.conditional_grid: {"path": "never"},
    pictures.joint_grid: {"path": "never"},
}


@pytest.mark.parametrize(
    ("call", "given", "name"),
    [
        pytest.param(call, given, name, id=f"{call.__qualname__}-{name}")
        for call, given in CALLS
        for name in given
    ],
)
def test_an_error_is_one_short_line_without_contents(call, given, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused = 0
    for kind, value in LARGE.items():
        if isinstance(value, type(given[name])) and not isinstance(value, np.ndarray | list):
            continue
        try:
            call(**{**MORE.get(call, {}), **given, name: value})
        except (TypeError, ValueError, AttributeError) as error:
            said = str(error)
            assert "\n" not in said, (kind, said)
            assert len(said) < 400, (kind, said)
            assert "0.12" not in said, (kind, said)
            if kind == "an array":
                # Not NumPy's, TensorFlow's or Python's own, from deep inside.
                assert isinstance(error, ValueError), said
                assert "should" in said, said
            refused += 1
    assert refused > 2


@pytest.mark.parametrize("name", ["x", "seed", "samples"])
def test_the_errors_of_a_models_tasks_do_too(name):
    trained = tiny_bundle.tiny_model()
    for value in LARGE.values():
        given = {"x": SMALL.images, "seed": 0, "samples": 1, name: value}
        with pytest.raises(ValueError, match="should") as error:
            trained.generate_y(**given)
        said = str(error.value)
        assert "\n" not in said
        assert len(said) < 400
        assert "0.12" not in said
