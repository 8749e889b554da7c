import numpy as np
import pytest

from wyner_keras.sweeps import spread

VALUES = {"a": [0.25, 0.5, 1.0], "b": [0.5, 0.5, 0.5]}


def row(band, seed, value, **more):
    found = {"sweep": "s", "band": band, "label": f"seed {seed}", "seed": seed, "lambda": 0.5}
    return {**found, "seconds": 2.0, "shared_nats": None, "joint_coherence": value, **more}


@pytest.fixture
def listed():
    return [row(band, seed, value) for band in VALUES for seed, value in enumerate(VALUES[band])]


def test_a_summary_has_mean_sample_deviation_and_range_of_what_was_found(listed):
    first, second = spread.summary(listed)
    for found, (band, values) in zip((first, second), VALUES.items(), strict=True):
        assert (found["sweep"], found["band"], found["runs"]) == ("s", band, 3)
        assert found["joint_coherence_mean"] == pytest.approx(np.mean(values))
        assert found["joint_coherence_sd"] == pytest.approx(np.std(values, ddof=1))
        assert (found["joint_coherence_min"], found["joint_coherence_max"]) == (
            *(min(values), max(values)),
        )
        assert found["shared_nats_mean"] is found["shared_nats_sd"] is None
        assert not any(name.startswith(("lambda", "seed_", "label")) for name in found)


def test_one_run_has_no_spread_and_a_figure_that_one_run_lacks_no_mean():
    (found,) = spread.summary([row("a", 0, 0.25)])
    assert (found["joint_coherence_mean"], found["joint_coherence_sd"]) == (0.25, None)
    (found,) = spread.summary([row("a", 0, 0.25), row("a", 1, None)])
    assert found["joint_coherence_mean"] is found["joint_coherence_max"] is None


def test_text_of_runs_ends_with_mean_and_standard_deviation(listed):
    lines = spread.text_of_runs(listed[:3]).splitlines()
    assert lines[1].split()[:2] == ["shared", "nats"]
    assert [" ".join(line.split()[:2]) for line in lines[2:]] == [
        *("seed 0", "seed 1", "seed 2", "mean -", "standard deviation")
    ]
    assert [line.split()[-8] for line in lines[-2:]] == ["0.583", "0.382"]
    assert len({len(line) for line in lines[1:]}) == 1


def test_text_of_bands_has_a_row_a_variant(listed):
    lines = spread.text_of_bands(listed).splitlines()
    assert lines[0] == "mean ± standard deviation over 3 seeds"
    upper, lower = lines[2:5], lines[6:9]
    assert "coherence" in upper[0]
    assert "0.583 ± 0.382" in upper[1]
    assert "0.500 ± 0.000" in upper[2]
    assert [line.split()[0] for line in (*upper[1:], *lower[1:])] == ["a", "b", "a", "b"]
    assert len({len(line) for line in (*upper, *lower)}) <= 2
