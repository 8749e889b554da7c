import csv
import json

import numpy as np
import pytest
from PIL import Image

from experiments.theory import comparison
from experiments.theory.__main__ import main
from experiments.theory.base_model import Point


@pytest.fixture
def at_the_optimum(monkeypatch):
    """Training replaced by what it would attain at best."""

    def trade_off_curve(source, z, weights, **settings):
        points = []
        for weight in weights:
            information, slack = source.relaxed(weight)
            points.append(
                Point(weight=weight, information=information, kl_z=information, slack=slack)
            )
        return points

    monkeypatch.setattr(comparison, "trade_off_curve", trade_off_curve)


def test_the_command_writes_table_points_and_figure(at_the_optimum, tmp_path, capsys):
    out = tmp_path / "theory"
    assert main(["--out", str(out), "--json", "--quiet"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert sorted(path.name for path in out.iterdir()) == [
        *("curves.csv", "table.csv", "theory.json", "theory.png")
    ]
    assert json.loads((out / "theory.json").read_text())["table"] == values["table"]
    with (out / "table.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4
    for row in rows:
        assert abs(float(row["gap"])) < 0.03
        assert float(row["mutual_information"]) <= float(row["closed_form"]) + 1e-9
    with (out / "curves.csv").open() as stream:
        points = list(csv.DictReader(stream))
    assert {row["source"] for row in points} == {
        *("dsbs-0.1", "gaussian-0.5", "gaussian-0.9", "labels-10")
    }
    with Image.open(out / "theory.png") as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape[1] > pixels.shape[0] > 500
    assert (pixels < 128).mean() > 0.005


def test_the_table_has_a_line_a_source(at_the_optimum):
    lines = comparison.compare(quick=True, verbose=False).table().splitlines()
    assert len(lines) == 6
    assert len({len(line) for line in lines}) == 1
    assert "0.6050" in lines[2]
    assert "–" in lines[3]


def test_nothing_is_left_behind_when_drawing_fails(at_the_optimum, tmp_path, monkeypatch, capsys):
    def fail(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr("experiments.theory.plot.draw", fail)
    assert main(["--quick", "--out", str(tmp_path / "theory"), "--quiet"]) == 1
    assert "no space left" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_refused(tmp_path, capsys):
    assert main(["--out", str(tmp_path)]) == 2
    assert "should not exist yet" in capsys.readouterr().err
