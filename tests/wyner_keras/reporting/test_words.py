from dataclasses import replace

import numpy as np
import pytest

from wyner_keras.evaluation import Figure, Misfits, Report
from wyner_keras.evaluation.report import KINDS
from wyner_keras.reporting.blocks import Bars, Table, percent, printable
from wyner_keras.reporting.drawing import pictures_of
from wyner_keras.reporting.findings import Findings
from wyner_keras.reporting.meanings import MEANINGS, grouped, kind_of
from wyner_keras.reporting.rules import advice
from wyner_keras.sweeps import Sweep


def fits(rank=0.01, against=0.0, count=200):
    pmi = np.ones(count)
    pmi[: round(against * count)] = -1
    return Misfits(scores=-pmi, pmi=pmi, ranks=np.full(count, rank), others=200)


def findings(
    figures=None,
    nats=None,
    held=None,
    trained=None,
    shares=None,
    p=None,
    epochs=None,
    intervals=None,
):
    named = {name: Figure(*values) for name, values in (figures or {}).items()}
    sweeps = ()
    if shares is not None:
        sweeps = (Sweep("value", False, ("",) * len(shares), np.eye(2), np.array(shares)),)
    report = Report(
        figures=named,
        counts={},
        seed=0,
        p_values={} if p is None else {"dependence": p},
        intervals=intervals or {},
    )
    return Findings(report, nats or {}, held or fits(), trained, sweeps, epochs or {})


def test_every_kind_of_figure_has_its_sentences() -> None:
    assert set(KINDS) <= set(MEANINGS)
    for meaning in MEANINGS.values():
        assert meaning.means.endswith(".")
        assert meaning.good.startswith("Good: ")


def test_figures_are_known_by_their_kind() -> None:
    assert kind_of("frechet_joint_y") == "frechet_joint"
    assert kind_of("partner_nats") == "partner_nats"
    assert kind_of("unheard_of_x") == "unheard_of_x"


def test_every_figure_is_shown_once_in_the_order_of_the_page() -> None:
    names = [f"recall_{side}" for side in "yx"] + ["new", "partner_nats", "found_first_y"]
    groups = grouped({name: Figure(0.5, 1.0) for name in names})
    rows = [row for group in groups for kind in group.kinds for row in kind.rows]
    assert len(rows) == len(names)
    assert [group.name for group in groups] == [
        "Do the two sides know each other?",
        "Generated from the other side",
        "Other figures",
    ]
    # Both sides of a kind share their sentence.
    assert [len(kind.rows) for group in groups for kind in group.kinds] == [1, 1, 2, 1]
    assert rows[-1][0] == "new"


SMALL = {"diversity_y": (0.2, 1.0), "recall_x": (0.2, 0.9), "reconstruction_x": (0.3, 0.9)}

# What is measured, and words of what is said of it.
FAILURES = {
    "shortened": (
        findings(SMALL, epochs={"codec": 1.0, "joint": 0.004, "flow": 0.25}),
        "shortened to less than 1 % of its recipe (joint less than 1 %, flow 25 % of the epochs)",
    ),
    "nothing": (findings(held=fits(0.5)), "no better than by chance"),
    "nothing in the pairs": (findings(held=fits(0.5), p=0.4), "no better than by chance"),
    "missed": (findings(held=fits(0.5), p=0.002), "a test of the pairs does (p = 0.002)"),
    "few": (findings(held=fits(count=50)), "Only 50 pairs"),
    "few groups": (findings(held=replace(fits(), groups=6, by_groups=4.0)), "only 6 groups"),
    "copies": (
        findings({"memory_joint_y": (0.83, 0.5)}, intervals={"memory_joint_y": (0.7, 0.9)}),
        "Samples of y of joint pairs lie nearer to rows trained on than held-out rows do in 83 %",
    ),
    "one value": (findings(shares=[0.93, 0.07]), "One value of z holds 93 %"),
    "by heart": (
        findings(held=fits(0.2), trained=fits(0.01)),
        "20.0 % in those held out",
    ),
    "wrong pairs": (findings(held=fits(against=0.05)), "5.0 % of the pairs"),
    "too sure": (
        findings(held=replace(fits(against=0.4), temperature=8.0, explained=True)),
        "surer than it should be: in 40.0 % of the pairs",
    ),
    "partner leaks": (
        findings({"leakage_partner_x": (0.4, 0.02), "leakage_z_x": (0.3, 0.02)}),
        "private part of x, u, still tells 0.40 nats of y, where shuffled pairs give 0.02",
    ),
    "z leaks": (
        findings({"leakage_partner_y": (0.03, 0.02), "leakage_z_y": (0.3, 0.02)}),
        "private part of y, v, still tells 0.30 nats of z, where shuffled pairs give 0.02",
    ),
    "unused input": (findings({"fit_y": (0.0, 0.0)}), "no better than another"),
    "varies less": (findings({"diversity_y": (0.2, 1.0)}), "vary less than data: 0.20"),
    "varies more": (findings({"diversity_x": (2.0, 1.0)}), "vary more than real"),
    "hardly varies": (findings({"spread_y": (0.001, 1.0)}), "hardly vary"),
    "precision": (findings({"precision_y": (0.2, 0.9)}), "Precision of generated y is 0.20"),
    "recall": (findings({"recall_x": (0.2, 0.9)}), "Recall of generated x is 0.20"),
    "kept": (findings({"reconstruction_x": (0.3, 0.9)}), "30 % of the variance of x"),
    "codec": (findings({"reconstruction_x": (0.39, 0.4)}), "codec of x itself keeps 40 %"),
    "labels": (findings({"conditional_accuracy_y": (0.5, 0.99)}), "y from x is right in 50 %"),
    "coherence": (findings({"joint_coherence": (0.5, 0.99)}), "50 % of generated pairs"),
    "leak": (
        findings(nats={"h_label": 2.0, "i_label_u_lower": 0.5}),
        "private u tells 0.50 of the label's 2.00",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_failed_is_said_with_what_to_try(name: str) -> None:
    given, words = FAILURES[name]
    found = advice(given)
    assert len(found) == 1
    assert words in found[0][0]
    assert len(found[0][1]) > 20


def test_of_what_went_well_nothing_is_said() -> None:
    well = {
        "fit_y": (0.4, 0.0),
        "diversity_y": (0.9, 1.0),
        "recall_y": (0.7, 0.9),
        "precision_y": (0.9, 0.9),
        "reconstruction_x": (0.9, 0.95),
        "conditional_accuracy_y": (0.98, 0.99),
    }
    # Of 2 nats that are shared, 0.1 are few.
    well |= {"partner_nats": (2.0, 4.0), "leakage_partner_x": (0.12, 0.02)}
    well |= {"leakage_z_x": (0.02, 0.02), "memory_y": (0.55, 0.5)}
    nats = {"h_label": 2.3, "i_label_u_lower": 0.01}
    assert advice(findings(well, nats, trained=fits(), shares=[0.5, 0.5])) == []


def test_of_a_z_that_is_always_the_same_no_use_is_asked_for() -> None:
    silent = replace(fits(0.5), pmi=np.zeros(200), groups=6)
    (found,) = advice(findings({"fit_y": (0.0, 0.0)}, held=silent))
    assert "only 6 groups" in found[0]


def test_pairs_that_share_nothing_are_not_called_wrong() -> None:
    assert len(advice(findings(held=fits(0.5, against=0.5), trained=fits(0.4, 0.5)))) == 1


def test_a_bound_of_nothing_calls_no_pair_wrong() -> None:
    given = findings({"partner_nats": (0.0, 4.0)}, held=fits(against=0.3))
    assert advice(given) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("conditional_accuracy_y", 0.01, "y from x is right in 1 %"), ("diversity_x", 0.02, "0.02")],
)
def test_labels_of_one_pair_that_go_together_are_no_success(name, value, words) -> None:
    figures = {"joint_coherence": (1.0, 0.706), name: (value, 0.9)}
    what, then = advice(findings(figures, epochs={"joint": 0.01}))[1]
    assert what.startswith("That 100 % of generated pairs have labels that go together means not")
    assert words in what
    assert "again and again" in then
    assert not advice(findings({"joint_coherence": (0.7, 0.706), name: (0.9, 0.9)}))


def test_what_a_longer_training_does_not_mend_is_said_of_a_shortened_one_too() -> None:
    given = findings(SMALL, held=fits(count=50), epochs={"joint": 0.1})
    first, *others = (what for what, _ in advice(given))
    assert first.startswith("The training was shortened to 10 %")
    assert [what[:13] for what in others] == ["Only 50 pairs"]


def test_a_training_that_had_most_of_its_epochs_is_not_called_short() -> None:
    assert len(advice(findings(SMALL, epochs={"joint": 0.8}))) == len(SMALL)


def test_blocks_as_text() -> None:
    assert printable("a\x1b[0m\nb") == "a�[0m�b"
    assert percent(0.0256) == "2.6 %"
    table = Table(("name", "n"), [("a", "1"), ("long", "22")], "Caption.")
    assert table.text().splitlines()[2:] == ["name   n", "--------", "a      1", "long  22"]
    bars = Bars([("up", 2.0), ("down", -1.0)], "sd", "change").text().splitlines()
    assert bars[1].count("+") == 1 + 24
    assert bars[2].count("-") == 1 + 12


def test_blocks_as_text_are_aligned_by_what_letters_take_on_a_terminal() -> None:
    table = Table(["of", "value"], [["日本", "東京"], ["size", "1.0"]], "c").text().splitlines()
    assert table[-2:] == ["日本   東京", "size    1.0"]
    bars = Bars([("日本", 1.0), ("height", -1.0)], "sd", "c").text().splitlines()
    assert bars[1].startswith("    日本      +1.00 sd")
    assert bars[2].startswith("    height    -1.00 sd")


@pytest.mark.parametrize(("count", "words"), [(2, "1 other column less"), (3, "2 other columns")])
def test_columns_that_are_left_out_are_counted(count: int, words: str) -> None:
    columns = [{"name": f"c{place}", "kind": "real"} for place in range(count)]
    entry = {"kind": "vector", "shape": [count], "columns": columns}
    rows = np.random.default_rng(0).normal(size=(50, count)).astype("f")
    at_mean = np.tile(rows.mean(axis=0), (3, 1))
    at_mean[:, 0] += 5
    block = pictures_of("x", entry, rows).kind(at_mean, at_mean[:0])
    assert words in block.text()


def test_bars_as_html_lie_on_their_side_of_the_middle() -> None:
    html = Bars([("up", 2.0), ("down", -1.0)], "sd", "change").html()
    assert "left:50.0%;width:50.0%" in html
    assert "left:25.0%;width:25.0%" in html
    assert Bars([], "sd", "change").html()
    assert Bars([("flat", 0.0)], "sd", "change").html()
