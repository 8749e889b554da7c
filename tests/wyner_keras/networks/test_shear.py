import numpy as np
import pytest
from scipy import ndimage

from wyner_keras.networks.shear import Shear, slant


@pytest.fixture
def images() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.random((4, 9, 12, 2)).astype(np.float32)


def moments_slant(image: np.ndarray) -> float:
    ink = image.sum(axis=-1)
    rows, columns = np.mgrid[: ink.shape[0], : ink.shape[1]]
    mass = ink.sum()
    rows = rows - (ink * rows).sum() / mass
    columns = columns - (ink * columns).sum() / mass
    return (ink * rows * columns).sum() / (ink * rows**2).sum()


def bar(amount: float) -> np.ndarray:
    """A slanted bar: row i has its ink around column 14 + amount * (i - 13.5)."""
    columns = np.arange(28)[None, :] - 14 - amount * (np.arange(28)[:, None] - 13.5)
    bar = np.exp(-0.5 * (columns / 1.5) ** 2)
    bar[:6] = bar[-6:] = 0
    return bar[None, :, :, None].astype(np.float32)


def test_slant_is_the_ratio_of_moments(images):
    np.testing.assert_allclose(
        slant(images), [moments_slant(image) for image in images], rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("amount", [-0.5, 0.0, 0.25, 0.5])
def test_slant_of_a_bar_is_its_shift_a_row(amount):
    assert float(slant(bar(amount))[0]) == pytest.approx(amount, abs=0.01)


def test_an_empty_image_has_no_slant():
    np.testing.assert_array_equal(slant(np.zeros((2, 8, 8, 1), np.float32)), 0)


def test_shear_shifts_each_row_as_scipy_does(images):
    amounts = np.array([-0.7, 0.0, 0.3, 1.2], np.float32)
    sheared = np.asarray(Shear()(images, amounts))
    for image, amount, result in zip(images, amounts, sheared, strict=True):
        for row in range(image.shape[0]):
            for channel in range(image.shape[2]):
                expected = ndimage.shift(
                    # Padded, because scipy does not interpolate across the border to zero.
                    np.pad(image[row, :, channel], 12),
                    -amount * (row - 4),
                    order=1,
                )[12:-12]
                np.testing.assert_allclose(result[row, :, channel], expected, atol=1e-4)


def test_shear_is_the_affine_transform_about_the_middle_row():
    image, amount = bar(0.0)[0, :, :, 0], 0.4
    sheared = np.asarray(Shear()(image[None, :, :, None], np.array([amount])))[0, :, :, 0]
    expected = ndimage.affine_transform(
        image, [[1, 0], [amount, 1]], offset=[0, -amount * 13.5], order=1
    )
    np.testing.assert_allclose(sheared, expected, atol=1e-4)


def test_shearing_by_its_slant_makes_an_image_upright_and_the_negative_undoes_it():
    shear, image = Shear(), bar(0.4)
    amount = np.asarray(slant(image))
    upright = np.asarray(shear(image, amount))
    assert abs(float(slant(upright)[0])) < 0.02
    back = np.asarray(shear(upright, -amount))
    assert float(slant(back)[0]) == pytest.approx(0.4, abs=0.02)
    assert np.abs(back - image).max() < 0.15


def test_shear_keeps_the_shape():
    assert Shear().compute_output_shape((None, 8, 6, 1), (None,)) == (None, 8, 6, 1)
