import csv
import json

import pytest

from experiments.studies.table import SETTINGS, cell, make_rows, text, write


@pytest.fixture
def results(names):
    return {
        name: {
            "seconds": {"joint": 2.04, "marginal": 1.0},
            "figures": {"conditional_accuracy_y": value, "frechet_y": 10 * value},
            "nats": {"i_xy_z": 2.0} if value else {"i_xy_z": 0.5, "i_xy_z_upper": 0.75},
            "shared_nats": 1.5 if value else None,
        }
        for name, value in zip(names, (0.0, 0.25, 0.5), strict=True)
    }


def test_a_row_has_settings_and_results(tiny_sweep, names, results):
    rows = make_rows(tiny_sweep, results)
    assert [(row["group"], row["configuration"]) for row in rows] == [
        *(("first", names[0]), ("first", names[1]), ("second", names[1]), ("second", names[2]))
    ]
    assert len({tuple(row) for row in rows}) == 1
    first = rows[0]
    assert first["recipe"] == first["sweep"] == "tiny"
    assert (first["z"], first["u"], first["v"]) == ("(1, 3)", "none", "none")
    assert (first["seed"], first["lambda"], first["two_epsilon_squared"]) == (0, None, 0.2)
    assert (first["joint_epochs"], first["marginal_epochs"], first["seconds"]) == (1, 2, 3.0)
    assert first["nats_i_xy_z_upper"] == 0.75
    assert [row["shared_nats"] for row in rows] == [None, 1.5, 1.5, 1.5]
    assert tuple(first)[: len(SETTINGS)] == SETTINGS
    assert rows[1]["nats_i_xy_z_upper"] is None
    assert rows[1]["conditional_accuracy_y"] == 0.25


def test_csv_and_json_hold_the_rows(tiny_sweep, results, tmp_path):
    rows = make_rows(tiny_sweep, results)
    (tmp_path / "tiny.csv").write_text("old")
    paths = write(rows, tmp_path, "tiny")
    assert paths == {"table": tmp_path / "tiny.csv", "json": tmp_path / "tiny.json"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.csv", "tiny.json"]
    assert json.loads(paths["json"].read_text()) == rows
    with paths["table"].open(newline="") as stream:
        read = list(csv.DictReader(stream))
    assert [list(row) for row in read] == [list(row) for row in rows]
    for row, expected in zip(read, rows, strict=True):
        assert row == {
            name: "" if value is None else str(value) for name, value in expected.items()
        }


def test_text_is_aligned_and_has_a_dash_where_there_is_no_figure(tiny_sweep, results):
    lines = text(make_rows(tiny_sweep, results)).splitlines()
    assert [lines[0], lines[4], lines[5]] == ["first", "", "second"]
    table = [lines[1], *lines[2:4], *lines[6:]]
    assert len({len(line) for line in table}) == 1
    assert lines[2].split()[:4] == ["U", "of", "0", "0.000"]
    assert lines[3].split()[3:5] == ["0.250", "-"]


def test_cells_have_no_negative_zero_and_tell_bounds():
    values = {"a": -0.004, "b": -0.006, "c": None, "nats_i_xy_z": 3.0}
    assert [cell(values, name, 2) for name in (*"abcd", "nats_i_xy_z")] == [
        *("0.00", "-0.01", "-", "-", "3.00")
    ]
    bounded = {**values, "nats_i_xy_z_upper": 4.0}
    assert [cell(bounded, name, 1) for name in ("b", "nats_i_xy_z")] == ["0.0", ">3.0"]
