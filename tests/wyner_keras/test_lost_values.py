"""Masks and imaginary parts are refused where NumPy would drop them in silence."""

import warnings

import numpy as np
import pytest

from wyner_keras import evaluation, information, pictures
from wyner_keras.data import LabelledImages, Pairs
from wyner_keras.networks import TreePrior

IMAGES = np.full((4, 8, 8, 1), 0.5, np.float32)
MANY = np.full((4, 2, 8, 8, 1), 0.5, np.float32)
TABLE = np.array([[0.4, 0.1], [0.1, 0.4]])
CLOUD = np.random.default_rng(0).normal(size=(9, 3))
VARIED = np.random.default_rng(1).random((4, 8, 8, 1), np.float32)
REAL = LabelledImages(np.random.default_rng(0).random((4, 8, 8, 1), np.float32), [0, 0, 1, 1])


def tree(joint):
    prior = TreePrior(1, 2)
    prior.build(None)
    prior.fit_joint(joint)


def correlation(**changed):
    values = {"reference": np.arange(3.0), "results": np.ones((3, 2)), "groups": np.arange(2)}
    return evaluation.style_correlation(**values | changed)


def diversity(**changed):
    flat = VARIED.reshape(4, -1)
    values = {"samples": MANY.reshape(4, 2, -1), "labels": REAL.labels, "real": flat}
    values["real_labels"] = REAL.labels
    return evaluation.within_input_diversity(**values | changed)


CASES = {
    "pairs, x": (lambda a: Pairs(a, VARIED), VARIED),
    "pairs, y": (lambda a: Pairs(VARIED, a), VARIED),
    "vectors": (lambda a: Pairs(a, CLOUD), CLOUD),
    "labels": (lambda a: Pairs(CLOUD, CLOUD, x_labels=a), np.arange(9)),
    "tree prior": (tree, np.diag([0.5, 0.5])[None, None]),
    "entropy": (information.entropy, TABLE),
    "mutual information": (information.mutual_information, TABLE),
    "bounds": (information.bounds, TABLE),
    "label": (information.deterministic_label, np.array([0.5, 0.5])),
    "solver": (information.wyner_common_information, TABLE),
    "covariance": (lambda c: information.multivariate_gaussian(c, 1), np.eye(2)),
    "distance, real": (lambda a: evaluation.frechet_distance(a, CLOUD), CLOUD),
    "distance, generated": (lambda a: evaluation.frechet_distance(CLOUD, a), CLOUD),
    "precision, real": (lambda a: evaluation.precision_recall(a, CLOUD), CLOUD),
    "precision, generated": (lambda a: evaluation.precision_recall(CLOUD, a), CLOUD),
    "diversity": (lambda a: diversity(samples=a), MANY.reshape(4, 2, -1)),
    "diversity, labels": (lambda a: diversity(labels=a), np.array([0, 0, 1, 1])),
    "slant": (evaluation.slant, IMAGES),
    "thickness": (evaluation.stroke_thickness, IMAGES),
    "correlation, reference": (lambda a: correlation(reference=a), np.arange(3.0)),
    "correlation, results": (lambda a: correlation(results=a), np.ones((3, 2))),
    "correlation, groups": (lambda a: correlation(groups=a), np.arange(2)),
    "grid, inputs": (lambda a: pictures.conditional_grid(a, MANY, "a.png"), IMAGES),
    "grid, samples": (lambda a: pictures.conditional_grid(IMAGES, a, "a.png"), MANY),
    "grid, styles": (
        lambda a: pictures.transfer_grid(a, IMAGES, np.stack([IMAGES] * 4), "a.png"),
        IMAGES,
    ),
    "grid, results": (
        lambda a: pictures.transfer_grid(IMAGES, IMAGES, a, "a.png"),
        np.stack([IMAGES] * 4),
    ),
    "grid, pairs": (lambda a: pictures.joint_grid(IMAGES, a, "a.png"), IMAGES),
}
CASES = [pytest.param(*case, id=name) for name, case in CASES.items()]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("call", "values"), CASES)
def test_the_values_as_they_are_pass(call, values):
    call(values)


@pytest.mark.parametrize(("call", "values"), CASES)
def test_masks_are_refused(call, values, folder):
    masked = np.ma.masked_array(values, mask=False)
    masked[0] = np.ma.masked
    # A list of masked arrays is an array without masks to NumPy.
    for given in (masked, list(masked) if values.ndim > 1 else masked):
        with pytest.raises(ValueError, match=r"mask|Received: list"):
            call(given)
    assert not list(folder.iterdir())


@pytest.mark.parametrize(("call", "values"), CASES)
def test_imaginary_parts_are_refused(call, values, folder):
    for given in (values + 0.25j, (values + 0j).astype(np.complex64)):
        # NumPy's own warning is an error in these tests, but not everywhere.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ValueError, match=r"should .*Received: .*complex"):
                call(given)
    assert not list(folder.iterdir())
