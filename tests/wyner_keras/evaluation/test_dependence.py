"""Level and power at full size are benchmarks/dependence.py's; here are smaller sets."""

import numpy as np
import pytest

import wyner_keras as wk
from wyner_keras.data import Pairs
from wyner_keras.evaluation import dependence_test

FEW = {"permutations": 99}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def rejected(make, sets: int, **settings) -> float:
    """Share of the sets of pairs whose p value is at most 0.05."""
    found = [
        dependence_test(make(), seed=seed, permutations=39, **settings) for seed in range(sets)
    ]
    return float(np.mean([each.p_value <= 0.05 for each in found]))


def test_false_alarms_are_one_in_twenty(rng) -> None:
    def heavy() -> Pairs:
        return Pairs(rng.standard_cauchy((60, 3)), rng.exponential(size=(60, 40)) ** 3)

    def counts() -> Pairs:
        return Pairs(rng.poisson(0.5, (60, 2)), rng.integers(2, size=(60, 1)).astype(float))

    for make in (heavy, counts):
        assert rejected(make, 200) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def clustered(rng, shared: float) -> Pairs:
    """Twenty-five persons, six pairs of each, whose x and y are the person's own."""
    x, y = rng.normal(size=(2, 25, 1, 2)) + shared * rng.normal(size=(25, 1, 2))
    x, y = (np.repeat(each, 6, axis=1) + 0.1 * rng.normal(size=(25, 6, 2)) for each in (x, y))
    return Pairs(x.reshape(-1, 2), y.reshape(-1, 2), groups=np.repeat(np.arange(25), 6))


def test_groups_are_respected(rng) -> None:
    """Pairs of a person are alike: exchanged one by one they would seem to depend."""
    assert rejected(lambda: clustered(rng, 0), 100) < 0.12
    assert rejected(lambda: clustered(rng, 3), 10) > 0.8

    def ungrouped() -> Pairs:
        pairs = clustered(rng, 0)
        return Pairs(pairs.x, pairs.y)

    assert rejected(ungrouped, 20) > 0.5


def test_rows_that_are_used_again_are_respected(rng) -> None:
    def crossed() -> Pairs:
        """Two x of one thing and three y of it, all six pairs of them, 25 things."""
        x, y = (
            np.repeat(rng.normal(size=(25, 2)), copies, axis=0)
            + 0.1 * rng.normal(size=(25 * copies, 2))
            for copies in (2, 3)
        )
        index = [[2 * i + a, 3 * i + b] for i in range(25) for a in range(2) for b in range(3)]
        return Pairs(x, y, index)

    assert dependence_test(crossed(), **FEW).pairs == 25
    assert rejected(crossed, 100) < 0.12
    some = Pairs(rng.normal(size=(5, 1)), rng.normal(size=(60, 1)), np.c_[np.arange(60) % 5, :60])
    with pytest.raises(ValueError, match=r"no two of which are linked by a row.*, 5 of them"):
        dependence_test(some)


def test_dependence_without_correlation_is_found(rng) -> None:
    x = rng.normal(size=(400, 5))
    y = rng.normal(size=(400, 5))
    y[:, 3] += x[:, 1] ** 2
    assert abs(np.corrcoef(x[:, 1], y[:, 3])[0, 1]) < 0.2
    found = dependence_test(Pairs(x, y), **FEW)
    assert found.p_value == 0.01
    assert found.statistic > found.critical
    angle = rng.uniform(0, 2 * np.pi, (400, 1))  # a circle
    ring = Pairs(np.cos(angle), np.sin(angle) + 0.1 * rng.normal(size=(400, 1)))
    assert dependence_test(ring, **FEW).p_value == 0.01


def test_kinds_of_data(rng) -> None:
    """Images beside series, and columns of every kind with values missing."""
    label = rng.integers(3, size=200)
    images = 0.2 * rng.random((200, 12, 12, 3)) + 0.2 * label[:, None, None, None]
    series = rng.normal(size=(200, 9, 2)) + label[:, None, None]
    assert dependence_test(Pairs(images, series), **FEW).p_value == 0.01
    assert dependence_test(Pairs(images, series, np.c_[:200, rng.permutation(200)])).p_value > 0.01
    vector = wk.Vector(kinds=("categorical", "count", "binary"), categories=(3, 0, 0), missing=True)
    x = np.stack([label, rng.poisson(3, 200), np.zeros(200)], axis=1).astype(float)
    x[rng.random(x.shape) < 0.1] = np.nan
    mixed = Pairs(x, series, x_modality=vector)
    assert dependence_test(mixed, **FEW).p_value == 0.01


def test_result_is_frozen_seeded_and_of_at_most_the_rows_asked_for(rng) -> None:
    pairs = Pairs(*rng.normal(size=(2, 300, 3)))
    found = [dependence_test(pairs, rows=120, seed=seed, **FEW) for seed in (4, 4, 5)]
    assert found[0] == found[1] != found[2]
    assert (found[0].pairs, found[0].permutations) == (120, 99)
    with pytest.raises(AttributeError):
        found[0].p_value = 0.0  # type: ignore[misc]


def test_bad_arguments_are_refused(rng) -> None:
    pairs = Pairs(*rng.normal(size=(2, 30, 1)))
    for given, message in (
        ({"permutations": 5}, "`permutations` should be at least 19. Received: 5"),
        ({"rows": 3}, "`rows` should be at least 20. Received: 3"),
        ({"seed": -1}, "`seed` should be at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            dependence_test(pairs, **given)
    with pytest.raises(ValueError, match=r"`pairs` should be Pairs\. Received: an array"):
        dependence_test(np.zeros((30, 2)))  # type: ignore[arg-type]
