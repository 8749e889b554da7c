import numpy as np
import pytest

from experiments.studies import summary

VALUES = {"a": [0.25, 0.5, 1.0], "b": [0.5, 0.5, 0.5]}


def row(group, seed, value, **more):
    settings = {"sweep": "s", "group": group, "label": f"seed {seed}", "seed": seed, "lambda": 0.5}
    return {**settings, "seconds": 2.0, "shared_nats": None, "joint_coherence": value, **more}


@pytest.fixture
def rows():
    return [row(group, seed, value) for group in VALUES for seed, value in enumerate(VALUES[group])]


def test_a_summary_has_mean_sample_deviation_and_range_of_all_results(rows):
    first, second = summary.summarise(rows)
    for summed, (group, values) in zip((first, second), VALUES.items(), strict=True):
        assert (summed["sweep"], summed["group"], summed["runs"]) == ("s", group, 3)
        assert summed["joint_coherence_mean"] == pytest.approx(np.mean(values))
        assert summed["joint_coherence_sd"] == pytest.approx(np.std(values, ddof=1))
        assert (summed["joint_coherence_min"], summed["joint_coherence_max"]) == (
            *(min(values), max(values)),
        )
        assert summed["shared_nats_mean"] is summed["shared_nats_sd"] is None
        assert not any(name.startswith(("lambda", "seed_", "label")) for name in summed)


def test_one_run_has_no_spread_and_a_figure_that_one_run_lacks_no_mean():
    (summed,) = summary.summarise([row("a", 0, 0.25)])
    assert (summed["joint_coherence_mean"], summed["joint_coherence_sd"]) == (0.25, None)
    (summed,) = summary.summarise([row("a", 0, 0.25), row("a", 1, None)])
    assert summed["joint_coherence_mean"] is summed["joint_coherence_max"] is None


def test_text_of_runs_ends_with_mean_and_standard_deviation(rows):
    lines = summary.text_of_runs(rows[:3]).splitlines()
    assert lines[1].split()[:2] == ["shared", "nats"]
    assert [" ".join(line.split()[:2]) for line in lines[2:]] == [
        *("seed 0", "seed 1", "seed 2", "mean -", "standard deviation")
    ]
    assert [line.split()[-8] for line in lines[-2:]] == ["0.583", "0.382"]
    assert len({len(line) for line in lines[1:]}) == 1


def test_text_of_groups_has_a_row_a_variant(rows):
    lines = summary.text_of_groups(rows).splitlines()
    assert lines[0] == "mean ± standard deviation over 3 seeds"
    upper, lower = lines[2:5], lines[6:9]
    assert "coherence" in upper[0]
    assert "0.583 ± 0.382" in upper[1]
    assert "0.500 ± 0.000" in upper[2]
    assert [line.split()[0] for line in (*upper[1:], *lower[1:])] == ["a", "b", "a", "b"]
    assert len({len(line) for line in (*upper, *lower)}) <= 2
