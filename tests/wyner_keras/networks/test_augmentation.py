import numpy as np
import pytest

from wyner_keras.networks import RandomShiftShear
from wyner_keras.networks.augmentation import warp


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


def test_a_light_ground_stays_light_where_images_are_moved() -> None:
    images = np.ones((50, 12, 10, 3), "float32")
    images[:, 4:8, 4:6] = 0
    moved = np.asarray(RandomShiftShear(shift=2, shear=0.15, seed=0)(images, training=True))
    edge = np.concatenate([moved[:, [0, -1]].ravel(), moved[:, :, [0, -1]].ravel()])
    np.testing.assert_allclose(edge, 1, atol=1e-5)


def noise(rows, **places):
    """Noise of no change, but at some places; 5 mirrors below a half."""
    values = np.full((rows, 6), 0.5, "float32")
    for place, value in places.items():
        values[:, int(place[1:])] = value
    return values


IMAGES = np.random.default_rng(0).random((3, 9, 12, 2), dtype="float32")


def test_no_noise_is_no_change_and_a_mirror_is_one() -> None:
    still = noise(3)
    np.testing.assert_allclose(warp(IMAGES, still, still), IMAGES, atol=1e-5)
    mirrored = warp(IMAGES, noise(3, n5=0.2), still)
    np.testing.assert_allclose(mirrored, IMAGES[:, :, ::-1], atol=1e-5)


@pytest.mark.parametrize("place", range(5))
def test_the_same_noise_changes_sides_of_other_sizes_alike(place: int) -> None:
    """A dot stays at the same share of height and width."""
    found = []
    for height, width in ((33, 33), (65, 65)):
        image = np.zeros((1, height, width, 1), "float32")
        rows, columns = np.mgrid[:height, :width]
        spread = (rows / height - 0.35) ** 2 + (columns / width - 0.65) ** 2
        image[0, ..., 0] = np.exp(-spread / 0.003)
        moved = np.asarray(warp(image, noise(1, **{f"n{place}": 0.9}), noise(1)))[0, ..., 0]
        weights = moved / moved.sum()
        found.append([(weights * rows).sum() / height, (weights * columns).sum() / width])
    assert np.abs(np.subtract(*found)).max() < 0.01
    assert np.abs(np.array(found[0]) - [0.35, 0.65]).max() > 0.002


def test_what_comes_in_is_the_edge() -> None:
    white = np.ones((4, 8, 8, 1), "float32")
    changed = warp(white, np.random.default_rng(0).random((4, 6), "float32"), noise(4))
    np.testing.assert_allclose(changed, 1, atol=1e-5)
