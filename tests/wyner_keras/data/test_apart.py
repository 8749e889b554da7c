import numpy as np
import pytest

from wyner_keras.data import Pairs
from wyner_keras.data.apart import pairs_apart


def linked(pairs: Pairs, chosen: np.ndarray) -> np.ndarray:
    """Lots by brute force: the smallest pair that a pair can be reached from."""
    keys = [pairs.index[:, 0], pairs.index[:, 1]]
    if pairs.groups is not None:
        keys.append(np.unique(pairs.groups, return_inverse=True)[1])
    lots = np.arange(len(pairs))
    for _ in range(len(pairs)):
        for key in keys:
            for value in np.unique(key):
                lots[key == value] = lots[key == value].min()
    return lots[chosen]


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(60, 2))


def test_one_pair_of_each_lot(rows) -> None:
    rng = np.random.default_rng(1)
    index = np.stack([rng.integers(60, size=70), rng.permutation(np.arange(70) % 60)], axis=1)
    for groups in (None, rng.integers(1000, size=70)):
        pairs = Pairs(rows, rows, index, groups=groups)
        chosen = pairs_apart(pairs, seed=2)
        lots = linked(pairs, chosen)
        assert len(np.unique(lots)) == len(lots)
        assert set(lots) == set(linked(pairs, np.arange(70)))


def test_a_row_on_both_sides_links_nothing(rows) -> None:
    """As among pairs (n, n + 1) of one set of images."""
    index = np.stack([np.arange(60), np.roll(np.arange(60), 7)], axis=1)
    assert sorted(pairs_apart(Pairs(rows, rows, index))) == list(range(60))


def test_of_two_pairs_of_the_same_rows_one_is_drawn(rows) -> None:
    """(a, b) and (b, a) say the same, which shuffled partners do not."""
    index = np.stack([np.arange(60), np.arange(60) ^ 1], axis=1)
    chosen = pairs_apart(Pairs(rows, rows, index))
    assert sorted(chosen // 2) == list(range(30))
    assert len(pairs_apart(Pairs(rows, rows.copy(), index))) == 60


def test_the_draw_is_by_seed_and_at_most_what_is_asked_for(rows) -> None:
    pairs = Pairs(rows, rows, groups=np.arange(60) // 2)
    drawn = [pairs_apart(pairs, seed=seed) for seed in (0, 0, 1)]
    assert [len(each) for each in drawn] == [30] * 3
    assert (drawn[0] == drawn[1]).all()
    assert set(drawn[0]) != set(drawn[2])
    assert len(pairs_apart(pairs, rows=25)) == 25


def test_too_few_apart_are_refused(rows) -> None:
    with pytest.raises(ValueError, match=r"20 pairs or more no two .*Received: 60 Pairs.* 12 of"):
        pairs_apart(Pairs(rows, rows, groups=np.arange(60) % 12))
