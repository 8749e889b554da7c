import json
import math

import numpy as np
import pytest

from experiments.theory import contrast


@pytest.mark.slow
def test_the_nats_of_a_gaussian_pair_are_near_its_common_information():
    source = contrast.Pairs("pair", (0.9,))
    nats = contrast.held_nats(source, 0.05, steps=400)
    assert nats == pytest.approx(source.common_information, rel=0.05)
    assert nats > source.mutual_information + 0.3
    assert contrast.held_nats(source, 0.5, steps=400) < nats - 0.2


@pytest.mark.slow
def test_a_label_beside_the_pair_adds_its_entropy():
    source = contrast.Pairs("both", (0.9,), labels=3)
    assert source.common_information == pytest.approx(math.log(3) + math.atanh(0.9))
    nats = contrast.held_nats(source, 0.1, steps=700)
    assert nats == pytest.approx(source.common_information, rel=0.05)
    x, y = source.draw(500, np.random.default_rng(0))
    np.testing.assert_array_equal(x[:, :3], y[:, :3])
    assert x.shape == (500, 4)


def test_a_limit_is_that_of_a_parabola_or_a_line():
    assert contrast.extrapolated({0.1: 0.9, 0.2: 0.8}) == pytest.approx(1.0)
    parabola = {price: 2.0 - price - 3.0 * price**2 for price in (0.05, 0.1, 0.2)}
    assert contrast.extrapolated(parabola) == pytest.approx(2.0)


def test_the_command_writes_what_it_says(eager, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(contrast, "PRICES", (0.1, 0.2))
    out = tmp_path / "contrast.json"
    assert contrast.main(["--out", str(out), "--steps", "2"]) == 0
    rows = json.loads(out.read_text())
    assert [row["source"] for row in rows] == [source.name for source in contrast.SOURCES]
    printed = capsys.readouterr().out
    assert all(row["source"] in printed for row in rows)
    assert contrast.main(["--out", str(out)]) == 2
