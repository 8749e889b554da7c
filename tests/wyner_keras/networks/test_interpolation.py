import numpy as np
import pytest
from keras import ops

from wyner_keras.backend import pushed_forward
from wyner_keras.networks.interpolation import at_columns


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).random((3, 4, 6, 2)).astype(np.float32)


def expected(images: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Each line by NumPy, 0 from one pixel beyond its edges on."""
    places = np.arange(-1, images.shape[2] + 1)
    found = np.empty((*columns.shape, images.shape[3]))
    for batch, row, channel in np.ndindex(*images.shape[:2], images.shape[3]):
        line = np.pad(images[batch, row, :, channel], 1)
        found[batch, row, :, channel] = np.interp(columns[batch, row], places, line)
    return found


def test_lines_are_read_between_their_pixels_and_0_beyond_them(images):
    columns = np.random.default_rng(1).uniform(-3, 9, (3, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(at_columns(images, columns), expected(images, columns), atol=1e-6)


@pytest.mark.parametrize("at", [-1.0, -0.5, 0.0, 4.999, 5.0, 5.5, 6.0, 1e9, -1e9, np.inf, -np.inf])
def test_edges(images, at):
    columns = np.full((3, 4, 1), at, np.float32)
    finite = np.clip(columns, -1, 6)
    np.testing.assert_allclose(at_columns(images, columns), expected(images, finite), atol=1e-6)


def test_what_is_no_number_is_read_as_none(images):
    columns = np.full((3, 4, 2), 2.5, np.float32)
    columns[1, 2, 0] = np.nan
    found = np.asarray(at_columns(images, columns))
    assert np.isnan(found[1, 2, 0]).all()
    assert np.isnan(found).sum() == 2


def test_halves_stay_halves_and_their_places_are_exact(images):
    half = ops.cast(images, "float16")
    columns = np.full((3, 4, 1), 3.3, np.float32)
    found = at_columns(half, columns)
    assert found.dtype == half.dtype
    np.testing.assert_allclose(found, expected(images, columns), atol=2e-3)


def test_it_moves_with_the_columns_as_the_line_does(images):
    columns = np.full((3, 4, 1), 2.25, np.float32)
    moved = pushed_forward(
        lambda at: at_columns(images, at), ops.convert_to_tensor(columns), ops.ones((3, 4, 1))
    )
    slope = images[:, :, 3] - images[:, :, 2]
    np.testing.assert_allclose(np.asarray(moved)[:, :, 0], slope, atol=1e-6)
