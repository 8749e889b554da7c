import csv
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from wyner_keras import recipes, runs
from wyner_keras.cli.opened import open_folder
from wyner_serving import Bundle

SIDES = [((8, 8, 1), (9, 12, 3)), ("vector", "vector"), ((8, 8, 1), "series")]


def test_evaluate_finds_the_same_again(trained, call):
    folder, values = trained
    before = (folder / "metrics.json").read_text()
    (folder / "metrics.json").unlink()
    code, out, _ = call("evaluate", folder)
    assert code == 0
    assert "conditional accuracy, y from x" in out
    found = json.loads((folder / "metrics.json").read_text())
    first, second = json.loads(before)["figures"], found["figures"]
    assert first.keys() == second.keys()
    for name, figure in first.items():
        assert second[name] == pytest.approx(figure, abs=1e-3, nan_ok=True), name
    assert values["metrics"]["counts"] == found["counts"]


def test_evaluate_judges_on_other_pairs_and_refuses_other_shapes(
    trained, pair_folder, call, refused, tmp_path
):
    before = (trained[0] / "metrics.json").read_bytes()
    code, out, _ = call("evaluate", trained[0], "--data-y", "digits-rotated", "--json")
    assert code == 0
    assert json.loads(out)["metrics_file"] is None
    assert json.loads(out)["metrics"]["figures"]
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", rng.integers(0, 256, (40, 8, 8, 1), np.uint8))
    words = ("--x", tmp_path / "a.npy", "--y", tmp_path / "a.npy", "--held-out", 0.5)
    code, out, _ = call("evaluate", trained[0], *words)
    assert code == 0
    assert "own y ranked first by x" in out
    assert "metrics  not kept" in out
    # What reads them takes them for the run's own.
    assert (trained[0] / "metrics.json").read_bytes() == before
    assert "shape (8, 8, 1)" in refused("evaluate", trained[0], "--pairs", pair_folder)


def test_evaluate_says_which_pairs_the_model_was_trained_on(call, tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(60, 3)))
    words = ("--x", tmp_path / "a.npy", "--y", tmp_path / "b.npy")
    run = tmp_path / "run"
    assert call("train", *words, "--quick", "--no-evaluate", "--quiet", "--out", run)[0] == 0
    (tmp_path / "copy").mkdir()
    for name in "ab":
        (tmp_path / f"{name}.npy").rename(tmp_path / "copy" / f"{name}.npy")
    moved = ("--x", tmp_path / "copy" / "a.npy", "--y", tmp_path / "copy" / "b.npy")
    # The run's own pairs, from another place: their figures are the run's.
    code, out, err = call("evaluate", run, *moved, "--json")
    assert (code, json.loads(out)["trained_on"]) == (0, 0)
    assert json.loads((run / "metrics.json").read_text())["data"]["x"] == str(tmp_path / "a.npy")
    before = (run / "metrics.json").read_bytes()
    code, out, err = call("evaluate", run, *moved, "--held-out", 0.5, "--json")
    assert (code, json.loads(out)["trained_on"]) == (0, None)
    assert "cannot be told" in err
    for name in "ab":
        (tmp_path / "copy" / f"{name}.npy").rename(tmp_path / f"{name}.npy")
    code, out, err = call("evaluate", run, *words, "--held-out", 0.5, "--json")
    known = json.loads(out)["trained_on"]
    assert 18 <= known <= 30  # of 30, less those of the 12 that were held out before
    assert f"{known} of the 30 pairs are like pairs that the model was trained on" in err
    assert (run / "metrics.json").read_bytes() == before


def test_generate_arrays_from_held_out_digits(trained, call, tmp_path):
    words = ("generate", trained[0], "--from", "x", "--count", 12, "--samples", 3, "--json")
    code, out, _ = call(*words, "--out", tmp_path / "a.npz", "--seed", 1)
    assert code == 0
    assert json.loads(out) == {
        "out": str(tmp_path / "a.npz"),
        "from": "x",
        "seed": 1,
        "count": 12,
        "samples": 3,
    }
    arrays = np.load(tmp_path / "a.npz")
    assert arrays["x"].shape == (12, 8, 8, 1)
    assert arrays["y"].shape == (12, 3, 8, 8, 1)
    run = runs.Run.open(trained[0])
    _, held_out = run.pairs()
    rows, labels = held_out.arrays()[0], held_out.x_labels
    found = [labels[(rows == x).all((1, 2, 3))][0] for x in arrays["x"]]
    assert found == [*range(10), 0, 1]  # each class in turn, of the images held out
    expected = run.load_model().generate_y(arrays["x"], seed=1, samples=3)
    np.testing.assert_array_equal(arrays["y"], expected)
    assert call(*words, "--out", tmp_path / "b.npz", "--seed", 2)[0] == 0
    assert (np.load(tmp_path / "b.npz")["y"] != arrays["y"]).any()
    # More than the run folder holds: of its data.
    words = ("generate", trained[0], "--from", "x", "--samples", 1, "--out", tmp_path / "c.npz")
    assert "at most 360" in call(*words, "--count", 361)[2]
    assert call(*words, "--count", 300)[0] == 0


@pytest.mark.parametrize(("x", "y"), SIDES)
def test_everything_that_a_model_makes_is_drawn_and_kept_as_arrays(
    make_run, call, refused, tmp_path, x, y
):
    folder, model = make_run(x, y), runs.Run.open(make_run(x, y)).load_model()
    commands = {
        "conditional": ("generate", folder, "--from", "y", "--count", 4, "--samples", 2),
        "joint": ("generate", folder, "--from", "prior", "--count", 5),
        "transfer": ("transfer", folder, "--side", "x", "--seed", 4),
    }
    for name, words in commands.items():
        picture = ("--out", tmp_path / "deep" / f"{name}.png")
        assert call(*words, *picture)[0] == 0
        with Image.open(tmp_path / "deep" / f"{name}.png") as image:
            assert min(image.size) > 100
        assert "should not exist yet" in refused(*words, *picture)
        assert call(*words, "--out", tmp_path / f"{name}.npz")[0] == 0
    assert len(list((tmp_path / "deep").iterdir())) == 3
    made = np.load(tmp_path / "conditional.npz")
    expected = model.generate_x(made["y"], seed=0, samples=2)
    np.testing.assert_array_equal(made["x"], expected)
    pairs = np.load(tmp_path / "joint.npz")
    for side, array in zip("xy", model.generate_pairs(5, seed=0), strict=True):
        np.testing.assert_array_equal(pairs[side], array)
    made = np.load(tmp_path / "transfer.npz")
    expected = model.transfer_x(style=made["style"], concept=made["concept"], seed=4)
    np.testing.assert_array_equal(made["result"], expected)


COLOURS = {"blue": 0, "green": 1, "red": 2, "teal": 3}


def read(path):
    with path.open(newline="") as stream:
        header, *rows = csv.reader(stream)
    values = [[COLOURS.get(value, value or "nan") for value in row] for row in rows]
    return header, np.array(values, np.float64)


def test_vectors_come_from_tables_and_go_to_tables(make_run, call, refused, tmp_path):
    folder = make_run("vector", "vector")
    names = ["height", "left", "colour", "visits", "income"]
    words = ("generate", folder, "--from", "prior", "--count", 6, "--out", tmp_path / "p.csv")
    assert call(*words)[0] == 0
    # Categories by their texts.
    colours = [line.split(",")[2] for line in (tmp_path / "p.csv").read_text().splitlines()[1:]]
    assert set(colours) <= set(COLOURS)
    header, pairs = read(tmp_path / "p.csv")
    assert header == [f"{side}.{name}" for side in "xy" for name in names]
    assert pairs.shape == (6, 10)
    words = ("generate", folder, "--from", "x", "--input", tmp_path / "p.csv", "--samples", 3)
    assert call(*words, "--out", tmp_path / "y.csv")[0] == 0
    header, made = read(tmp_path / "y.csv")
    assert made.shape == (18, 10)
    np.testing.assert_array_equal(made[:, :5], pairs[:, :5].repeat(3, axis=0))
    model = runs.Run.open(folder).load_model()
    expected = model.generate_y(pairs[:, :5], seed=0, samples=3).reshape(18, 5)
    np.testing.assert_allclose(made[:, 5:], expected, rtol=1e-6)
    # What is given is written as it came.
    given = "height,left,colour,visits,income\n174.4,1,red,3,1e-07\n"
    (tmp_path / "given.csv").write_text(given)
    words = ("generate", folder, "--from", "x", "--input", tmp_path / "given.csv")
    assert call(*words, "--out", tmp_path / "again.csv")[0] == 0
    assert (tmp_path / "again.csv").read_text().splitlines()[1].startswith("174.4,1,red,3,1e-07,")
    # Columns without the side, in another order, values absent.
    (tmp_path / "some.csv").write_text("income,left,colour,visits,height\n1e3,,red,7,170.5\n")
    words = ("generate", folder, "--from", "y", "--input", tmp_path / "some.csv")
    assert call(*words, "--out", tmp_path / "x.npz")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "x.npz")["y"], [[170.5, np.nan, 2, 7, 1000]])
    assert call("transfer", folder, "--side", "y", "--out", tmp_path / "t.csv")[0] == 0
    header, results = read(tmp_path / "t.csv")
    assert header == [f"y.{name}" for name in names]
    assert results.shape == (6 * 8, 5)
    for text, message in (
        ("income,left,colour,visits\n1,1,1,1\n", "should have a column 'height'"),
        (
            "height,left,colour,visits,income\n1,1,mauve,1,1\n",
            "'colour'.*one of.*'teal'.*'mauve'",
        ),
        ("height,left,colour,visits,income\n1,yes,red,1,1\n", "'left'.*numbers.*'yes'"),
        ("height,left,colour,visits,income\n1,1,9,1,1\n", "'colour'.*one of.*'9'"),
    ):
        (tmp_path / "bad.csv").write_text(text)
        words = ("generate", folder, "--from", "x", "--input", tmp_path / "bad.csv")
        assert re.search(message, refused(*words, "--out", tmp_path / "z.csv"))


def test_series_come_from_arrays_and_go_to_arrays(make_run, call, refused, tmp_path):
    folder = make_run("series", "vector")
    series = np.random.default_rng(0).normal(size=(3, 12, 2))
    np.savez(tmp_path / "in.npz", a=series, b=series[:1])
    words = ("generate", folder, "--from", "x", "--input", f"{tmp_path / 'in.npz'}:a")
    assert call(*words, "--samples", 2, "--out", tmp_path / "y.csv")[0] == 0
    assert read(tmp_path / "y.csv")[1].shape == (6, 5)
    words = ("generate", folder, "--from", "y", "--count", 4, "--samples", 2)
    assert call(*words, "--out", tmp_path / "x.npy")[0] == 0
    assert np.load(tmp_path / "x.npy").shape == (4, 2, 12, 2)
    assert ".csv where vectors" in refused(*words, "--out", tmp_path / "x.csv")
    words = ("generate", folder, "--from", "x", "--input", tmp_path / "absent.png")
    assert "--input should be one file of series" in refused(*words, "--out", tmp_path / "z.npz")
    words = ("generate", folder, "--from", "prior", "--out", tmp_path / "p.npy")
    assert "--out should be .npz for pairs" in refused(*words)


def test_generate_from_image_files(trained, call, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    (tmp_path / "in").mkdir()
    for place, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "in" / f"{place}.png")
    np.save(tmp_path / "in.npy", pixels[..., None])
    made = []
    for name, out in (("in", "a.npz"), ("in.npy", "b.npz")):
        words = ("generate", trained[0], "--from", "y", "--input", tmp_path / name)
        assert call(*words, "--out", tmp_path / out)[0] == 0
        made.append(np.load(tmp_path / out))
    for arrays in made:
        np.testing.assert_allclose(arrays["y"][..., 0], pixels / 255, atol=1e-6)
        assert arrays["x"].shape == (3, 8, 8, 8, 1)
    np.testing.assert_allclose(made[0]["x"], made[1]["x"], atol=1e-5)


def test_bad_requests_are_one_clear_line(trained, refused, tmp_path):
    folder, out = trained[0], tmp_path / "a.npz"
    np.save(tmp_path / "whole.npy", np.zeros((2, 8, 8, 1), int))
    np.save(tmp_path / "large.npy", np.zeros((2, 9, 9, 1)))
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (9, 8)).save(tmp_path / "wide.png")
    for name, message in (
        ("whole.npy", "floating-point in [0, 1], or uint8"),
        ("large.npy", "should be an array (n, 8, 8, 1)"),
        ("text.npy", "should be readable as .npy"),
        ("text.png", "should be readable"),
        ("wide.png", "8 high and 9 wide"),
        ("absent.png", "should be one .npy file, or "),
    ):
        words = ("generate", folder, "--from", "x", "--out", out, "--input", tmp_path / name)
        line = refused(*words)
        assert message in line
        assert "Received: " in line
    words = ("generate", folder, "--from")
    assert "neither" in refused(*words, "prior", "--samples", 2, "--out", out)
    assert "--out should end in" in refused(*words, "x", "--out", tmp_path / "a.txt")
    assert "written by `wyner train`" in refused("evaluate", tmp_path)
    assert "written by" in refused("transfer", "no-run", "--side", "x", "--out", out)
    assert not out.exists()


def test_a_bundle_generates_without_tensorflow(bundle, tmp_path):
    script = (
        "import sys\nfrom wyner_keras.cli import main\n"
        "code = main(['generate', *sys.argv[1:3], 'x', '--out', sys.argv[3]])\n"
        "code += main(['transfer', sys.argv[1], '--side', 'y', '--out', sys.argv[3] + '.png'])\n"
        "print(code, *{'tensorflow', 'keras'} & set(sys.modules))"
    )
    words = [sys.executable, "-c", script, str(bundle), "--from", str(tmp_path / "a.npz")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["0"], done.stdout + done.stderr
    assert done.stderr == ""
    with np.load(tmp_path / "a.npz") as found:
        opened = Bundle.load(bundle)
        assert len(found["x"]) == min(10, len(opened.samples("x")))
        expected = opened.generate_y(found["x"], seed=0, samples=8)
        np.testing.assert_allclose(found["y"], expected, atol=1e-6)


def test_tensorflow_writes_nothing_beside_the_result(trained, tmp_path):
    script = (
        "import sys; from wyner_keras.cli import main; "
        "print([main([*sys.argv[1:], '--out', out]) for out in ('a.npz', 'a.txt')])"
    )
    words = ["generate", str(trained[0].absolute()), "--from", "prior", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("TF_")},
    )
    # A line of what was written, and one of what is wrong with the other name.
    _, codes = done.stdout.splitlines()
    assert codes == "[0, 2]", done.stderr
    assert len(done.stderr.splitlines()) == 1


def ranked(path):
    """Columns of a table that `wyner rank` wrote, by name."""
    with path.open(newline="") as stream:
        return {
            name: [row[name] for row in rows]
            for rows in [list(csv.DictReader(stream))]
            for name in rows[0]
        }


@pytest.mark.parametrize(("x", "y"), SIDES)
def test_partners_of_held_out_examples_are_the_models(make_run, call, tmp_path, x, y):
    folder, model = make_run(x, y), runs.Run.open(make_run(x, y)).load_model()
    rows = runs.Run.open(folder).examples().rows
    for side in "xy":
        path = tmp_path / f"{side}.csv"
        code, out, _ = call("rank", folder, "--from", side, "--count", 8, "--out", path, "--json")
        assert code == 0
        said = json.loads(out)
        assert (said["count"], said["gallery"], said["top"]) == (8, 8, 8)
        table = ranked(path)
        assert list(table) == ["query", "place", "row", "nats"]
        assert table["place"] == [str(place) for place in range(1, 9)] * 8
        # Queries are drawn; each is one of the rows.
        every = (model.rank_y if side == "x" else model.rank_x)(
            rows[side], rows["yx"["xy".index(side)]]
        )
        found = np.array(table["row"], int).reshape(8, 8)
        nats = np.array(table["nats"], np.float32).reshape(8, 8)
        _, places = open_folder(str(folder)).chosen(side, 0, 8)
        np.testing.assert_array_equal(found, every.rows[places])
        np.testing.assert_allclose(nats, every.nats[places], rtol=1e-5, atol=1e-6)


def test_partners_are_found_in_files_by_name_and_in_a_kept_gallery(
    make_run, call, refused, tmp_path
):
    folder = make_run((8, 8, 1), (9, 12, 3))
    pixels = np.random.default_rng(0).integers(0, 256, (5, 9, 12, 3), np.uint8)
    (tmp_path / "y").mkdir()
    for place, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "y" / f"{place}.png")
    words = ("rank", folder, "--from", "x", "--count", 2, "--top", 3)
    kept = tmp_path / "y.gallery"
    first = (*words, "--gallery", tmp_path / "y", "--save-gallery", kept)
    assert call(*first, "--out", tmp_path / "a.csv")[0] == 0
    table = ranked(tmp_path / "a.csv")
    assert table["row_file"] == [str(tmp_path / "y" / f"{row}.png") for row in table["row"]]
    assert table["place"] == ["1", "2", "3"] * 2 and "query_file" not in table
    assert call(*words, "--gallery", kept, "--out", tmp_path / "b.json")[0] == 0
    records = json.loads((tmp_path / "b.json").read_text())
    assert [str(each["row"]) for each in records] == table["row"]
    assert [each["nats"] for each in records] == [float(each) for each in table["nats"]]
    words = ("rank", folder, "--from", "y", "--input", tmp_path / "y", "--count", 2)
    assert call(*words, "--out", tmp_path / "c.csv")[0] == 0
    names = ranked(tmp_path / "c.csv")["query_file"]
    assert list(dict.fromkeys(names)) == [str(tmp_path / "y" / f"{row}.png") for row in (0, 1)]
    new = ("--out", tmp_path / "d.csv")
    assert "of x. Received: a gallery of y" in refused(*words, *new, "--gallery", kept)
    other = make_run("vector", "vector")
    assert "should be of this model" in refused(
        "rank", other, "--from", "x", "--gallery", kept, *new
    )
    for message, wrong in (
        ("one .gallery file", ("--gallery", kept, kept, *new)),
        ("should be a gallery", ("--gallery", tmp_path / "none.gallery", *new)),
        ("--out should end in .csv, .json", ("--out", tmp_path / "d.png")),
        ("should not exist yet", ("--out", tmp_path / "c.csv")),
        ("should not exist yet", ("--save-gallery", kept, *new)),
        ("--save-gallery should end in .gallery", ("--save-gallery", tmp_path / "e.npz", *new)),
    ):
        assert message in refused(*words, *wrong)
    assert not (tmp_path / "d.csv").exists()


def test_report_writes_the_page_of_a_run(trained, call, refused, tmp_path, monkeypatch):
    run = trained[0]
    code, out, _ = call("report", run, "--quiet")
    assert code == 0
    assert out.startswith("What x and y share")
    assert "conditional accuracy, y from x" in out
    html = (run / "report.html").read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert "conditional accuracy, y from x" in html
    code, out, _ = call("report", run, "--quiet", "--json", "--out", tmp_path / "other.html")
    values = json.loads(out)
    assert code == 0
    assert values["report"] == str(tmp_path / "other.html")
    assert set(values["metrics"]["figures"])
    assert values["fit"]["trained_on"]["worst"]
    assert "shortened" not in out
    # As if the recipe were longer than what was trained.
    tiny = recipes.default
    monkeypatch.setattr(recipes, "default", lambda *args, **kwargs: tiny(*args, **kwargs).scaled(4))
    advice = json.loads(call("report", run, "--quiet", "--json")[1])["advice"]
    assert advice[0]["found"].startswith("The training was shortened to 25 % of its recipe")
    assert "should not exist" in refused("report", run, "--out", tmp_path / "other.html")
    assert "--out should end in .html" in refused("report", run, "--out", tmp_path / "a.png")
    before = (run / "metrics.json").read_text()
    try:
        # What the run was judged by is not judged again, intervals and all.
        found = json.loads(before)
        assert any("low" in each for each in found["figures"].values())
        assert any("p_value" in each for each in found["figures"].values())
        found["figures"]["conditional_accuracy_y"]["model"] = 0.4242
        (run / "metrics.json").write_text(json.dumps(found))
        (run / "report.html").unlink()
        assert "0.424" in call("report", run, "--quiet")[1]
        (run / "metrics.json").write_text('{"data": ')
        assert "wyner evaluate" in refused("report", run)
    finally:
        (run / "metrics.json").write_text(before)
