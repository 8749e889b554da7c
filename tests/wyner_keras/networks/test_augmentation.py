import numpy as np
import pytest

from wyner_keras.networks import RandomShiftShear


def test_augmentation_moves_only_while_training_and_within_its_range() -> None:
    layer = RandomShiftShear(shift=2, shear=0, seed=0)
    images = np.zeros((200, 12, 10, 1), "float32")
    images[:, 5, 4] = 1
    assert np.array_equal(layer(images, training=False), images)
    moved = np.asarray(layer(images, training=True))
    rows = (moved.sum((2, 3)) @ np.arange(12)) - 5
    columns = (moved.sum((1, 3)) @ np.arange(10)) - 4
    np.testing.assert_allclose(moved.sum((1, 2, 3)), 1, rtol=1e-5)  # linear: no ink lost inside
    for shift in (rows, columns):
        assert 1.8 < np.abs(shift).max() <= 2 + 1e-5
        assert np.std(shift) == pytest.approx(2 / np.sqrt(3), rel=0.15)  # uniform on [-2, 2]
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.3


def test_augmentation_shears_about_the_middle() -> None:
    layer = RandomShiftShear(shift=0, shear=0.15, seed=1)
    images = np.zeros((300, 9, 9, 1), "float32")
    images[:, [0, 4, 8], 4] = 1
    moved = np.asarray(layer(images, training=True))
    np.testing.assert_allclose(moved[:, 4, 4, 0], 1, atol=1e-5)
    top = moved[:, :4].sum((1, 3)) @ np.arange(9) - 4
    bottom = moved[:, 5:].sum((1, 3)) @ np.arange(9) - 4
    assert 0.5 < np.abs(bottom).max() < 0.65  # 4 rows from the middle times 0.15
    assert np.corrcoef(top, bottom)[0, 1] < -0.95
