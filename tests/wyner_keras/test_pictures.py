from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wyner_keras import pictures


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape).astype("float32")


def holds(picture: np.ndarray, tile: np.ndarray) -> list[tuple[int, int]]:
    """Places (left, top) at which a picture shows a tile exactly."""
    height, width = tile.shape[:2]
    corner = (picture[: -height + 1, : -width + 1] == tile[0, 0]).all(-1)
    return [
        (int(x), int(y))
        for y, x in np.argwhere(corner)
        if np.array_equal(picture[y : y + height, x : x + width], tile)
    ]


def read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def colour_tile(image: np.ndarray, factor: int) -> np.ndarray:
    return np.rint(255 * image).astype("uint8").repeat(factor, 0).repeat(factor, 1)


def test_conditional_grid_has_inputs_left_and_samples_in_rows(tmp_path: Path) -> None:
    inputs, samples = images(3, 8, 8, 3), images(3, 4, 8, 8, 3, seed=1)
    path = pictures.conditional_grid(inputs, samples, tmp_path / "new" / "a.png", title="Title")
    assert path == tmp_path / "new" / "a.png"
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]
    picture = read(path)
    assert (picture[0] == 255).all()
    lefts = []
    for row in range(3):
        ((left, top),) = holds(picture, colour_tile(inputs[row], 7))
        places = [holds(picture, colour_tile(sample, 7)) for sample in samples[row]]
        assert all(len(place) == 1 and place[0][1] == top for place in places)
        lefts.append([left, *(place[0][0] for place in places)])
    assert lefts[0] == lefts[1] == lefts[2]
    steps = np.diff(lefts[0])
    assert steps[0] > steps[1] == steps[2] == steps[3] > 56  # the inputs stand apart


def test_transfer_grid_has_styles_down_and_concepts_across(tmp_path: Path) -> None:
    styles, concepts = images(2, 28, 28, 3), images(3, 28, 28, 3, seed=1)
    results = images(2, 3, 28, 28, 3, seed=2)
    picture = read(pictures.transfer_grid(styles, concepts, results, tmp_path / "b.png"))
    for i in range(2):
        ((_, top),) = holds(picture, colour_tile(styles[i], 2))
        for j in range(3):
            ((left, above),) = holds(picture, colour_tile(concepts[j], 2))
            assert holds(picture, colour_tile(results[i, j], 2)) == [(left, top)]
            assert above < top


def test_rows_of_two_shapes_stand_in_line(tmp_path: Path) -> None:
    inputs, samples = images(3, 16, 16, 3), images(3, 4, 28, 28, 3, seed=1)
    picture = read(pictures.conditional_grid(inputs, samples, tmp_path / "a.png"))
    for row in range(3):
        ((_, top),) = holds(picture, colour_tile(inputs[row], 4))
        for sample in samples[row]:
            ((_, beside),) = holds(picture, colour_tile(sample, 2))
            # The middles, of 64 and of 56 pixels; half a gap may be rounded.
            assert abs(top + 32 - (beside + 28)) <= 1


@pytest.mark.parametrize(("side", "factor"), [(8, 7), (16, 4)])
def test_concepts_of_another_shape_stand_over_their_columns(
    tmp_path: Path, side: int, factor: int
) -> None:
    styles, concepts = images(2, 28, 28, 3), images(4, side, side, 3, seed=1)
    results = images(2, 4, 28, 28, 3, seed=2)
    for name, swap in (("b.png", False), ("c.png", True)):
        if swap:
            styles, concepts = images(2, side, side, 3), images(4, 28, 28, 3, seed=1)
            results = images(2, 4, side, side, 3, seed=2)
        given, made = (2, factor) if swap else (factor, 2)
        picture = read(pictures.transfer_grid(styles, concepts, results, tmp_path / name))
        for j in range(4):
            ((left, above),) = holds(picture, colour_tile(concepts[j], given))
            middle = left + given * concepts.shape[2] / 2
            for i in range(2):
                ((_, top),) = holds(picture, colour_tile(styles[i], made))
                ((at, beside),) = holds(picture, colour_tile(results[i, j], made))
                assert abs(at + made * results.shape[3] / 2 - middle) <= 2
                assert beside == top > above


def test_joint_grid_has_pairs_side_by_side(tmp_path: Path) -> None:
    x, y = images(5, 8, 8, 3), images(5, 8, 8, 3, seed=1)
    picture = read(pictures.joint_grid(x, y, tmp_path / "c.png", columns=3))
    places = []
    for first, second in zip(x, y, strict=True):
        ((left, top),) = holds(picture, colour_tile(first, 7))
        ((right, beside),) = holds(picture, colour_tile(second, 7))
        assert beside == top
        assert 56 <= right - left < 70
        places.append((top, left))
    assert places == sorted(places)  # in reading order
    assert len({top for top, _ in places}) == 2


@pytest.mark.parametrize("ground", [0, 1])
def test_ink_is_dark_on_white_whatever_the_ground_and_real_ink_is_blue(
    tmp_path: Path, ground: int
) -> None:
    ink = np.full((1, 8, 8, 1), ground, "float32")
    ink[:, 2:6, 2:6] = 1 - ground
    picture = read(pictures.conditional_grid(ink, ink[None], tmp_path / "d.png"))
    real, made = np.array([[24, 78, 160]]), np.array([[20, 20, 24]])
    for colour in (real, made):
        assert len(holds(picture, np.broadcast_to(colour, (28, 28, 3)))) == 1
    assert len(holds(picture, np.full((8, 8, 3), 255, np.uint8))) > 1
    assert (picture[-1] == 255).all()


def test_bytes_are_drawn_as_what_they_stand_for(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), np.uint8)
    made = images(2, 3, 8, 8, 1)
    for name, inputs in (("a.png", values), ("b.png", values / 255)):
        pictures.conditional_grid(inputs, made, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("shape", [(1, 64), (27, 31), (128, 128), (2, 1), (300, 8)])
def test_images_of_any_size_are_large_enough_to_be_seen(tmp_path: Path, shape: Any) -> None:
    x, y = images(4, *shape, 3), images(4, 8, 8, 1)
    results = np.stack([x] * 4)
    for picture in (
        pictures.conditional_grid(x, np.stack([y] * 2, 1), tmp_path / "a.png", "Title"),
        pictures.transfer_grid(x, y, results, tmp_path / "b.png"),
        pictures.joint_grid(y, x, tmp_path / "c.png"),
    ):
        assert min(read(picture).shape[:2]) > 40
    down, across = max(1, round(56 / max(shape)), -(-12 // shape[0])), 0
    across = max(1, round(56 / max(shape)), -(-12 // shape[1]))
    tile = np.rint(255 * x[0]).astype("uint8").repeat(down, 0).repeat(across, 1)
    assert min(tile.shape[:2]) >= 12
    assert len(holds(read(tmp_path / "a.png"), tile)) == 1


BAD: list[tuple[Callable[..., Any], tuple[np.ndarray, ...], str]] = [
    (
        pictures.conditional_grid,
        (images(3, 8, 8, 1), images(2, 4, 8, 8, 1)),
        r"`samples` should be an array \(3, any, h, w, c\). Received: shape \(2, 4, 8, 8, 1\)",
    ),
    (
        pictures.conditional_grid,
        (images(3, 8, 8, 1), images(3, 8, 8, 1)),
        r"`samples` should be an array .* Received: shape \(3, 8, 8, 1\)",
    ),
    (
        pictures.conditional_grid,
        (255 * images(3, 8, 8, 1), images(3, 2, 8, 8, 1)),
        r"`inputs` should be in \[0, 1\]; give 0-255 data as uint8",
    ),
    (
        pictures.transfer_grid,
        (images(2, 8, 8, 1), images(3, 8, 8, 1), images(3, 2, 8, 8, 1)),
        r"`results` should be an array \(2, 3, h, w, c\). Received: shape \(3, 2, 8, 8, 1\)",
    ),
    (
        pictures.joint_grid,
        (images(3, 8, 8, 1), images(2, 8, 8, 1)),
        r"`y` should be an array \(3, h, w, c\). Received: shape \(2, 8, 8, 1\)",
    ),
]


@pytest.mark.parametrize(("grid", "arguments", "message"), BAD)
def test_bad_images_are_refused_and_nothing_is_written(
    grid: Callable[..., Any], arguments: tuple[np.ndarray, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        grid(*arguments, tmp_path / "e.png")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f.png"
    path.write_bytes(b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="disk full"):
        pictures.joint_grid(images(1, 8, 8, 1), images(1, 8, 8, 1), path)
    assert [file.name for file in tmp_path.iterdir()] == ["f.png"]
    assert path.read_bytes() == b"old"


def test_joint_grid_refuses_no_columns(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`columns` should be a positive integer"):
        pictures.joint_grid(images(1, 8, 8, 1), images(1, 8, 8, 1), tmp_path / "g.png", columns=0)
