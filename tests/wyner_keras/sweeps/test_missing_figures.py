"""Sweeps over sources that lack figures: judged without a judge, tables and pictures with gaps."""

import csv
import json

import numpy as np
import pytest

from wyner_keras import evaluation
from wyner_keras.data import ImageSource, LabelledImages
from wyner_keras.sweeps import Band, Size, Sweep, Workshop, carry_out, dots, panels, plot
from wyner_keras.sweeps import report as reported
from wyner_keras.sweeps.spread import summary, text_of_bands, text_of_runs
from wyner_keras.sweeps.table import rows, text, write

# By configuration: all figures, none that a judge tells, one that is no finite number, none.
FOUND = {
    "u0": {"conditional_accuracy_y": 0.5, "diversity_y": 0.25, "frechet_y": 2.0},
    "u2": {"diversity_y": 0.25},
    "u3": {"conditional_accuracy_y": None, "diversity_y": None},
}


@pytest.fixture
def listed(tiny_sweep):
    found = {
        name: {"seconds": {"joint": 1.0}, "figures": figures, "nats": {}, "shared_nats": None}
        for name, figures in FOUND.items()
    }
    return rows(tiny_sweep, found)


def test_tables_have_a_gap_where_a_figure_is_missing(listed, tmp_path):
    assert [row["conditional_accuracy_y"] for row in listed] == [0.5, None, None, None]
    lines = text(listed).splitlines()
    assert [line.split()[-10] for line in lines if line.startswith("U of")] == ["0.500", *"---"]
    paths = write(listed, tmp_path, "tiny")
    stored = list(csv.DictReader(paths["table"].read_text().splitlines()))
    assert [row["frechet_y"] for row in stored] == ["2.0", "", "", ""]
    assert json.loads(paths["json"].read_text())[3]["diversity_y"] is None


def test_means_have_a_gap_where_a_run_lacks_the_figure(listed):
    first, second = summary(listed)
    assert (first["diversity_y_mean"], first["conditional_accuracy_y_mean"]) == (0.25, None)
    assert second["diversity_y_mean"] is second["diversity_y_sd"] is None
    for told in (text_of_runs(listed), text_of_bands(listed)):
        assert "None" not in told
        assert "nan" not in told


@pytest.mark.parametrize("kept", [slice(None), slice(1, None), slice(3, None)])
def test_pictures_are_drawn_with_what_there_is(listed, kept, tmp_path):
    for draw in (plot.draw, dots.draw):
        path = draw("Title", listed[kept], tmp_path / "a.png")
        assert path.stat().st_size > 1000
        path.unlink()


def test_the_first_variants_line_is_drawn_only_where_it_has_the_figure(monkeypatch, tmp_path):
    figures = []
    monkeypatch.setattr(dots, "save", lambda figure, path: figures.append(figure))
    listed = [
        {"band": "default", "diversity_y": 0.5},
        {"band": "less", "conditional_accuracy_y": 0.5, "diversity_y": 0.25},
    ]
    dots.draw("Title", listed, tmp_path / "a.png")
    accuracy, diversity = (
        next(axes for axes in figures[0].axes if axes.get_title("left").startswith(words))
        for words in ("conditional accuracy", "diversity")
    )
    assert not [line for line in accuracy.lines if line.get_linestyle() == ":"]
    assert len([line for line in diversity.lines if line.get_linestyle() == ":"]) == 1


def test_panels_name_a_classifier_only_where_one_judged(monkeypatch, tmp_path):
    image = np.zeros((1, 28, 28, 1))
    images = {"inputs": image, "styles": image, "concepts": image}
    images |= {"samples": image[None], "results": image[None]}
    told = []
    page = panels.Page
    draw = page.text
    monkeypatch.setattr(page, "text", lambda *args, **kw: told.append(args[1]) or draw(*args, **kw))
    for value, judged in ((0.5, True), (None, False)):
        told.clear()
        row = {"band": "a", "label": "b", "configuration": "c", "conditional_accuracy_y": value}
        panels.draw("Title", [row], {"c": images}, tmp_path / "a.png")
        assert any("classifier" in words for words in told) == judged


def test_a_source_of_one_class_is_carried_out_without_a_judge(tiny_sweep, tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("one class teaches no judge")

    monkeypatch.setattr(evaluation, "judge_for", never)
    monkeypatch.setattr("wyner_keras.evaluation.evaluator.judge_for", never)
    pixels = np.random.default_rng(0).random((20, 8, 8, 1), dtype=np.float32)
    images = LabelledImages(pixels, np.zeros(20, int))
    workshop = Workshop(
        folder=tmp_path / "one",
        source=ImageSource("one", images, images),
        data="one",
        mapping={0: 0},
        size=Size(name="tiny", inputs=10, styles=4, concepts=4),
        seed=0,
    )
    one = tiny_sweep.bands[0].configurations[1]
    sweep = Sweep(name="one", title="One", bands=(Band(title="a", configurations=(one,)),))
    found = carry_out(sweep, workshop)
    assert "diversity_y" in found[one.name]["figures"]
    assert "joint_coherence" not in found[one.name]["figures"]
    listed, paths = reported(sweep, workshop, found)
    assert paths["picture"].stat().st_size > 1000
    assert "joint_coherence" not in listed[0]
