import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest

from wyner_keras.losses.choices import among_strangers, choices, nats_told
from wyner_keras.losses.finding import Seen, find
from wyner_keras.losses.quantities import correlated


def drawn(count, seed, kinds=1, rho=()):
    """Points by side: six columns that tell kinds apart, where there are any, then quantities."""
    rng = np.random.default_rng(seed)
    labels, rho = rng.integers(kinds, size=count), np.array(rho)
    z, sides = rng.normal(size=(count, len(rho))), []
    for side in range(2):
        centres = np.random.default_rng(100 + side).normal(size=(kinds, 6))
        told = centres[labels] * (kinds > 1) + 0.2 * rng.normal(size=(count, 6))
        own = np.sqrt(rho) * z + np.sqrt(1 - rho) * rng.normal(size=(count, len(rho)))
        sides.append(np.concatenate([told, own], axis=1))
    return tuple(sides), labels


def chosen(**what):
    (points, labels), (apart, _) = drawn(3000, 0, **what), drawn(500, 1, **what)
    return choices(points, apart, np.arange(500), 0.1, 0), points, apart, labels


@pytest.mark.parametrize(("kinds", "rho"), [(4, (0.9,)), (3, (0.9, 0.8))])
def test_a_label_beside_quantities_is_told_with_one_kind_a_label(kinds, rho):
    (alone, smooth, best), points, apart, labels = chosen(kinds=kinds, rho=rho)
    assert best.sizes == (kinds, len(rho))
    agree = [np.bincount(best.kinds[labels == label]).max() for label in range(kinds)]
    assert sum(agree) > 0.98 * len(labels)
    assert best.quantities.correlations == pytest.approx(rho, abs=0.04)
    whole = math.log(kinds) - 0.5 * np.log(1 - np.square(rho)).sum()
    assert best.told(points, apart).mean() == pytest.approx(whole, abs=0.15)
    held = math.log(kinds) + np.arctanh(rho).sum()
    assert best.value == pytest.approx(whole - 0.1 * held, abs=0.15)
    assert best.value > max(alone.value, smooth.value) + 0.03
    assert (alone.sizes[1], smooth.sizes[0]) == (0, 1)


def test_a_quantity_in_the_columns_that_tell_kinds_apart_cuts_none_in_two():
    sets = []
    for count, seed in ((3000, 0), (500, 1)):
        points, labels = drawn(count, seed, kinds=8, rho=(0.95,))
        # The quantity moves all columns alike, by as much as the kinds do.
        sets.append((tuple(np.hstack([a[:, :6] + a[:, 6:], a[:, 6:]]) for a in points), labels))
    (points, labels), (apart, _) = sets
    best = choices(points, apart, np.arange(500), 0.1, 0)[2]
    assert best.sizes == (8, 1)
    agree = [np.bincount(best.kinds[labels == label]).max() for label in range(8)]
    assert sum(agree) > 0.98 * len(labels)


def test_a_label_alone_has_no_quantities_inside_it():
    (alone, _, best), points, apart, _ = chosen(kinds=5)
    assert best.sizes == alone.sizes == (5, 0)
    assert best.told(points, apart).mean() == pytest.approx(math.log(5), abs=0.05)


@pytest.mark.parametrize("rho", [(0.8,), (0.9, 0.6)])
def test_quantities_alone_are_of_one_kind(rho):
    (_, smooth, best), points, apart, _ = chosen(rho=rho)
    assert best.sizes == smooth.sizes == (1, len(rho))
    whole = -0.5 * np.log(1 - np.square(rho)).sum()
    assert best.told(points, apart).mean() == pytest.approx(whole, abs=0.1)


@pytest.mark.parametrize(("count", "seed"), [(60, 0), (60, 2), (40, 0)])
def test_a_few_wrong_pairs_join_no_kinds(count, seed):
    """One in twenty of both sets; few pairs to choose by."""
    rng, sets = np.random.default_rng(seed), []
    for size, own in ((1000, seed), (count, 100 + seed)):
        points, _ = drawn(size, own, kinds=8)
        x, y = (side + 0.3 * rng.normal(size=side.shape) for side in points)
        wrong = size // 20 + (size < 100)
        sets.append((x, np.concatenate([np.roll(y[:wrong], 1, axis=0), y[wrong:]])))
    assert choices(*sets, np.arange(count), 0.1, 0)[0].sizes == (8, 0)


def test_a_wrong_pair_takes_off_the_log_of_a_share_at_most():
    right = np.full(95, math.log(10))
    told = among_strangers(np.append(right, np.full(5, -20.0)))
    assert told[0] == pytest.approx(math.log(0.95 * 10 + 0.05))
    assert told[-1] == pytest.approx(math.log(0.05))
    np.testing.assert_array_equal(among_strangers(right), right)


def with_more(points, size, shared, seed):
    """Points with as many dimensions more, a share of whose variance both sides have in common."""
    common, *own = np.random.default_rng(seed).normal(size=(3, len(points[0]), size))
    mixed = (np.sqrt(shared) * common + np.sqrt(1 - shared) * each for each in own)
    sides = zip(points, mixed, strict=True)
    return tuple(np.concatenate([side, 0.4 * more], axis=1) for side, more in sides)


@pytest.mark.parametrize("seed", range(3))
def test_what_experts_know_by_heart_takes_little_off_quantities(seed):
    """Of pairs that they saw all dimensions agree: canonical directions without a ridge turn."""
    rho = (0.9, 0.8, 0.7)
    sets = (drawn(count, seed + count, rho=rho)[0] for count in (400, 200))
    points, apart = (tuple(side[:, 6:] for side in each) for each in sets)
    told = choices(points, apart, np.arange(200), 0.1, 0)[1].told(points, apart).mean()
    points, apart = with_more(points, 16, 0.8, seed), with_more(apart, 16, 0.0, seed + 9)
    smooth = choices(points, apart, np.arange(200), 0.1, 0)[1]
    assert smooth.sizes == (1, 3)
    assert smooth.told(points, apart).mean() > told - 0.25
    assert nats_told(correlated(points, apart).pmi(apart)).mean() < told - 0.4


def test_near_the_most_that_pairs_can_show_quantities_are_told_from_functions_of_others():
    """Of 200 pairs, which show 5.3 nats at most, two or three quantities tell nearly that."""
    points, apart = (drawn(count, count, rho=(0.9995,) * 5)[0] for count in (400, 200))

    def found(points, apart, last_word=True):
        return choices(points, apart, np.arange(200), 0.1, 0, last_word=last_word)[1].sizes

    assert found(points, apart) == (1, 5)
    assert found(points, apart, last_word=False)[1] < 4
    # Of 60 pairs, which show 4.1 nats at most, five of six tell within 1.5 of that.
    rho = (0.99, 0.9, 0.8, 0.7, 0.6, 0.6)
    few = drawn(400, 9, rho=rho)[0], drawn(60, 1, rho=rho)[0]
    sizes = [
        choices(*few, np.arange(60), 0.1, 0, last_word=each)[1].sizes for each in (False, True)
    ]
    assert sizes == [(1, 5), (1, 6)]

    def bent(points):
        """Two quantities, and smooth functions of them."""
        a, b = (points[:, place] for place in (6, 7))
        return np.stack([a, b, a**2, a * b, b**2, np.sin(a)], axis=1)

    points, apart = (tuple(map(bent, each)) for each in (points, apart))
    assert found(points, apart) == (1, 2)


def test_where_nothing_is_shared_nothing_has_a_value():
    for choice in chosen()[0]:
        assert choice.value == pytest.approx(0, abs=0.02)


def test_a_value_is_infonce_less_the_price_of_what_is_held():
    """Of certain kinds InfoNCE is their entropy, as the definition has it."""
    told = nats_told(np.log(np.kron(np.eye(4), np.ones((5, 5))) * 4 + 1e-12))
    np.testing.assert_allclose(told, math.log(4), atol=1e-6)


class Truth:
    """A critic that knows what `drawn` draws."""

    def __init__(self, kinds, rho):
        self.kinds, self.rho = kinds, np.array(rho)

    def pmi(self, *naturals):
        points, labels = [side / 2 for side in naturals], []
        for place, side in enumerate(points):
            centres = np.random.default_rng(100 + place).normal(size=(self.kinds, 6))
            labels.append(np.square(side[:, None, :6] - centres).sum(axis=-1).argmin(axis=1))
        x, y = points[0][:, None, 6:], points[1][:, 6:]
        rest = 1 - self.rho**2
        rows = self.rho * x * y - 0.5 * self.rho**2 * (x**2 + y**2)
        quantities = (rows / rest - 0.5 * np.log(rest)).sum(axis=-1)
        return quantities + np.where(np.equal.outer(*labels), np.log(self.kinds), -20.0)


def seen_by_experts(count, seed, **what):
    """What is drawn, of which experts of precision 1 have these means."""
    naturals = [2 * side for side in drawn(count, seed, **what)[0]]
    return Seen([], naturals, [np.ones(side.shape[1]) for side in naturals], [], 0)


def found(ceiling, **what):
    """What is found where InfoNCE asked for so many nats more than are told."""
    seen, apart = seen_by_experts(1200, 0, **what), seen_by_experts(500, 1, **what)
    critic = Truth(**what)
    told = nats_told(critic.pmi(*apart.naturals)).mean()
    return find(
        seen, apart, np.arange(500), np.arange(500), critic, 0.1, 0, ceiling=told + ceiling
    )[2]


def test_near_the_ceiling_kinds_beside_a_quantity_hold_much_of_what_is_told():
    few, many = {"kinds": 2, "rho": (0.9, 0.9)}, {"kinds": 8, "rho": (0.9, 0.9)}
    both = "kinds and a quantity"
    assert [found(math.inf, **what)["shared"] for what in (few, many)] == [both, both]
    assert found(1.0, **many)["shared"] == both
    wide = found(1.0, **few)
    assert (wide["shared"], wide["dimensions"]) == ("a quantity", 8)


def read_by_experts(count, seed, shared, **what):
    """What is drawn, and values of which experts have directions, with so many shared in them."""
    seen, rng = seen_by_experts(count, seed, **what), np.random.default_rng(seed + 50)
    z, own = rng.normal(size=(count, shared)), rng.normal(size=(2, count, shared))
    return dataclasses.replace(seen, values=list((z + own) / math.sqrt(2)), directions=4)


@pytest.mark.parametrize(("count", "shared", "seed"), [(100, 1, 1), (60, 2, 2)])
def test_chance_is_no_excuse_for_leaving_directions_out(count, shared, seed):
    """Two quantities tell less than the critic with directions, by no more than chance makes it."""
    true, every = {"kinds": 1, "rho": (0.9, 0.9)}, np.arange(count)
    seen, apart = (read_by_experts(*each, shared, **true) for each in ((400, 7), (count, seed)))
    z, _, what, linear, _ = find(seen, apart, every, every, Truth(**true), 0.01, 0)
    assert linear is not None
    assert z.size == what["dimensions"] > 2


@pytest.mark.parametrize("seed", [2, 3])
def test_near_all_that_pairs_can_show_chance_excuses_nothing_of_images(seed):
    """Of other data z is the four quantities that there are."""
    true, every = {"kinds": 1, "rho": (0.95,) * 4}, np.arange(60)

    def size(directions):
        """Of z, where experts have so many directions, of values that tell nothing."""
        sets = []
        for count, own in ((100, seed + 30), (60, seed)):
            values = list(np.random.default_rng(own).normal(size=(2, count, 3)))
            seen = seen_by_experts(count, own, **true)
            sets.append(dataclasses.replace(seen, values=values, directions=directions))
        return find(*sets, every, every, Truth(**true), 0.1, 0)[0].size

    assert (size(0), size(4)) == (4, 10)


class Turned:
    """A critic of angles on the unit circle, of which y's is x's but for an error."""

    def __init__(self, error):
        self.error = error

    def pmi(self, *naturals):
        a, b = (np.arctan2(side[:, 1], side[:, 0]) for side in naturals)
        apart = np.angle(np.exp(1j * np.subtract.outer(a, b))) / self.error
        return math.log(math.sqrt(2 * math.pi) / self.error) - 0.5 * np.square(apart)


@pytest.mark.parametrize("seed", [5, 6])
def test_pieces_of_a_quantity_inside_kinds_are_no_kinds(seed):
    """Of 60 pairs 11 kinds tell as much as 4 and a quantity, and more than the critic."""
    true = {"kinds": 4, "rho": (0.8,)}
    sets = seen_by_experts(800, 0, **true), seen_by_experts(60, seed, **true)
    critic, every = Truth(kinds=4, rho=(0.4,)), np.arange(60)
    z, *_ = find(*sets, every, every, critic, 0.1, 0)
    assert (z.kinds.k, z.quantities.dim) == (4, 1)


@pytest.mark.parametrize(("count", "seed"), [(300, 1), (300, 2), (500, 1)])
def test_pieces_of_an_angle_are_no_kinds(count, seed):
    """Nor where they tell a little more, as of the 500."""
    sets, error, every = [], 0.1, np.arange(count)
    for size, own in ((3000, 0), (count, seed)):
        rng = np.random.default_rng(own)
        x = rng.uniform(0, 2 * np.pi, size)
        angles = (x, x + error * rng.normal(size=size))
        points = [2 * np.stack([np.cos(a), np.sin(a)], axis=1) for a in angles]
        sets.append(Seen([], points, [np.ones(2)] * 2, [], 0))
    z, _, what, *_ = find(*sets, every, every, Turned(error), 0.1, 0)
    # As many kinds would tell as much.
    assert what["kinds"] > 20
    assert what["nats_of_kinds"] > 0.95 * what["nats"]
    assert (what["shared"], z.size) == ("a quantity", 2)


def p_of(rng, groups, rows, shared=None):
    """The p of sides that have a group's own number each, and share inside a group, or by it."""
    of = np.repeat(np.arange(groups), rows)
    x, y = (rng.normal(size=groups)[of] + 0.1 * rng.normal(size=of.size) for _ in "xy")
    if shared == "inside":
        x, y = np.array([x, y]) + rng.normal(size=of.size)
    if shared == "by group":
        y = x + 0.1 * rng.normal(size=of.size)
    apart = Seen([], [x[:, None], y[:, None]], [np.ones(1)] * 2, [], 0)
    critic = SimpleNamespace(pmi=lambda a, b: -np.abs(a - b.T))
    tested = rng.permutation(of.size)
    return find(apart, apart, tested, tested, critic, 0.1, 0, groups=of[tested]).words["p"]


def test_groups_are_exchanged_as_wholes_and_rows_inside_them():
    """Rows of other groups exchanged, every fourth set would share something."""
    rng = np.random.default_rng(0)
    nothing = [p_of(rng, 6, 20) for _ in range(100)]
    assert np.mean(np.array(nothing) <= 0.05) < 0.1
    assert p_of(rng, 3, 40, "inside") <= 0.05
    assert p_of(rng, 12, 10, "by group") <= 0.05
