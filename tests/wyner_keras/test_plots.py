import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wyner_keras import plots
from wyner_keras.reporting.drawing import pictures_of

KINDS = ("real", "binary", "categorical", "count")
ENTRIES: dict[str, dict[str, Any]] = {
    "image": {"kind": "image", "shape": [9, 12, 3]},
    "grey": {"kind": "image", "shape": [1, 64, 1]},
    "series": {"kind": "series", "shape": [20, 2]},
    "vector": {
        "kind": "vector",
        "shape": [4],
        "columns": [{"name": f"c {kind}", "kind": kind} for kind in KINDS],
    },
}


def rows(name: str, *lead: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    found = rng.random((*lead, *ENTRIES[name]["shape"]))
    if name == "vector":
        found = np.rint(3 * found)
        found[0] = np.nan  # as where values are missing
        found[..., 3] = 2.0  # a column that does not vary
        found[..., 2].flat[:] = np.nan if lead[-1] == 7 else 1.0  # and one that is never known
    return found if name != "image" else (255 * found).astype(np.uint8)


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"), int)


# Each beside itself, and given and made beside another.
BESIDE = [*zip(ENTRIES, ENTRIES, strict=True), *itertools.pairwise([*ENTRIES, "image"])]


@pytest.mark.parametrize(("given", "made"), BESIDE)
def test_every_kind_is_drawn(tmp_path: Path, given: str, made: str) -> None:
    entries = ENTRIES[given], ENTRIES[made]
    x, y, samples = rows(given, 7), rows(made, 7), rows(made, 7, 3)
    for truth in (y, None):
        path = plots.conditional_plot(entries, x, samples, truth, tmp_path / "new" / "a.png", "A")
        assert opened(path).std() > 5
    assert opened(plots.joint_plot(entries, (x, y), tmp_path / "b.png", "B", (x, y))).std() > 5
    path = plots.transfer_plot(entries, x, y, rows(given, 7, 7), tmp_path / "c.png", "C")
    assert opened(path).std() > 5
    assert sorted(each.name for each in tmp_path.rglob("*.png")) == ["a.png", "b.png", "c.png"]


def test_what_is_real_is_blue_and_what_is_generated_black(tmp_path: Path) -> None:
    entries = ENTRIES["series"], ENTRIES["series"]
    series = rows("series", 3)
    path = plots.conditional_plot(entries, series, series[:, None], None, tmp_path / "a.png")
    picture = opened(path)
    left, right = np.array_split(picture[20:], 2, axis=1)
    blue = [int((half[..., 2] - half[..., 0] > 60).sum()) for half in (left, right)]
    assert blue[0] > 100 > blue[1] == 0
    assert (right.sum(axis=-1) < 150).any()


def test_series_are_drawn_in_their_own_units(tmp_path: Path) -> None:
    entries, series = (ENTRIES["series"],) * 2, rows("series", 3)
    drawn = [
        plots.joint_plot(
            entries, (unit * series, -unit * series), tmp_path / f"{unit}.png"
        ).read_bytes()
        for unit in (1.0, 2.0**-60)
    ]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("unit", [2.0**-60, 2.0**60])
def test_a_reports_series_fill_their_panel(unit: float) -> None:
    def height(series: np.ndarray) -> int:
        block = pictures_of("x", ENTRIES["series"], series).pair(series[:1], None)
        with Image.open(io.BytesIO(block.png)) as picture:
            colours = np.asarray(picture.convert("RGB"), int)
        return int((colours[..., 2] - colours[..., 0] > 60).any(axis=1).sum())

    series = rows("series", 3)
    assert height(unit * series) == pytest.approx(height(series), rel=0.25)
    level = np.full((1, 20, 2), unit)
    assert height(level) > 0


def test_predictions_that_are_right_are_said_to_be(tmp_path: Path, monkeypatch: Any) -> None:
    from matplotlib.axes import Axes

    titles = []
    monkeypatch.setattr(Axes, "set_title", lambda _, text, **__: titles.append(text))
    entry = ENTRIES["vector"]
    true = np.array([[0.5, 0, 2, 4], [1.5, 1, 0, 9], [2.5, 1, 1, 2]])
    made = true[:, None].repeat(4, axis=1)
    made[:, :, 1] = 1 - made[:, :, 1]
    plots.conditional_plot((entry, entry), true, made, true, tmp_path / "a.png")
    assert titles == [
        "c real, r 1.00",
        "c binary, right 0.00",
        "c categorical, right 1.00",
        "c count, r 1.00",
    ]


PEOPLE = {
    "kind": "vector",
    "shape": [3],
    "columns": [
        {"name": "size cm", "kind": "real"},
        {"name": "town", "kind": "categorical", "categories": 3, "texts": ["Bonn", "Oslo", "Rome"]},
        {"name": "smokes", "kind": "binary"},
    ],
}


@pytest.fixture
def said(monkeypatch: Any) -> list[str]:
    """Every text of the pictures that are saved."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    found: list[str] = []
    save = Figure.savefig

    def saving(figure: Figure, *given: Any, **settings: Any) -> None:
        save(figure, *given, **settings)
        found.extend(each.get_text() for each in figure.findobj(Text))

    monkeypatch.setattr(Figure, "savefig", saving)
    return found


def test_categories_are_drawn_by_name_with_their_predicted_shares(
    tmp_path: Path, said: list[str]
) -> None:
    true = np.array([[160.0, 0, 0], [170, 2, 1], [180, np.nan, 1], [np.nan, 2, 0]])
    made = true[:, None].repeat(4, axis=1)
    made[np.isnan(made)] = 1.0
    made[1, 0, 1] = 0.0  # of 8 samples of those in Rome, one
    plots.conditional_plot((PEOPLE, PEOPLE), true, made, true, tmp_path / "a.png")
    assert {"Bonn", "Rome", "100", "88", "12"} <= set(said)
    assert "town, right 0.92, 3 known" in said
    assert "size cm, r 1.00, 3 known" in said
    said.clear()
    plots.conditional_plot((PEOPLE, PEOPLE), true, made, None, tmp_path / "b.png")
    assert {"Bonn", "Oslo", "Rome", "75", "25"} <= set(said)


def test_of_many_categories_the_most_frequent_are_named(tmp_path: Path, said: list[str]) -> None:
    column = {"name": "town", "kind": "categorical", "categories": 30}
    entry = {"kind": "vector", "shape": [1], "columns": [column]}
    true = np.concatenate([np.repeat(np.arange(5.0), 5), np.arange(5.0, 30)])[:, None]
    plots.conditional_plot((entry, entry), true, true[:, None], true, tmp_path / "a.png")
    assert {*"01234", "23 others"} <= set(said)
    assert "29" not in said


def test_columns_are_transferred_each_in_its_own_unit(
    tmp_path: Path, said: list[str], monkeypatch: Any
) -> None:
    from matplotlib.axes import Axes

    lines: list[np.ndarray] = []
    plot = Axes.plot

    def plotting(axes: Any, x: Any, y: Any, *given: Any, **settings: Any) -> Any:
        lines.append(np.asarray(y))
        return plot(axes, x, y, *given, **settings)

    monkeypatch.setattr(Axes, "plot", plotting)
    style = np.array([[160.0, 0, 0], [np.nan, 2, 1]])
    concept = np.array([[1e6, 1, 0], [2e6, 2, 1], [3e6, 0, 1]])
    result = style[:, None].repeat(3, axis=1)
    result[:, :, 0] = 171.5
    plots.transfer_plot((PEOPLE, PEOPLE), style, concept, result, tmp_path / "a.png")
    assert {"made: size cm", "made: town", "concept: town", "style", "Oslo"} <= set(said)
    # No line is of two columns.
    assert not any(line.min() < 10 and line.max() > 100 for line in lines)
    assert any(np.array_equal(line, [160, 171.5, 171.5, 171.5]) for line in lines)


def test_a_vector_beside_other_kinds_is_drawn_by_names_and_values(
    tmp_path: Path, said: list[str]
) -> None:
    entries = PEOPLE, ENTRIES["series"]
    given = np.array([[174.4, 2, np.nan]])
    plots.conditional_plot(entries, given, rows("series", 1, 2), None, tmp_path / "a.png")
    assert "size cm: 174.4\ntown: Rome\nsmokes: —" in said
    many = {"kind": "vector", "shape": [40], "columns": [{"name": "c", "kind": "real"}] * 40}
    plots.conditional_plot(
        (many, ENTRIES["series"]), np.ones((1, 40)), rows("series", 1, 2), None, tmp_path / "b.png"
    )
    assert any(text.endswith("c: 1\n… 33 more") for text in said)


@pytest.mark.parametrize("name", ["日本", "price in $ and $", "a\nb", "x" * 300])
def test_names_of_any_script_are_drawn_or_numbered(
    tmp_path: Path, said: list[str], name: str
) -> None:
    columns = [
        {"name": name, "kind": "categorical", "categories": 2, "texts": [name, "green"]},
        {"name": "b", "kind": "real"},
    ]
    entry = {"kind": "vector", "shape": [2], "columns": columns}
    values = np.array([[0, 1.5], [1, 2.5], [0, 3.0], [1, 2.0]])
    # A letter that no font has is a warning, and warnings are errors.
    plots.conditional_plot((entry, entry), values, values[:, None], values, tmp_path / "a.png")
    plots.transfer_plot(
        (entry, entry), values, values, values[:, None].repeat(4, axis=1), tmp_path / "b.png"
    )
    plots.joint_plot((entry, entry), (values, values), tmp_path / "c.png", name)
    assert "green" in said
    assert all(len(text) < 130 for text in said)
    if name.startswith("price"):
        assert any(text.startswith(r"x.price in \$ and \$") for text in said)


def test_the_same_picture_is_the_same_file(tmp_path: Path) -> None:
    entries = ENTRIES["vector"], ENTRIES["series"]
    pair = rows("vector", 5), rows("series", 5)
    files = [plots.joint_plot(entries, pair, tmp_path / f"{name}.png", "T") for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()
