"""Sweeps over sources that lack figures: judged without a judge, tables and pictures with gaps."""

import csv
import json

import numpy as np
import pytest

from experiments.studies import (
    Experiment,
    Group,
    Size,
    Sweep,
    dot_plot,
    lambda_plot,
    panels,
    run_sweep,
    write_report,
)
from experiments.studies.summary import summarise, text_of_groups, text_of_runs
from experiments.studies.table import make_rows, text, write
from wyner_keras.data import ImageSource, LabelledImages

# By configuration: all figures, none that a judge tells, one that is no finite number, none.
FIGURES = {
    "tiny-z1x3-unone": {"conditional_accuracy_y": 0.5, "diversity_y": 0.25, "frechet_y": 2.0},
    "tiny-z1x3-u2": {"diversity_y": 0.25},
    "tiny-z1x3-u3": {"conditional_accuracy_y": None, "diversity_y": None},
}


@pytest.fixture
def rows(tiny_sweep):
    results = {
        name: {"seconds": {"joint": 1.0}, "figures": figures, "nats": {}, "shared_nats": None}
        for name, figures in FIGURES.items()
    }
    return make_rows(tiny_sweep, results)


def test_tables_have_a_gap_where_a_figure_is_missing(rows, tmp_path):
    assert [row["conditional_accuracy_y"] for row in rows] == [0.5, None, None, None]
    lines = text(rows).splitlines()
    assert [line.split()[-10] for line in lines if line.startswith("U of")] == ["0.500", *"---"]
    paths = write(rows, tmp_path, "tiny")
    stored = list(csv.DictReader(paths["table"].read_text().splitlines()))
    assert [row["frechet_y"] for row in stored] == ["2.0", "", "", ""]
    assert json.loads(paths["json"].read_text())[3]["diversity_y"] is None


def test_means_have_a_gap_where_a_run_lacks_the_figure(rows):
    first, second = summarise(rows)
    assert (first["diversity_y_mean"], first["conditional_accuracy_y_mean"]) == (0.25, None)
    assert second["diversity_y_mean"] is second["diversity_y_sd"] is None
    for told in (text_of_runs(rows), text_of_groups(rows)):
        assert "None" not in told
        assert "nan" not in told


@pytest.mark.parametrize("kept", [slice(None), slice(1, None), slice(3, None)])
def test_pictures_are_drawn_with_what_there_is(rows, kept, tmp_path):
    for draw in (lambda_plot.draw, dot_plot.draw):
        path = draw("Title", rows[kept], tmp_path / "a.png")
        assert path.stat().st_size > 1000
        path.unlink()


def test_the_first_variants_line_is_drawn_only_where_it_has_the_figure(monkeypatch, tmp_path):
    figures = []
    monkeypatch.setattr(dot_plot, "save", lambda figure, path: figures.append(figure))
    rows = [
        {"group": "default", "diversity_y": 0.5},
        {"group": "less", "conditional_accuracy_y": 0.5, "diversity_y": 0.25},
    ]
    dot_plot.draw("Title", rows, tmp_path / "a.png")
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
        row = {"group": "a", "label": "b", "configuration": "c", "conditional_accuracy_y": value}
        panels.draw("Title", [row], {"c": images}, tmp_path / "a.png")
        assert any("classifier" in words for words in told) == judged


def test_a_source_of_one_class_is_judged_without_a_judge(
    fake_training, tiny_sweep, tmp_path, monkeypatch
):
    monkeypatch.setattr("wyner_keras.information.measure", lambda *_, **__: {"i_xy_z": 0.0})
    pixels = np.random.default_rng(0).random((20, 8, 8, 1), dtype=np.float32)
    images = LabelledImages(pixels, np.zeros(20, int))
    experiment = Experiment(
        folder=tmp_path / "one",
        source=ImageSource("one", images, images),
        data="one",
        size=Size(name="tiny", pairs_per_class=20, inputs=10, styles=4, concepts=4),
        seed=0,
    )
    one = tiny_sweep.groups[0].configurations[1]
    sweep = Sweep(name="one", title="One", groups=(Group(title="a", configurations=(one,)),))
    results = run_sweep(sweep, experiment)
    assert "diversity_y" in results[one.name]["figures"]
    assert "joint_coherence" not in results[one.name]["figures"]
    rows, paths = write_report(sweep, experiment, results)
    assert paths["picture"].stat().st_size > 1000
    assert "joint_coherence" not in rows[0]
