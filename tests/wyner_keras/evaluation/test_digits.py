import numpy as np
import pytest

from wyner_keras.evaluation import slant, stroke_thickness, style_correlation


def drawn(width: float, *, shear: float = 0.0, angle: float = 0.0, size: int = 28) -> np.ndarray:
    """A bar `(1, size, size, 1)`, painted at 16 points a pixel and averaged."""
    fine = 16
    place = (np.arange(size * fine) + 0.5) / fine - size / 2
    down, right = np.meshgrid(place, place, indexing="ij")
    right = right - shear * down
    across = right * np.cos(angle) + down * np.sin(angle)
    along = down * np.cos(angle) - right * np.sin(angle)
    inside = (np.abs(across) < width / 2) & (np.abs(along) < 0.36 * size)
    picture = inside.reshape(size, fine, size, fine).mean((1, 3))
    return picture[None, ..., None].astype(np.float32)


@pytest.mark.parametrize("shear", [-0.6, -0.25, 0.0, 0.1, 0.5])
@pytest.mark.parametrize("width", [2, 4])
def test_slant_is_the_shear_of_a_sheared_bar(width: int, shear: float) -> None:
    assert slant(drawn(width, shear=shear))[0] == pytest.approx(shear, abs=0.01)


def test_slant_ignores_place_and_ink() -> None:
    bar = drawn(3, shear=0.3)
    moved = np.roll(bar, (2, -4), axis=(1, 2))
    assert slant(np.concatenate([bar, moved, 0.3 * bar])) == pytest.approx(
        [slant(bar)[0]] * 3, abs=1e-4
    )


def test_slant_is_negative_for_italics_and_0_without_ink() -> None:
    stroke = np.eye(9, dtype=np.float32)[None, ::-1, :, None]  # like "/"
    assert slant(stroke)[0] == pytest.approx(-1, abs=1e-5)
    blank = np.zeros((2, 9, 9, 1), np.float32)
    blank[1, 4] = 1  # one row has no height to lean along
    assert slant(blank) == pytest.approx([0, 0], abs=1e-4)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 6])
def test_thickness_of_upright_bars(width: int) -> None:
    bars = np.zeros((2, 28, 28, 1), np.float32)
    bars[0, 3:25, 12 : 12 + width] = 1
    bars[1, 12 : 12 + width, 3:25] = 1
    assert stroke_thickness(bars) == pytest.approx([width, width], abs=0.05)


@pytest.mark.parametrize("angle", [0.3, 0.8, 1.2])
@pytest.mark.parametrize("width", [2.0, 2.5, 3.3, 4.6])
def test_thickness_of_turned_bars(width: float, angle: float) -> None:
    assert stroke_thickness(drawn(width, angle=angle))[0] == pytest.approx(width, abs=0.35)


def test_thickness_of_small_images_and_of_none() -> None:
    images = np.zeros((45, 8, 8, 1), np.float32)  # more than are measured as one picture
    images[:44, :, 3:5] = 1
    images[20:44, :, 5] = 1
    found = stroke_thickness(images)
    assert found[:20] == pytest.approx(2, abs=0.1)
    assert found[20:44] == pytest.approx(3, abs=0.15)
    assert found[44] == 0


def test_style_correlation_within_classes_ignores_their_difference() -> None:
    generator = np.random.default_rng(0)
    reference = generator.normal(size=30)
    offset = np.array([0.0, 0, 50, 50])
    within, pooled = style_correlation(
        reference, reference[:, None] + offset, np.array([3, 3, 8, 8])
    )
    assert within == pytest.approx(1)
    assert pooled == pytest.approx(np.sqrt(reference.var() / (reference.var() + 25**2)))


def test_style_correlation_against_numpy() -> None:
    generator = np.random.default_rng(1)
    reference, results = generator.normal(size=20), generator.normal(size=(20, 5))
    groups = np.array([1, 0, 1, 0, 0])
    within, pooled = style_correlation(reference, results, groups)
    expected = [
        np.corrcoef(np.repeat(reference, (groups == group).sum()), results[:, groups == group].flat)
        for group in (0, 1)
    ]
    assert within == pytest.approx(np.mean([matrix[0, 1] for matrix in expected]))
    assert pooled == pytest.approx(np.corrcoef(np.repeat(reference, 5), results.flat)[0, 1])


@pytest.mark.parametrize("unit", [1e-12, 1e100])
def test_style_correlation_is_free_of_units(unit: float) -> None:
    generator = np.random.default_rng(1)
    reference, results = generator.normal(size=20), generator.normal(size=(20, 5))
    expected = style_correlation(reference, results, np.arange(5))
    found = style_correlation(unit * reference, unit * results, np.arange(5))
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("level", [0, 1, 0.1, 1e9])
def test_style_correlation_of_a_constant_is_0(level: float) -> None:
    found = style_correlation(np.arange(4.0), np.full((4, 2), level), np.array([0, 1]))
    assert found == (0, 0)
