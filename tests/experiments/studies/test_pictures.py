import re

import numpy as np
import pytest
from PIL import Image

from experiments.studies import dot_plot, lambda_plot, panels


def row(group, name, **figures):
    values = {"conditional_accuracy_y": 0.5, "diversity_y": 0.25, "nats_i_xy_z": 2.3}
    return {"group": group, "configuration": name, "label": f"label of {name}", **values, **figures}


@pytest.fixture
def images():
    """Of three configurations, in colour: their pixels are in the picture as they are."""
    rng = np.random.default_rng(0)

    def one():
        return {
            "inputs": rng.random((2, 28, 28, 3)),
            "samples": rng.random((2, 4, 28, 28, 3)),
            "styles": rng.random((2, 28, 28, 3)),
            "concepts": rng.random((4, 28, 28, 3)),
            "results": rng.random((2, 4, 28, 28, 3)),
        }

    return {name: one() for name in "abc"}


def place(picture, image):
    """Left and top of an image that a picture shows once."""
    shown = np.rint(255 * image).astype("uint8")
    corners = np.argwhere((picture == shown[0, 0]).all(-1))
    ((y, x),) = [
        (y, x) for y, x in corners if np.array_equal(picture[y : y + 28, x : x + 28], shown)
    ]
    return int(x), int(y)


def read(path):
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")), picture.text


def test_the_papers_layout(images, tmp_path):
    listed = [row("one", "a"), row("one", "b"), row("two", "c")]
    path = panels.draw("Title", listed, images, tmp_path / "a.png")
    picture, _ = read(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    corners = {}
    for name, found in images.items():
        inputs = [place(picture, image) for image in found["inputs"]]
        for (x, y), samples in zip(inputs, found["samples"], strict=True):
            across = [place(picture, image) for image in samples]
            assert all(top == y and left > x for left, top in across)
            assert across == sorted(across)
        styles = [place(picture, image) for image in found["styles"]]
        concepts = [place(picture, image) for image in found["concepts"]]
        assert {left for left, _ in styles} == {left for left, _ in inputs}
        for (_, y), results in zip(styles, found["results"], strict=True):
            for (x, above), image in zip(concepts, results, strict=True):
                assert place(picture, image) == (x, y)
                assert inputs[-1][1] < above < y
        corners[name] = inputs[0]
    assert corners["a"][1] == corners["b"][1] < corners["c"][1]
    assert corners["a"][0] == corners["c"][0] < corners["b"][0]


def test_figures_stand_under_their_panels_and_in_the_description(images, tmp_path):
    listed = [row("one", "a", frechet_y=12.34), row("two", "b", nats_i_xy_z=None)]
    assert panels.captions(listed[0]) == (
        "accuracy 0.500   diversity 0.25   FD 12.3   recall -",
        "accuracy -   slant -   nats in Z 2.30   of label -",
    )
    picture, texts = read(panels.draw("Title", listed, images, tmp_path / "b.png"))
    lines = texts["Description"].splitlines()
    assert [lines[0], lines[1], lines[3]] == ["Title", "one", "two"]
    for line, listed_row in zip((lines[2], lines[4]), listed, strict=True):
        assert line == f"{listed_row['label']}: " + "; ".join(panels.captions(listed_row))
    # Ink between the last row of samples and the first of concepts: the words are drawn.
    x, y = place(picture, images["a"]["samples"][1][0])
    assert (picture[y + 30 : y + 56, x - 40 : x + 100] < 128).any()


def test_the_default_typeface_has_every_letter_of_the_captions(images, tmp_path):
    """Pillow's has no Greek, and draws boxes for it."""
    picture = panels.draw("Title", [row("one", "a")], images, tmp_path / "c.png")
    _, texts = read(picture)
    assert re.fullmatch(r"[\x20-\x7e\n]*", texts["Description"])


def test_lambda_figure_has_a_colour_for_each_group(tmp_path):
    listed = [
        {
            "group": group,
            "lambda": weight,
            "conditional_accuracy_y": 0.9 - 0.3 * weight,
            "diversity_y": 0.5,
            "nats_i_xy_z": 2.3,
            "nats_i_label_z": 2.0,
            "nats_h_label": 2.303,
            "nats_i_x_u_upper": None if weight else 30.0,
            "nats_i_y_v_upper": 30.0 + weight,
        }
        for group in ("from random weights", "from the label")
        for weight in (0.0, 0.5, 1.5)
    ]
    path = lambda_plot.draw("The weight", listed, tmp_path / "lambda.png")
    assert [file.name for file in tmp_path.iterdir()] == ["lambda.png"]
    picture, _ = read(path)
    assert picture.shape[1] > picture.shape[0] > 500
    for colour in ((0x1F, 0x6F, 0x8B), (0xD1, 0x49, 0x5B)):
        assert (picture == np.array(colour)).all(-1).sum() > 100


def test_an_axis_shows_what_is_near_the_default():
    assert dot_plot.span([0.97, 0.96, 0.98, 0.10]) == (0.96, 0.98)
    assert dot_plot.span([0.97, 0.96, 0.98, 0.95]) == (0.95, 0.98)
    assert dot_plot.span([0.5, 0.5, 0.5]) == (0.5, 0.5)
    assert dot_plot.span([0.5, 0.9]) == (0.5, 0.9)
    assert dot_plot.span([0.5]) == (0.5, 0.5)


@pytest.fixture
def panel(tmp_path, monkeypatch):
    """The one panel of a picture whose rows have one figure only."""
    figures, save = [], dot_plot.save
    monkeypatch.setattr(
        dot_plot, "save", lambda figure, path: figures.append(figure) or save(figure, path)
    )

    def draw(means, spread=1e-5):
        listed = [
            {"group": group, "nats_i_label_z": mean + spread * seed}
            for group, mean in means.items()
            for seed in (-1, 0, 1)
        ]
        dot_plot.draw("Title", listed, tmp_path / "ablation.png")
        (axes,) = (axes for axes in figures[0].axes if axes.lines)
        return axes

    return draw


def test_what_would_stand_within_the_axis_is_not_sent_to_its_edge(panel):
    """Where most variants are alike, the axis is wider than they are."""
    alike = {f"variant {number}": 2.297 for number in range(5)}
    axes = panel({"default": 2.297, **alike, "slant in the code": 2.29, "no alignment": 1.41})
    assert [text.get_text() for text in axes.texts] == ["◂ 1.41"]


def test_dots_that_reach_out_do_not_turn_an_arrow_round(panel):
    """Dots from 0.62 to 1.04 give 0.60 room beside them, far as it is from the other means."""
    alike = {f"variant {number}": 0.83 + 0.01 * number for number in range(3)}
    variants = {"default": 0.83, **alike, "low": 0.60, "far": 0.20}
    axes = panel(variants, spread=0.2)
    assert [text.get_text() for text in axes.texts] == ["◂ 0.20"]
    left, right = axes.get_xlim()
    assert left < 0.40 < 1.05 < right


def test_an_axis_is_no_finer_than_the_figures_digits(panel):
    """Else noise far below them fills the panel, under tick labels that are all the same."""
    axes = panel({"default": 2.2897, "less": 2.2897})
    left, right = axes.get_xlim()
    assert right - left > 0.05
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert len(set(labels)) == len(labels) > 1
    assert all(
        abs(float(label) - place) < 1e-6
        for label, place in zip(labels, axes.get_xticks(), strict=True)
    )


def test_the_ablations_figure_has_a_dot_for_each_seed(tmp_path, monkeypatch):
    listed = [
        {"group": group, "conditional_accuracy_y": mean + 0.002 * seed, "frechet_y": None}
        for group, mean in (("default", 0.97), ("less", 0.96), ("least", 0.94), ("broken", 0.1))
        for seed in range(3)
    ]
    figures, save = [], dot_plot.save
    monkeypatch.setattr(
        dot_plot, "save", lambda figure, path: figures.append(figure) or save(figure, path)
    )
    path = dot_plot.draw("Title", listed, tmp_path / "ablation.png")
    assert [file.name for file in tmp_path.iterdir()] == ["ablation.png"]
    picture, _ = read(path)
    assert picture.shape[1] > 1000
    axes = figures[0].axes[0]
    drawn = [line for line in axes.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in drawn] == [
        pytest.approx([mean + 0.002 * seed for seed in range(3)]) for mean in (0.97, 0.96, 0.94)
    ]
    assert [list(line.get_ydata()) for line in drawn] == [[0] * 3, [1] * 3, [2] * 3]
    assert [text.get_text() for text in axes.texts] == ["◂ 0.102"]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        *("default", "less", "least", "broken")
    ]
