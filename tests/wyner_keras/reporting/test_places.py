"""Rows of pairs are named by what the user brought, whatever was split off or left out before."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from wyner_keras import data
from wyner_keras.reporting.places import Places

_X = np.arange(12.0) / 8
_LINES = [0, 4]  # which lack a side each


def _of_file(tmp_path):
    text = ["" if line == 0 else str(x) for line, x in enumerate(_X)]
    other = ["" if line == 4 else str(-x) for line, x in enumerate(_X)]
    lines = ["x.a,y.b", *map(",".join, zip(text, other, strict=True))]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    return data.load_pairs(tmp_path / "pairs.csv")


def _of_frame(_):
    frame = pd.DataFrame({"a": _X, "b": -_X})
    frame.loc[0, "a"] = frame.loc[4, "b"] = None
    return data.Pairs.from_frame(frame, "a", "b", singles=True).split()


@pytest.mark.parametrize("make", [_of_file, _of_frame])
def test_lines_with_one_side_count(make, tmp_path):
    found = {}
    for part in make(tmp_path):
        places = Places(part)
        for place, x in enumerate(part.arrays()[0].ravel()):
            line = int(np.flatnonzero(x == _X)[0])
            assert places.title(place) == f"row {line}"
            assert places.values(place) == {"row_x": line, "row_y": line}
            found[line] = True
    assert sorted(found) == sorted(set(range(12)) - set(_LINES))


def test_images_of_labels_are_called_by_their_files(tmp_path):
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(5):
            pixels = np.full((8, 8), 20 * number + 100 * (label == "b"), np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{number}.png")
    source = data.rotated(data.load(tmp_path))
    for part in (source.train, source.test):
        pairs = data.label_map(part, {0: 1, 1: 0}, seed=0)
        places = Places(pairs)
        for place, sides in enumerate(zip(*pairs.arrays(), strict=True)):
            for column, image in enumerate(sides):
                file = places.file(place, column)
                assert np.asarray(Image.open(file)) == pytest.approx(255 * image[..., 0])
                assert places.called(place, column) == str(file.relative_to(tmp_path))
