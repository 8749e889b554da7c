import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from wyner_keras import Categorical, DiagonalGaussian, Pairs
from wyner_keras.evaluation import Misfits, misfits


class Engine:
    """Posteriors as a function of the values themselves."""

    batch_size = 64

    def __init__(self, latent, read) -> None:
        self.latent_entries, self.read = {"z": latent.describe()}, read

    def posteriors(self, values, side):
        return self.run_graph(f"posterior_{side}_z", {side: values})

    def run_graph(self, name, inputs):
        (values,) = inputs.values()
        assert name == f"posterior_{next(iter(inputs))}_z"
        return [np.asarray(each, np.float32) for each in self.read(values)]


def sure(values):
    """The kind is the first column, read with the second as how sure it is."""
    kinds = np.eye(4)[values[:, 0].astype(int)]
    return [values[:, 1:] * kinds + (1 - values[:, 1:]) / 4]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def mixed(rng, n=400):
    """Right pairs, wrong ones, and odd ones: of x nothing can be read."""
    kinds = rng.integers(4, size=n)
    wrong, odd = np.arange(n) < 20, (np.arange(n) >= 20) & (np.arange(n) < 60)
    x = np.stack([kinds, np.where(odd, 0.0, 0.9)], axis=1)
    y = np.stack([np.where(wrong, (kinds + 1) % 4, kinds), np.full(n, 0.9)], axis=1)
    x, y = (values + [0, 1e-6] * rng.random((n, 1)) * [[0, -1]] for values in (x, y))
    return Pairs(np.maximum(x, 0), y), wrong, odd


def test_wrong_pairs_come_before_odd_ones(rng) -> None:
    pairs, wrong, odd = mixed(rng)
    found = misfits(Engine(Categorical(n=1, k=4), sure), pairs)
    assert roc_auc_score(wrong, found.scores) == 1
    assert set(found.order[:20]) == set(np.flatnonzero(wrong))
    # Of an odd row nothing is expected: from its side it scores 0, from its partner's a little.
    assert found.scores[odd].max() < 0.5 * found.scores[wrong].min()
    assert found.pmi[odd] == pytest.approx(0, abs=1e-4)
    assert found.against == pytest.approx(20 / 400)


def test_scores_are_the_expected_less_the_own_information(rng) -> None:
    """Two kinds read rightly with 0.9: pmi is log 1.64 of equal ones, log 0.36 of others."""
    kinds = np.repeat([0, 1], 40)
    values = np.stack([kinds, np.full(80, 0.8)], axis=1) + 1e-7 * rng.random((80, 2))

    def two(values):
        kind, certainty = values[:, 0].astype(int), values[:, 1:]
        return [certainty * np.eye(2)[kind] + (1 - certainty) / 2]

    swapped = np.arange(80)
    swapped[[0, 40]] = 40, 0
    pairs = Pairs(values, values + 1e-9, np.stack([np.arange(80), swapped], axis=1))
    found = misfits(Engine(Categorical(n=1, k=2), two), pairs)
    equal, other = np.log(1.64), np.log(0.36)
    expected = (1.64 * equal + 0.36 * other) / 2
    assert found.pmi[[0, 1]] == pytest.approx([other, equal], abs=1e-4)
    assert found.scores[[0, 1]] == pytest.approx([expected - other, expected - equal], abs=1e-4)
    # Of a right pair half of the strangers fit as well: ties count by half.
    assert found.ranks[[0, 1]] == pytest.approx([59.5 / 79, 19.5 / 79])
    assert found.spread == pytest.approx(1 / 16, abs=1e-4)
    assert found.expected_against == pytest.approx(0.36 / 2, abs=1e-4)
    assert found.others == 80


def test_a_rare_kind_is_as_significant_as_it_is() -> None:
    """Where one kind has nine in ten, most strangers fit as well as the partner."""
    kinds = (np.arange(300) % 10 == 0).astype(int)
    values = np.stack([kinds, np.arange(300)], axis=1).astype(float)
    read = lambda values: [0.98 * np.eye(2)[values[:, 0].astype(int)] + 0.01]  # noqa: E731
    engine = Engine(Categorical(n=1, k=2), read)
    found = misfits(engine, Pairs(values, values))
    assert found.ranks.mean() > 0.4
    assert found.significance > 3
    strangers = Pairs(
        values, values, np.stack([np.arange(300), np.roll(np.arange(300), 3)], axis=1)
    )
    assert abs(misfits(engine, strangers).significance) < 3


def test_a_share_that_is_expected_is_none_above_1() -> None:
    """Where all strangers speak against each other, and strongly, rounding adds up."""
    expected = []
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(size=(2, 40, 4))
        x, y = noise + 27 * np.eye(4)[[0, 2], None]
        engine = Engine(Categorical(n=1, k=4), lambda values: [softmax(values, axis=1)])
        expected.append(misfits(engine, Pairs(x, y)).expected_against)
    assert max(expected) <= 1
    assert min(expected) > 0.999


def test_quantities_are_ranked_too(rng) -> None:
    z = rng.normal(size=(300, 1))
    x, y = (z + 0.1 * rng.normal(size=(300, 1)) for _ in "xy")
    index = np.stack([np.arange(300)] * 2, axis=1)
    index[:15, 1] = np.roll(np.argsort(z[:15, 0]), 7)[np.argsort(np.argsort(z[:15, 0]))]
    read = lambda values: [0.99 * values, np.full(values.shape, np.log(0.02))]  # noqa: E731
    wrong = np.arange(300) < 15
    found = misfits(Engine(DiagonalGaussian(dim=1), read), Pairs(x, y, index), others=100)
    assert roc_auc_score(wrong, found.scores) > 0.95
    assert found.others == 100


@pytest.mark.parametrize("sure", [1, 400])
def test_right_pairs_that_a_model_too_sure_speaks_against_are_explained(rng, sure) -> None:
    z = rng.normal(size=(300, 2))
    x, y = (z + 0.2 * rng.normal(size=z.shape) for _ in "xy")
    variance = np.full(z.shape, np.log(0.04 / 1.04 / sure))
    read = lambda values: [values / 1.04, variance[: len(values)]]  # noqa: E731
    found = misfits(Engine(DiagonalGaussian(dim=2), read), Pairs(x, y))
    assert (found.surplus, found.explained) == (sure > 1, sure > 1)
    assert found.temperature == 1 if sure == 1 else found.temperature > 8
    assert found.against > 0.5 or sure == 1


def test_wrong_pairs_are_not_explained(rng) -> None:
    kinds = rng.integers(4, size=400)
    wrong = np.arange(400) < 30
    x, y = (np.stack([each, np.full(400, 0.99)], 1) for each in (kinds, (kinds + wrong) % 4))
    x, y = (values - [0, 1e-6] * rng.random((400, 1)) for values in (x, y))
    found = misfits(Engine(Categorical(n=1, k=4), sure), Pairs(x, y))
    assert found.surplus
    assert not found.explained
    assert found.temperature <= 2


def test_pairs_that_share_nothing_are_as_far_from_chance_as_chance_is(rng) -> None:
    """Over 200 shuffled sets the significance is a standard normal, or narrower."""
    found = []
    engine = Engine(Categorical(n=1, k=4), sure)
    for _ in range(200):
        x, y = (
            np.stack([rng.integers(4, size=60), 0.9 - 0.5 * rng.random(60)], axis=1) for _ in "xy"
        )
        found.append(misfits(engine, Pairs(x, y), others=40).significance)
    assert np.mean(np.abs(found) > 2) < 0.08
    assert np.mean(np.abs(found) > 3) < 0.01
    assert abs(np.mean(found)) < 0.25


def test_pairs_that_share_are_far_from_chance(rng) -> None:
    kinds = rng.integers(4, size=60)
    x, y = (np.stack([kinds, 0.9 - 0.5 * rng.random(60)], axis=1) for _ in "xy")
    assert misfits(Engine(Categorical(n=1, k=4), sure), Pairs(x, y)).significance > 5


def test_rows_in_many_pairs_are_read_once(rng) -> None:
    seen = []

    def read(values):
        seen.append(len(values))
        return sure(values)

    x = np.stack([np.arange(4), np.full(4, 0.9)], axis=1)
    index = np.stack([np.arange(40) % 4] * 2, axis=1)
    misfits(Engine(Categorical(n=1, k=4), read), Pairs(x, np.add(x, [0, 0.01]), index))
    assert seen == [4, 4]


def test_what_cannot_be_scored_is_refused(rng) -> None:
    pairs, *_ = mixed(rng)
    with pytest.raises(ValueError, match="`pairs` should be Pairs"):
        misfits(Engine(Categorical(n=1, k=4), sure), [pairs])
    with pytest.raises(ValueError, match=r"`model` should be a W-model.*Received"):
        misfits(object(), pairs)
    with pytest.raises(ValueError, match="`others`"):
        misfits(Engine(Categorical(n=1, k=4), sure), pairs, others=0)


def test_order_is_stable() -> None:
    scores = np.array([1.0, 3.0, 1.0, 2.0])
    found = Misfits(scores=scores, pmi=-scores, ranks=scores / 4, others=9)
    assert found.order.tolist() == [1, 3, 0, 2]


def grouped(rng, groups, rows, *, inside):
    """Pairs whose sides have a group's own number each, and maybe share one inside the group."""
    of = np.repeat(np.arange(groups), rows)
    x, y = (rng.normal(size=groups)[of] + 0.1 * rng.normal(size=of.size) for _ in "xy")
    if inside:
        shared = rng.normal(size=of.size)
        x, y = x + shared, y + shared
    return Pairs(x[:, None], y[:, None], groups=of)


def close(values):
    """Posteriors of a model that takes x and y for much alike."""
    return [0.9 * values, np.full(values.shape, np.log(0.2))]


def test_pairs_of_groups_that_share_nothing_are_no_further_from_chance(rng) -> None:
    """Counted by rows, one set in eight would be far from chance."""
    engine = Engine(DiagonalGaussian(dim=1), close)
    sets = [grouped(rng, 8, 15, inside=False) for _ in range(60)]
    found = [misfits(engine, pairs) for pairs in sets]
    alone = [misfits(engine, Pairs(*pairs.arrays())) for pairs in sets]
    assert {each.groups for each in found} == {8}
    assert np.mean([each.significance > 3 for each in alone]) > 0.1
    assert np.mean([each.significance > 3 for each in found]) < 0.05
    assert np.mean([each.significance > 2 for each in found]) < 0.1


def test_what_is_shared_inside_groups_or_by_groups_is_found(rng) -> None:
    engine = Engine(DiagonalGaussian(dim=1), close)
    assert misfits(engine, grouped(rng, 6, 20, inside=True)).significance > 3
    of = np.repeat(np.arange(40), 10)
    values = (rng.normal(size=40)[of] + 0.1 * rng.normal(size=(2, 400)))[:, :, None]
    by_group = Pairs(*values, groups=of)
    assert misfits(engine, by_group).significance > 3
    assert misfits(engine, by_group.select(of < 4)).significance < 3


def test_pairs_of_one_row_count_once(rng) -> None:
    """Two rows of y, each with a hundred x near to it: one set in two would look like this."""
    y = np.array([[-1.0], [1.0]])
    index = np.stack([np.arange(200), np.arange(200) % 2], axis=1)
    pairs = Pairs(y[index[:, 1]] + 0.1 * rng.normal(size=(200, 1)), y, index)
    found = misfits(Engine(DiagonalGaussian(dim=1), close), pairs)
    assert found.rows == 2
    assert found.ranks.mean() < 0.2
    assert found.significance < 3
