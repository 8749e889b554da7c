import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import tiny_report
from PIL import Image
from tiny_report import NATS, fits, known

import wyner_keras as wk
from wyner_keras.evaluation import Figure, Report, memory_test
from wyner_keras.reporting import page as page_module

SECTIONS = (
    "What is shared",
    "What is private",
    "How well it is known",
    "Which pairs fit worst",
    "What failed, and what to try",
)
VOID = {"meta", "img", "br"}


class Reader(HTMLParser):
    """Every tag with its attributes; refuses tags that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    def of(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def sharing(monkeypatch):
    """Pairs that share, whatever they are."""
    monkeypatch.setattr(page_module, "misfits", fits)


@pytest.fixture(scope="module")
def models():
    return tiny_report.models()


@pytest.mark.parametrize("name", ["images", "columns", "mixed"])
def test_every_kind_of_data_and_latent_has_its_page(models, sharing, name, tmp_path) -> None:
    model = models[name]
    pairs, figures = known(model)
    page = wk.report(model, pairs, train=pairs, figures=figures, nats=NATS, verbose=False)
    path = page.write(tmp_path / "new" / "page.html")
    text, html = str(page), path.read_text(encoding="utf-8")
    read = Reader(html)
    words = " ".join(read.words)
    for section in SECTIONS:
        assert section in text
        assert section in words
    assert [each.name for each in path.parent.iterdir()] == ["page.html"]
    assert "share at least 1.50 nats" in words
    assert "It may be more" not in words
    # What is shared comes as cards: one a value, or one a quantity; then private ones.
    titles = re.findall(r"<h[34]>(.*?)</h", html)
    expected = {
        "images": ["value 1", "value 2", "value 3"],
        "columns": [f"dimension {place}" for place in (1, 2, 3)],
        "mixed": [f"variable {n}, value {k}" for n in (1, 2) for k in (1, 2, 3)],
    }[name]
    shown = [title for title in titles if title in expected]
    assert 1 <= len(shown) == len(set(shown))
    assert name != "mixed" or len(shown) == len(expected)
    assert any(title.startswith("direction") for title in titles)
    assert ("has none: z alone makes it" in words) == (name == "columns")
    # By its variance alone: of two values of z, 0.69 nats, it may come out at 2.
    assert bool(re.search(r"holds \d\.\d\d nats at most", words)) == (name == "columns")
    assert not re.search(r"holds \d\.\d\d nats(?! at most)", words)
    # The planted misfit comes first.
    assert "trained on, row 7" in titles
    assert page.values["fit"]["held_out"]["worst"][0]["pair"] == 7


def test_the_worst_pairs_are_named_by_the_users_own_rows(models, sharing) -> None:
    pairs, figures = known(models["images"], 60)
    train, held_out = pairs.hold_out(np.arange(60) % 2 == 0)
    page = wk.report(
        models["images"], held_out, train=train, figures=figures, nats=NATS, verbose=False
    )
    # The misfit is the place 7 of either part: the rows 15 and 14 of what was split.
    titles = re.findall(r"<h[34]>(.*?)</h", page.html())
    assert {"trained on, row 15", "held out, row 14"} <= set(titles)
    assert "Rows count from 0 in the data as you brought them" in " ".join(page.text().split())
    for part, row in (("trained_on", 15), ("held_out", 14)):
        worst = page.values["fit"][part]["worst"][0]
        assert (worst["pair"], worst["row_x"], worst["row_y"]) == (7, row, row)


def test_what_rows_count_is_said(models, sharing) -> None:
    pairs, figures = known(models["images"])
    others, _ = known(models["images"])
    said = {"of their own part": (pairs, others), "as you brought them": (pairs, None)}
    for words, (held_out, train) in said.items():
        page = wk.report(
            models["images"], held_out, train=train, figures=figures, nats=NATS, verbose=False
        )
        assert words in " ".join(page.text().split())


def test_the_worst_pairs_are_named_by_their_files(models, sharing, tmp_path) -> None:
    pairs, figures = known(models["images"], 40)
    for column, name in enumerate("xy"):
        (tmp_path / name).mkdir()
        for place, image in enumerate(pairs.arrays()[column]):
            pixels = Image.fromarray((255 * image).astype("uint8").squeeze())
            pixels.save(tmp_path / name / f"ä {place:02d}.png")
    train, held_out = wk.data.load_pairs(tmp_path)
    page = wk.report(
        models["images"], held_out, train=train, figures=figures, nats=NATS, verbose=False
    )
    worst = page.values["fit"]["trained_on"]["worst"][0]
    file = tmp_path / "x" / f"ä {worst['row_x']:02d}.png"
    assert worst["file_x"] == str(file)
    assert worst["file_y"] == str(tmp_path / "y" / file.name)
    assert np.array_equal(np.asarray(Image.open(file)), 255 * train.arrays()[0][7].squeeze())
    assert f"trained on, x {'x/' + file.name}, y {'y/' + file.name}" in page.html()


def test_the_page_works_offline_without_scripts_and_for_those_who_do_not_see(
    models, sharing
) -> None:
    pairs, figures = known(models["images"])
    html = wk.report(models["images"], pairs, figures=figures, nats=NATS, verbose=False).html()
    read = Reader(html)
    images = read.of("img")
    assert images
    assert all(image["src"].startswith("data:image/png;base64,") for image in images)
    assert all(len(image["alt"]) > 8 and int(image["width"]) > 0 for image in images)
    assert {tag for tag, _ in read.tags} & {"script", "link", "iframe", "object"} == set()
    assert not [key for _, attrs in read.tags for key in attrs if key.startswith("on")]
    assert "http" not in html.replace("http-equiv", "")
    assert read.of("html") == [{"lang": "en"}]
    assert "prefers-color-scheme: dark" in html
    levels = [int(tag[1]) for tag, _ in read.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def of_vectors(vector: wk.Vector) -> wk.WynerModel:
    """A model of columns, with random weights."""
    side = wk.SideSettings(
        hidden=(8,), reader="features", local=wk.DiagonalGaussian(dim=2), flow_steps=0
    )
    return wk.WynerModel(
        wk.DiagonalGaussian(dim=2),
        {"x": vector, "y": vector},
        codecs={name: vector.codec(wk.CodecSettings(code_size=2), 0) for name in "xy"},
        settings={"x": side, "y": side},
    )


def test_categories_are_called_by_their_texts(sharing) -> None:
    vector = wk.Vector(
        kinds=("real", "categorical", "categorical"),
        names=("size", "colour", "grade"),
        categories=(0, 2, 2),
        texts=((), ("blue", "red"), ()),
    )
    rng = np.random.default_rng(0)
    rows = [np.stack([rng.normal(size=30), *rng.integers(2, size=(2, 30))], 1) for _ in "xy"]
    pairs = wk.Pairs(*rows, x_modality=vector, y_modality=vector)
    figures = Report(figures={}, counts={}, seed=0)
    page = wk.report(of_vectors(vector), pairs, figures=figures, nats=NATS, verbose=False)
    assert {"colour is red", "grade is 1"} <= set(Reader(page.html()).words)
    assert "colour is 1" not in page.text()


def test_what_the_user_named_is_escaped(sharing) -> None:
    names = ("<script>alert(1)</script>", "a\x1b[31m$x$", "b & c")
    vector = wk.Vector(kinds=("real",) * 3, names=names)
    model, rng = of_vectors(vector), np.random.default_rng(0)
    labels = ['"><img src=x>' for _ in range(30)]
    pairs = wk.Pairs(
        *rng.normal(size=(2, 30, 3)), x_labels=labels, x_modality=vector, y_modality=vector
    )
    figures = Report(figures={"<i>new</i>": Figure(1.0, 2.0)}, counts={}, seed=0)
    page = wk.report(model, pairs, figures=figures, nats=NATS, verbose=False)
    html = page.html()
    Reader(html)
    assert "<script" not in html
    assert "<img src=x>" not in html
    assert "<i>new" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "b &amp; c" in html
    assert "\x1b" not in html
    assert "\x1b" not in page.text()


@pytest.mark.parametrize("name", ["images", "columns"])
def test_the_samples_nearest_to_rows_trained_on_are_shown_beside_them(
    models, sharing, name
) -> None:
    pairs, figures = known(models[name], 60)
    train, held_out = pairs.hold_out(np.arange(60) % 2 == 0)
    y = train.arrays()[1]
    copied = memory_test(y[:20].reshape(20, -1), y[20:].reshape(10, -1), y.reshape(30, -1))
    copied = replace(copied, examples=y[copied.samples])
    page = wk.report(
        models[name],
        held_out,
        train=train,
        figures=replace(figures, nearest={"memory_y": copied}),
        nats=NATS,
        verbose=False,
    )
    words = " ".join(page.text().split())
    assert "Samples beside rows trained on" in words
    # Rows are those of what was split, of which every other was held out.
    for row, store_row in zip(1 + 2 * copied.samples[:3], copied.rows[:3], strict=True):
        assert np.array_equal(train.stores[1].take([store_row])[0], pairs.arrays()[1][row])
        assert f"y, row {row}: 0 apart; of a held-out row" in words
    assert page.html().count("a sample") >= 3
    # A file of figures has no samples: they are made anew.
    judged = replace(figures, figures={**figures.figures, "memory_y": Figure(0.5, 0.5)})
    page = wk.report(models[name], held_out, train=train, figures=judged, nats=NATS, verbose=False)
    assert "Samples beside rows trained on" in page.text()
    alone = wk.report(models[name], held_out, figures=figures, nats=NATS, verbose=False)
    assert "Samples beside rows trained on" not in alone.text()


def test_an_unknown_figure_is_shown(models, sharing) -> None:
    pairs, _ = known(models["images"])
    figures = Report(
        figures={"found_first_y": Figure(0.5, 0.1), "something_new_y": Figure(0.25, float("nan"))},
        counts={},
        seed=0,
    )
    text = wk.report(models["images"], pairs, figures=figures, nats={}, verbose=False).text()
    assert "Other figures" in text
    line = next(line for line in text.splitlines() if line.startswith("something new y"))
    assert "0.250" in line


def test_what_was_left_out_is_named_with_what_it_needs(models, sharing) -> None:
    pairs, figures = known(models["images"])
    text = wk.report(models["images"], pairs, figures=figures, nats={}, verbose=False).text()
    assert "Left out, which needs more: Fréchet distance, x from y" in " ".join(text.split())


def test_of_pairs_that_share_nothing_nothing_is_the_first_word(models) -> None:
    pairs, _ = known(models["images"], 60)
    figures = Report(figures={"partner_nats": Figure(-0.01, 4.1)}, counts={}, seed=0)
    page = wk.report(models["images"], pairs, figures=figures, nats=NATS, verbose=False)
    assert page.nothing
    assert page.values["nothing_shared"]
    first = page.text().split("\n\n")[1]
    assert first.startswith("NOTHING SHARED WAS FOUND.")
    html = page.html()
    assert html.index("Nothing shared was found.") < html.index("<h2>")
    # No picture of z, and no pair is called ill fitting.
    assert "value 1" not in html.split("What is private")[0]
    assert "no pair fits better or worse" in html
    assert page.values["advice"][0]["found"].startswith("Held-out partners are found no better")


@pytest.mark.parametrize(
    ("p", "headline"),
    [
        (0.002, "Something is shared, but this model did not find it."),
        (0.04, "Something may be shared, but this model did not find it."),
        (0.2, "Nothing shared was found."),
    ],
)
def test_a_test_of_the_pairs_has_the_first_word_where_the_model_finds_nothing(
    models, p, headline
) -> None:
    pairs, _ = known(models["images"], 60)
    figures = Report(
        figures={"dependence": Figure(5.0, 2.0)}, counts={}, seed=0, p_values={"dependence": p}
    )
    page = wk.report(models["images"], pairs, figures=figures, nats=NATS, verbose=False)
    assert page.headline == headline
    assert page.nothing == page.values["nothing_shared"] == (p > 0.05)
    assert page.values["missed"] == (p <= 0.05)
    assert f"(p = {p:.{2 if page.nothing else 3}f})" in page.text()


def test_a_bound_near_the_most_that_pairs_can_show_says_so(models, sharing) -> None:
    pairs, _ = known(models["images"])
    figures = Report(figures={"partner_nats": Figure(2.9, 3.1)}, counts={}, seed=0)
    page = wk.report(models["images"], pairs, figures=figures, nats=NATS, verbose=False)
    assert "30 held-out pairs can show 3.10 nats at most" in " ".join(page.text().split())


def verdict(models, told, interval, counts=None):
    pairs, _ = known(models["images"])
    figures = Report(
        figures={"partner_nats": Figure(told, 6.8)},
        counts=counts or {},
        seed=0,
        intervals={"partner_nats": interval},
    )
    page = wk.report(models["images"], pairs, figures=figures, nats=NATS, verbose=False)
    return " ".join(page.text().split())


def test_what_is_shared_at_least_is_the_lower_end_of_the_interval(models, sharing) -> None:
    said = verdict(models, 1.5, (1.234, 1.766))
    assert "SHARE AT LEAST 1.23 NATS." in said
    assert "The bound came out at 1.50 nats; by other held-out pairs, as few, it may be" in said
    assert "1.50 nats (most 6.80 nats; 95 %: 1.23 to 1.77)" in said
    assert "telling 3.4 equally common kinds apart" in said
    assert "tells of the other, through z 1.23 or more" in said
    said = verdict(models, 0.2, (-0.1, 0.5))
    assert "SOMETHING IS SHARED; HOW MUCH IS NOT TOLD." in said
    assert "came out at 0.20 nats, but by other held-out pairs, as few, it may be 0 (95 %)" in said
    assert "less than telling two equally common kinds" in verdict(models, 0.2, (0.1, 0.3))


def test_more_pairs_are_not_asked_for_where_no_more_are_compared(models, sharing) -> None:
    said = verdict(models, 6.7, (6.6, 6.8), {"partners": 20})
    assert (
        "It may be more: 20 held-out pairs are compared, which can show 6.80 nats at most" in said
    )
    assert "Hold out more" not in said
    assert "Hold out more" in verdict(models, 6.7, (6.6, 6.8), {"partners": 30})


def test_too_few_groups_say_so(models, monkeypatch) -> None:
    pairs, figures = known(models["images"])
    few = "There are too few held-out"
    for of, first, said in (
        ({"groups": 6, "by_groups": 1.0}, f"{few} groups", "held out are of 6 groups."),
        ({"groups": 6, "by_groups": 5.0}, "x and y share", "held out are of only 6 groups."),
        ({"groups": 1, "by_groups": 1.0}, f"{few} groups", "held out are of 1 group."),
        ({"rows": 3}, f"{few} different rows", "held out are of 3 different rows."),
    ):
        monkeypatch.setattr(
            page_module, "misfits", lambda *a, of=of, **k: replace(fits(*a, **k), **of)
        )
        page = wk.report(models["images"], pairs, figures=figures, nats=NATS, verbose=False)
        assert page.headline.startswith(first)
        assert not page.nothing
        words = " ".join(page.text().split())
        assert said in words


def test_of_a_z_that_is_always_the_same_nothing_is_shown(models, monkeypatch) -> None:
    def silent(*args, **kwargs):
        found = fits(*args, **kwargs)
        scores = 1e-6 * found.scores
        return replace(found, scores=scores, pmi=-scores, ranks=found.ranks + 0.49, groups=6)

    pairs, figures = known(models["images"])
    monkeypatch.setattr(page_module, "misfits", silent)
    page = wk.report(models["images"], pairs, figures=figures, nats=NATS, verbose=False)
    said = " ".join(page.text().split())
    assert "THERE ARE TOO FEW HELD-OUT GROUPS" in said
    assert "z is the same whatever x and y are" in said
    assert "Nothing that this model finds." in said
    assert "value 1" not in said
    assert "The 20 worst" not in said
    assert "-0.00" not in said


def test_what_may_be_too_high_of_few_pairs_is_named(models, sharing) -> None:
    pairs, figures = known(models["images"])
    nats = {"i_zx_zy": 0.5, "i_label_z": 0.6, "rows": 5.0}
    page = wk.report(models["images"], pairs, figures=figures, nats=nats, verbose=False)
    said = " ".join(page.text().split())
    assert "On so few some may come out too high: what z, read off x, tells" in said
    assert "what z tells of the label of x by" in said


def test_bounds_of_a_continuous_z_are_told_as_bounds(models, sharing) -> None:
    pairs, figures = known(models["images"])
    nats = {"i_xy_z": 3.2, "i_xy_z_upper": 4.5, "i_label_z": 0.6}
    page = wk.report(models["images"], pairs, figures=figures, nats=nats, verbose=False)
    said = " ".join(page.text().split())
    assert "z tells of the pair 3.20 to 4.50" in said
    assert "z tells of the label of x 0.60 or more" in said


def test_too_few_pairs_say_so(models, sharing) -> None:
    pairs, figures = known(models["images"], 8)
    page = wk.report(models["images"], pairs, figures=figures, nats=NATS, verbose=False)
    assert page.headline.startswith("There are too few held-out pairs")
    assert not page.nothing


def test_the_same_call_gives_the_same_page(models, sharing) -> None:
    pairs, figures = known(models["images"])
    made = [
        wk.report(models["images"], pairs, figures=figures, nats=NATS, verbose=False).html()
        for _ in range(2)
    ]
    assert made[0] == made[1]


def test_a_page_that_cannot_be_written_leaves_what_was_there(
    models, sharing, tmp_path, monkeypatch
) -> None:
    pairs, figures = known(models["images"])
    page = wk.report(models["images"], pairs, figures=figures, nats=NATS, verbose=False)
    path = tmp_path / "page.html"
    path.write_text("before")

    def fail(self, *args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(type(path), "write_text", fail)
    with pytest.raises(OSError, match="disk full"):
        page.write(path)
    monkeypatch.undo()
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


def test_what_is_no_model_or_no_pairs_is_refused(models) -> None:
    pairs, figures = known(models["images"])
    with pytest.raises(ValueError, match="`model` should be a WynerModel"):
        wk.report(object(), pairs)
    with pytest.raises(ValueError, match="`pairs` should be Pairs"):
        wk.report(models["images"], "pairs")
    with pytest.raises(ValueError, match="`train` should be Pairs"):
        wk.report(models["images"], pairs, train=3, figures=figures)
