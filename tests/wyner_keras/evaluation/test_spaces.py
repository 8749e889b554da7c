import numpy as np
import pytest

from wyner_keras.evaluation.spaces import Standard, scores
from wyner_keras.modality import Image, Series, Vector


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_pixels_have_one_deviation_in_common(rng) -> None:
    images = rng.random((50, 3, 4, 1)) * np.array([0.1, 1, 0.5])[:, None, None]
    found = Standard(images, Image(shape=(3, 4, 1)).describe())(images)
    assert found.mean(axis=0) == pytest.approx(np.zeros(12), abs=1e-6)
    assert found.var(axis=0).mean() == pytest.approx(1, abs=1e-5)
    share = found.var(axis=0) / images.reshape(50, 12).var(axis=0)
    assert share == pytest.approx(np.full(12, share[0]), rel=1e-4)


def test_channels_have_their_own(rng) -> None:
    rows = 5 + rng.normal(size=(50, 6, 2)) * [1, 100]
    found = Standard(rows, Series(shape=(6, 2)).describe())(rows).reshape(50, 6, 2)
    assert found.var(axis=0).mean(axis=0) == pytest.approx([1, 1], abs=1e-4)


@pytest.mark.parametrize("unit", [1e-25, 1e25])
def test_units_change_no_vector(rng, unit: float) -> None:
    rows, entry = rng.normal(3, 2, (50, 2)), Vector(kinds=("real", "real")).describe()
    expected = Standard(rows, entry)(rows)
    assert Standard(unit * rows, entry)(unit * rows) == pytest.approx(expected, abs=1e-5)


def test_scores_keep_what_varies_in_its_own_units(rng) -> None:
    units = np.array([1e-30, 1e-6, 1.0, 1e30])
    rows = np.c_[rng.normal(size=(40, 4)) * units, np.full((40, 2), [0.1, 0])]
    found = scores(rows, 6)
    assert found.shape == (40, 4)
    assert found.std(axis=0) == pytest.approx(np.ones(4))
    assert scores(rows[:, 4:], 6).tolist() == [[0.0]] * 40
    # Of rank 3, whatever the units: no component is of rounding.
    plane = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 8))
    for unit in (1e-20, 1e20):
        assert scores(unit * plane, 6).shape == (40, 3)


def test_columns_are_taken_by_their_kind(rng) -> None:
    kinds = ("real", "count", "categorical", "binary", "real")
    vector = Vector(kinds=kinds, categories=(0, 0, 3, 0, 0), missing=True)
    columns = [rng.normal(7, 3, 40), rng.poisson(20, 40), np.arange(40) % 3, np.arange(40) % 2]
    rows = np.stack([*columns, np.full(40, 9.0)], axis=1).astype("float32")
    rows[0, 0] = np.nan
    found = Standard(rows, vector.describe())(rows)
    assert found.shape == (40, 7)
    assert found[0, 0] == 0  # what is not known
    for place, values in ((0, rows[:, 0]), (1, np.log1p(rows[:, 1])), (5, rows[:, 3])):
        expected = (values - np.nanmean(values)) / np.nanstd(values)
        assert found[1:, place] == pytest.approx(expected[1:], abs=1e-4)
    assert (found[:, 2:5].argmax(axis=1) == rows[:, 2]).all()
    assert (found[:, 6] == 0).all()  # what never varies
