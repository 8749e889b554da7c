"""Whatever a large value is given as, the error says what it is in a line, not what it holds."""

import keras
import numpy as np
import pytest

from wyner_keras import data, evaluation, figures, information, sweeps
from wyner_keras.data import LabelledImages, Pairs
from wyner_keras.data.checks import check_images, check_labels, check_whole
from wyner_keras.evaluation import Judge
from wyner_keras.information import sources
from wyner_keras.information.variational import trace
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import JVAE, AlignmentStage, WynerConfig, WynerModel
from wyner_keras.models.tasks import NoiseStreams
from wyner_keras.networks import ConvAutoencoder, TreePrior
from wyner_keras.training import Recipe, recipe, train_baseline
from wyner_keras.training.schedules import Ramp
from wyner_keras.training.settings import StageSettings, WrapperSettings

# What an error may tell of all the values together, such as the smallest, is not among the first.
ARRAY = np.full((40, 30), 0.12345678)
ARRAY[-1] = 0.0625
IMAGES = LabelledImages(np.full((40, 5, 5, 1), 0.12345678, np.float32), np.arange(40))
LARGE = {
    "an array": ARRAY,
    "a float32 array": ARRAY.astype(np.float32),
    "lists": ARRAY.tolist(),
    "images": IMAGES,
    "pairs": Pairs.diagonal(IMAGES),
    "a model": keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]),
    "a dict": dict(enumerate(ARRAY)),
}
SMALL = LabelledImages(np.full((6, 8, 8, 1), 0.5, np.float32), [0, 0, 0, 1, 1, 1])
SOURCE = data.ImageSource("small", SMALL, SMALL)
STAGE = StageSettings(epochs=1)
SETTINGS = recipe("annealed", "digits")
GRID = np.full((6, 2, 8, 8, 1), 0.5)


class NoModel:
    """Never asked: what it is to be asked with is refused before."""

    tasks = ("conditional",)


def model():
    latent = DiagonalGaussian(dim=2)
    config = WynerConfig(
        **{"z": Categorical(n=1, k=2), "u": latent, "v": latent, "hidden": (4,)},
        **{"x_shape": (8, 8, 1), "y_shape": (8, 8, 1)},
    )
    return WynerModel(config)


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
    (Pairs, {"x": SMALL, "y": SMALL, "index": [[0, 0]]}),
    (Pairs.diagonal(SMALL).take, {"n": 1, "seed": 0}),
    (
        Pairs.diagonal(SMALL).dataset,
        {"batch_size": 1, "seed": 0, "x_values": SMALL.images, "y_values": SMALL.images},
    ),
    (Categorical, {"n": 1, "k": 2}),
    (DiagonalGaussian, {"dim": 1}),
    (
        WynerConfig,
        {
            **{"z": Categorical(n=1, k=2), "u": None, "v": None, "hidden": (4,), "seed": 0},
            **{"distance": "features", "two_epsilon_squared": 0.2, "joint_encoder": "product"},
            **{"prior": "tree", "flow_steps": 0, "encoder_dropout": 0.0, "x_shape": (8, 8, 1)},
            **{"common_information_weight": 0.5, "alignment_weight": 1.0},
        },
    ),
    (WynerModel, {"config": None, "wrapper": None}),
    (JVAE, {"config": None}),
    (AlignmentStage(model()).__class__, {"functions": 2, "model": model()}),
    (ConvAutoencoder, {"image_shape": (8, 8, 1)}),
    (ConvAutoencoder((8, 8, 1), code_size=2, filters=(2, 2)).train, {"images": SMALL.images}),
    (TreePrior, {"family": Categorical(n=1, k=2)}),
    (TreePrior(1, 2).fit, {"joint": np.eye(2)[None, None] / 2}),
    (NoiseStreams, {"seed": 0}),
    (recipe, {"name": "annealed", "local": None}),
    (SETTINGS.longer, {"factor": 2}),
    (Ramp, {"start": 1.0, "end": 0.5, "begin": 0.0, "finish": 1.0}),
    (StageSettings, {"epochs": 1, "batch_size": 1, "average": 0.5}),
    (WrapperSettings, {"code_size": 1, "epochs": 1, "batch_size": 1}),
    (
        Recipe,
        {"pairs_per_class": 1, "wrapper_y": None},
    ),
    (train_baseline, {"name": "cvae", "epochs": 1}),
    (sweeps.sweep, {"name": "4", "recipes": ["paper"]}),
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
    (information.measure, {"pairs": Pairs.diagonal(SMALL), "rows": 2, "contrasted": 2}),
    (sources.GaussianSource, {"rho": 0.5}),
    (
        sources.DiscreteSource,
        {"p_xy": np.eye(2) / 2, "bits_x": np.eye(2), "bits_y": np.eye(2)},
    ),
    (trace, {"z": Categorical(n=1, k=2), "steps": 60}),
    (evaluation.frechet_distance, {"real": np.eye(3), "generated": np.eye(3)}),
    (evaluation.precision_recall, {"real": np.eye(5), "generated": np.eye(5), "k": 3}),
    (
        evaluation.within_input_diversity,
        {"samples": GRID, "labels": SMALL.labels, "real": SMALL},
    ),
    (
        evaluation.style_correlation,
        {"reference": np.arange(3.0), "results": np.ones((3, 2)), "groups": np.arange(2)},
    ),
    (evaluation.slant, {"images": SMALL.images}),
    (evaluation.stroke_thickness, {"images": SMALL.images}),
    (
        evaluation.evaluate,
        {"inputs": 10, "samples": 2, "styles": 3, "concepts": 1},
    ),
    (Judge.train, {"epochs": 1}),
    (figures.conditional_grid, {"inputs": SMALL.images, "samples": GRID}),
    (figures.joint_grid, {"x": SMALL.images, "y": SMALL.images, "columns": 1}),
]
# What the calls take besides; no value of theirs is replaced.
MORE = {
    data.rotated: {"source": SOURCE},
    Recipe: {"name": "a", "config": SETTINGS.config, "joint": STAGE, "marginal": STAGE},
    train_baseline: {"source": SOURCE, "recipe": SETTINGS},
    check_labels: {"count": 1},
    check_whole: {"name": "value"},
    AlignmentStage: {},
    information.measure: {"model": None},
    sources.DiscreteSource: {"name": "a", "title": "A", "trade_off": None},
    trace: {"source": sources.noisy_bits(0.1), "weights": [0.1]},
    evaluation.evaluate: {"model": NoModel(), "source": SOURCE},
    Judge.train: {"images": SMALL},
    figures.conditional_grid: {"path": "never"},
    figures.joint_grid: {"path": "never"},
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


@pytest.mark.parametrize("name", ["x", "seed", "samples", "batch_size"])
def test_the_errors_of_a_models_tasks_do_too(name):
    trained = model()
    for value in LARGE.values():
        given = {"x": SMALL.images, "seed": 0, "samples": 1, "batch_size": 1, name: value}
        with pytest.raises(ValueError, match="should") as error:
            trained.generate_y(**given)
        said = str(error.value)
        assert "\n" not in said
        assert len(said) < 400
        assert "0.12" not in said
