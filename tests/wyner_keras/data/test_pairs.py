"""Pairs: what is refused at the door, gathering, subsets, what is held out."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wyner_keras.data import ArrayRows, Facts, LabelledImages, Pairs, Subset, label_map
from wyner_keras.modality import Image, Series, Vector


def _images(n: int, seed: int = 0, shape=(3, 2, 1)) -> np.ndarray:
    return np.random.default_rng(seed).random((n, *shape), np.float32)


def _set(n: int, seed: int) -> LabelledImages:
    return LabelledImages(_images(n, seed), np.random.default_rng(seed).integers(0, 4, n))


@pytest.fixture
def pairs() -> Pairs:
    index = np.stack([np.arange(11) % 5, np.arange(11) % 7], 1)
    return Pairs(_set(5, 0), _set(7, 1), index)


def test_row_i_goes_with_row_i_where_no_index_says_otherwise():
    x, y = _images(4), np.arange(8.0).reshape(4, 2)
    pairs = Pairs(x, y)
    assert pairs.index.tolist() == [[n, n] for n in range(4)]
    assert not pairs.index.flags.writeable
    for found, expected in zip(pairs.arrays(), (x, y), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_arrays_and_labels_gather_by_index(pairs):
    x, y = pairs.arrays()
    for row, (i, j) in enumerate(pairs.index):
        np.testing.assert_array_equal(x[row], pairs.x.array[i])
        np.testing.assert_array_equal(y[row], pairs.y.array[j])
        assert pairs.x_labels[row] == _set(5, 0).labels[i]
        assert pairs.y_labels[row] == _set(7, 1).labels[j]
    x[:] = 0  # a copy
    assert pairs.x.array.any()


def test_one_object_is_one_store():
    x = _images(4)
    same = Pairs(x, x, x_labels=list("abca"))
    assert same.stores[0] is same.stores[1]
    assert same.y_labels.tolist() == list("abca")
    assert Pairs(x, x.copy()).x is not Pairs(x, x.copy()).y
    images = _set(4, 0)
    assert Pairs(images, images).x is Pairs(images, _set(4, 1)).x is images.rows


def test_index_is_its_own(pairs):
    index = np.array([[0, 1], [2, 3]])
    made = Pairs(pairs.x, pairs.y, index)
    index[:] = 99
    assert made.index.tolist() == [[0, 1], [2, 3]]
    assert made.index.dtype == np.int64


@pytest.mark.parametrize(
    ("array", "modality"),
    [
        (_images(4), Image(shape=(3, 2, 1))),
        ((_images(4, shape=(27, 31)) * 255).astype("uint8"), Image(shape=(27, 31, 1))),
        (_images(4, shape=(5, 3)), Series(shape=(5, 3))),
        (_images(4, shape=(2,)), Vector(kinds=("real", "real"))),
        (np.arange(8).reshape(4, 2), Vector(kinds=("count", "count"))),
        (np.eye(4) > 0, Vector(kinds=("binary",) * 4)),
        # A constant column carries nothing and harms nothing.
        (np.eye(4) * [[1, 1, 0, 0]], Vector(kinds=("real",) * 4)),
    ],
)
def test_modalities_are_told_from_shape_and_dtype(array, modality):
    pairs = Pairs(array, array)
    assert pairs.modalities == (modality, modality)
    assert pairs.x.shape == modality.shape
    assert np.shares_memory(pairs.x.array, array)


def test_facts():
    x = _images(6)
    facts = Pairs(x, np.eye(6), [[0, 1], [1, 2], [5, 5]], x_labels=list("abbbba")).facts()
    assert facts == Facts(
        pairs=3,
        rows=(6, 6),
        modalities=(Image(shape=(3, 2, 1)), Vector(kinds=("real",) * 6)),
        same_store=False,
        classes=2,
    )
    facts = Pairs(x, x).facts()
    assert (facts.classes, facts.same_store) == (None, True)


def test_missing_values_are_for_a_modality_that_says_so():
    x = np.array([[1.0, np.nan], [2.0, 3.0]])
    pairs = Pairs(x, x, x_modality=Vector(kinds=("real", "real"), missing=True))
    assert np.isnan(pairs.arrays()[0]).sum() == 1


def test_columns_that_never_vary_are_named(caplog):
    x = np.random.default_rng(0).normal(size=(30, 3))
    x[:, 1] = 2.5
    names = ("age", "site", "dose")
    Pairs(x, x[::-1], x_modality=Vector.of(x, names=names))
    messages = [record.getMessage() for record in caplog.records]
    expected = "columns of %s that are always the same, and tell nothing: ['%s']"
    assert messages == [expected % ("x", "site"), expected % ("y", "1")]
    caplog.clear()
    Pairs(x[:, ::2], x[:, ::2])
    assert not caplog.records


def test_a_value_far_beyond_its_column_is_named(caplog):
    x = np.random.default_rng(0).normal(size=(30, 3))
    x[:, 2] = np.exp(3 * x[:, 2])  # heavy tails are none
    Pairs(x, x)
    assert not caplog.records
    x[7, 1] = 1e30
    Pairs(x, x[:, :1], x_modality=Vector.of(x, names=("age", "dose", "rent")))
    (record,) = caplog.records
    expected = "columns of x with values far beyond all others: 'dose' (1e+30 in row 7)"
    assert record.getMessage() == expected


def test_a_value_far_beyond_what_is_known_of_its_column_is_named(caplog):
    x = np.random.default_rng(0).normal(5e8, 1, size=(40, 2))
    x[::3, 0] = x[:30, 1] = np.nan
    vector = Vector.of(x, missing=True)
    Pairs(x, x, x_modality=vector, y_modality=vector)
    assert not caplog.records
    x[7, 0] = 1.0
    Pairs(x, x[::-1], x_modality=vector, y_modality=vector)
    named = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert named == ["'0' (1 in row 7)", "'0' (1 in row 32)"]


TAILED = {
    "log-normal": lambda rng, n: np.exp(8 + 1.2 * rng.normal(size=n)),
    "log-normal with a heavier tail": lambda rng, n: np.exp(
        8 + rng.normal(size=n) + 0.3 * rng.standard_t(3, n)
    ),
    "Pareto": lambda rng, n: 1 + rng.pareto(1.5, n),
}
UNTAILED = {
    "normal": lambda rng, n: 5 + rng.normal(size=n),
    "uniform": lambda rng, n: rng.random(n),
    "exponential": lambda rng, n: rng.exponential(3.0, n),
    "t of 3 degrees": lambda rng, n: 20 + rng.standard_t(3, n),
    "half normal": lambda rng, n: np.abs(rng.normal(size=n)),
    "log-normal, negative too": lambda rng, n: np.exp(1.2 * rng.normal(size=n)) - 0.3,
}


@pytest.mark.parametrize("draw", TAILED.values(), ids=TAILED)
def test_a_column_over_orders_of_magnitude_is_told_of(draw, caplog):
    rng = np.random.default_rng(0)
    income = draw(rng, 600)
    x = np.stack([rng.normal(size=600), income, np.log(income)], axis=1)
    Pairs(x, x[:, :1], x_modality=Vector.of(x, names=("age", "income", "log")))
    (record,) = caplog.records
    said = "columns of x that are very skewed, and nowhere negative: 'income' (median "
    assert record.getMessage().startswith(f"{said}{np.median(income):.5g}, ")
    assert "'age'" not in record.getMessage()
    assert "logarithms" in record.getMessage()
    assert "docs/faq.md" in record.getMessage()


@pytest.mark.parametrize("count", [20, 50, 100, 600, 3000])
def test_hardly_any_other_column_is_told_of(count, caplog):
    rng = np.random.default_rng(count)
    x = np.concatenate(
        [np.stack([draw(rng, count) for _ in range(100)], 1) for draw in UNTAILED.values()], 1
    )
    Pairs(x, x[:, :1])
    told = [r.getMessage() for r in caplog.records if "skewed" in r.getMessage()]
    # 600 columns; of three or fewer all are named.
    assert sum(message.count("median") for message in told) <= 2


def test_a_column_with_a_value_below_0_far_down_is_not_told_of(monkeypatch, caplog):
    monkeypatch.setattr("wyner_keras.data.rows._BLOCK", 2400)
    x = np.exp(2 * np.random.default_rng(0).normal(size=(300, 1)))
    Pairs(x, x)
    assert len(caplog.records) == 1
    caplog.clear()
    x[-1] = -0.1
    Pairs(x, np.log(1 + x))
    assert not caplog.records


@pytest.mark.parametrize(("rows", "labels", "said"), [(99, 20, 0), (200, 30, 0), (99, 21, 1)])
def test_labels_that_hardly_occur_again_are_told_of(rows, labels, said, caplog):
    x = np.random.default_rng(0).normal(size=(rows, 2))
    numbers = np.arange(rows) % labels
    Pairs(x, -x, x_labels=[f"person {n}" for n in numbers], y_labels=numbers)
    assert [
        f"{labels} different ones in {rows} rows" in r.getMessage() for r in caplog.records
    ] == [True] * said


def test_a_column_over_orders_of_magnitude_may_hold_zeros(caplog):
    rng = np.random.default_rng(0)
    income = np.where(rng.random(600) < 0.4, 0, np.exp(2 * rng.normal(size=600)))
    half_normal = np.where(rng.random(600) < 0.4, 0, np.abs(rng.normal(size=600)))
    x = np.stack([half_normal, income, np.log1p(income)], axis=1)
    Pairs(x, x[:, :1], x_modality=Vector.of(x, names=("grams", "income", "log")))
    (record,) = caplog.records
    median = np.median(income[income > 0].astype(np.float32))
    assert f"nowhere negative: 'income' (median {median:.5g}" in record.getMessage()
    assert "'grams'" not in record.getMessage()


def test_take_is_a_random_subset_by_seed(pairs):
    some = pairs.take(6, seed=3)
    rows = [tuple(row) for row in some.index]
    assert len(set(rows)) == 6
    assert set(rows) <= {tuple(row) for row in pairs.index}
    np.testing.assert_array_equal(some.index, pairs.take(6, seed=3).index)
    assert not np.array_equal(some.index, pairs.take(6, seed=4).index)
    assert some.x is pairs.x


def test_what_take_draws_never_changes():
    images = LabelledImages(_images(200), np.arange(200) * 7 % 10)
    some = label_map(images, lambda n: 9 - n, seed=3).take(11, seed=4)
    assert hashlib.sha256(some.index.tobytes()).hexdigest()[:16] == "c9ac9e2b0cc41f9e"


def test_select_keeps_stores_labels_and_groups():
    pairs = Pairs(_images(4), np.eye(4), x_labels=list("abcd"), groups=[0, 0, 1, 1])
    some = pairs.select([3, 0])
    assert some.index.tolist() == [[3, 3], [0, 0]]
    assert (some.x_labels.tolist(), some.groups.tolist()) == (["d", "a"], [1, 0])
    assert some.stores == pairs.stores
    assert len(pairs.select(np.array([True, False, False, False]))) == 1


def test_pairs_are_shown_in_one_line(pairs):
    y = "7 images of shape (3, 2, 1), classes 0, 1, 2, 3"
    assert repr(pairs).startswith("Pairs(11 pairs, x=5 images of shape (3, 2, 1), classes ")
    assert repr(pairs).endswith(f"; y={y})")
    again = _set(7, 1)
    assert repr(Pairs(again, again)) == f"Pairs(7 pairs, x={y}; y=x)"
    bare = Pairs(_images(2), np.eye(2), x_labels=range(2))
    assert repr(bare) == (
        "Pairs(2 pairs, x=2 images of shape (3, 2, 1), classes 0, 1; y=2 vectors of shape (2,))"
    )


# What is held out


def _check_apart(whole, train, held_out):
    """The two hold every pair once, as before, and no row of one can be reached from the other."""
    parts = (train, held_out)
    assert sum(map(len, parts)) == len(whole)
    seen = {
        tuple(np.concatenate([x.ravel(), y.ravel()]).tolist())
        for part in parts
        for x, y in zip(*part.arrays(), strict=True)
    }
    for x, y in zip(*whole.arrays(), strict=True):
        assert tuple(np.concatenate([x.ravel(), y.ravel()]).tolist()) in seen
    for side in (0, 1):
        of_train, of_held_out = (
            {row.tobytes() for row in part.stores[side].take(np.arange(len(part.stores[side])))}
            for part in parts
        )
        assert not of_train & of_held_out


@settings(deadline=None, max_examples=40)
@given(st.data(), st.booleans(), st.floats(0.05, 0.9), st.integers(0, 9))
def test_split_shares_no_row_and_no_group(data, same, fraction, seed):
    x = np.random.default_rng(0).random((12, 1))
    y = x if same else np.random.default_rng(1).random((12, 1))
    rows = st.tuples(st.integers(0, 11), st.integers(0, 11))
    index = np.array(data.draw(st.lists(rows, min_size=2, max_size=12)))
    groups = data.draw(st.none() | st.lists(st.sampled_from("abcdef"), min_size=12, max_size=12))
    groups = None if groups is None else groups[: len(index)]
    whole = Pairs(x, y, index, groups=groups, x_labels=np.arange(12))
    try:
        train, held_out = whole.split(fraction, seed)
    except ValueError as error:
        assert "share no row and no group" in str(error)
        return
    assert min(len(train), len(held_out)) > 0
    _check_apart(whole, train, held_out)
    if groups is not None:
        assert not set(train.groups) & set(held_out.groups)
    for part in (train, held_out):
        # Labels stay with their rows.
        np.testing.assert_array_equal(x[part.x_labels].astype("f"), part.arrays()[0])
        assert (part.x is part.y) == same
    np.testing.assert_array_equal(whole.split(fraction, seed)[1].arrays(), held_out.arrays())


def test_split_holds_out_its_share_and_leaves_singles_to_train_on():
    x, y = _images(52), _images(50, seed=1)
    pairs = Pairs(x, y, np.repeat(np.arange(50)[:, None], 2, axis=1))
    train, held_out = pairs.split(0.2, seed=0)
    assert (len(train), len(held_out)) == (40, 10)
    assert (len(train.x), len(train.y), len(held_out.x)) == (42, 40, 10)
    assert isinstance(train.x, Subset)
    assert not np.array_equal(held_out.arrays()[0], pairs.split(0.2, seed=1)[1].arrays()[0])
    # Of a part, parts.
    again, rest = train.split(0.5, seed=0)
    _check_apart(train, again, rest)
    assert [len(part) for part in Pairs(x[:2], y[:2]).split()] == [1, 1]


def test_groups_are_held_out_whole():
    faces = np.repeat(np.arange(10), 7)
    pairs = Pairs(_images(70), _images(70, seed=1), groups=faces)
    _, held_out = pairs.split(0.2, seed=0)
    assert sorted(np.bincount(held_out.groups, minlength=10).tolist()) == [0] * 8 + [7] * 2


def test_pairs_that_are_all_linked_cannot_be_split():
    x = _images(3)
    with pytest.raises(ValueError, match=r"split the rows before.* Received: 3 pairs, all linked"):
        Pairs(x, x, [[0, 1], [1, 2], [2, 0]]).split()


def test_hold_out_takes_the_pairs_that_are_named():
    x = _images(4)
    pairs = Pairs(x, x[::-1].copy(), groups=list("abca"))
    train, held_out = pairs.hold_out([False, True, True, False])
    np.testing.assert_array_equal(held_out.arrays()[0], x[1:3])
    np.testing.assert_array_equal(train.arrays()[0], x[[0, 3]])
    for mask, message in (
        ([True, False, False, False], "share no row and no group.*1 that do, the first at place 0"),
        ([False] * 4, "Received: 0 of 4 pairs"),
        ([True] * 4, "Received: 4 of 4 pairs"),
        ([1, 0, 0, 0], r"mask \(4,\). Received: int64"),
        ([True], r"Received: bool, shape \(1,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            pairs.hold_out(mask)


def test_of_images_larger_than_what_this_is_made_for_it_is_said(caplog):
    rows = np.random.default_rng(0).integers(0, 256, (2, 130, 8), np.uint8)
    Pairs(rows, rows[:, :128].copy())
    (record,) = caplog.records
    assert "images of x are 130×8, larger than the 128×128" in record.getMessage()


_x, _y = _images(5), _images(7, seed=1)
_pairs = [[0, 0], [1, 1]]


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: Pairs(_x, _y), "as many rows.*Received: 5 and 7"),
        (lambda: Pairs(_x[:1], _y[:1]), "2 pairs or more. Received: 1"),
        (lambda: Pairs(_x, None), "y should be an array.*Received: None"),
        (lambda: Pairs("x", _y), "x should be real numbers.*Received: dtype <U1"),
        (lambda: Pairs(np.ma.array(_x), _x), "x should have no masked values.*Received: Masked"),
        (
            lambda: Pairs(_x, _x * 1j),
            "y should be real numbers.*imaginary.*Received: dtype complex",
        ),
        (lambda: Pairs(_x.astype(object), _x), "numbers.*from_frame. Received: dtype object"),
        (lambda: Pairs(pd.DataFrame({"a": [1, 2], "b": list("ab")}), _x[:2]), "from_frame"),
        (lambda: Pairs(pd.Series(_x[:, 0, 0, 0]), _x), r"np.reshape\(x, \(-1, 1\)\). Received"),
        (lambda: Pairs(_x[:, 0, 0, 0], _x), r"x should have a row an.*Received: shape \(5,\)"),
        (lambda: Pairs(_x[:0], _x[:0]), r"x should have a row.*Received: shape \(0, 3, 2, 1\)"),
        (lambda: Pairs(_x[..., None], _x), r"x should be images .*Received: an array \(5, 3, 2, 1"),
        (lambda: Pairs(_x * 255, _x), "give 0-255 data as uint8. Received: values from"),
        (lambda: Pairs(_x.astype(int), _x), "uint8 in 0-255. Received: dtype int"),
        (lambda: Pairs(_x, np.full((5, 2, 2, 1), np.nan)), "y. should be finite"),
        (lambda: Pairs(np.full((5, 3), np.inf), _x), "finite.*in column '0', row 0"),
        (
            lambda: Pairs(_x, np.where(np.eye(5) > 0, np.nan, 1)),
            "finite.*missing=True allows NaN.*in column '0', row 0",
        ),
        (lambda: Pairs(np.zeros((5, 3, 3, 1)), _x), "x should have rows that differ.*5 rows, all"),
        (lambda: Pairs(_x, np.ones((5, 3))), "y should have rows that differ.*5 rows, all"),
        (
            lambda: Pairs(_x, _x, x_modality=Image(shape=(2, 3, 1))),
            r"x should have shape \(n, 2, 3, 1\).*Received: shape \(5, 3, 2, 1\)",
        ),
        (lambda: Pairs(_x, _x, x_labels=[0, 1]), r"x_labels .*\(5,\).*Received: shape \(2,\)"),
        (lambda: Pairs(_x, _x, y_labels=[0.5] * 5), "y_labels .*texts. Received: dtype float64"),
        (lambda: Pairs(_x, _x, groups=["a"]), r"groups .*\(5,\).*Received: shape \(1,\)"),
        (lambda: Pairs(_x, _y, [[5, 0], [0, 0]]), "5 rows of x, from 0 to 4. Received: .* 0 to 5"),
        (
            lambda: Pairs(_x, _y, [[0, -1], [0, 0]]),
            "7 rows of y, from 0 to 6. Received: .* -1 to 0",
        ),
        (lambda: Pairs(_x, _y, [[0, 1], [2]]), "index should be an array.*Received"),
        (lambda: Pairs(_x, _y, [0, 1]), r"index.*shape \(n, 2\). Received: shape \(2,\)"),
        (lambda: Pairs(_x, _y, [[0, 1, 2]]), r"Received: shape \(1, 3\)"),
        (lambda: Pairs(_x, _y, [[0.0, 1.0]]), "integers. Received: dtype float64"),
        (lambda: Pairs(_x, _y, [[0j, 0j]]), "imaginary parts would be lost. Received"),
        (lambda: Pairs(_x, _y, [np.ma.array([0, 0])]), "index .*masked values.*Received"),
        (lambda: Pairs(_x, _y, np.zeros((0, 2), int)), "2 pairs or more. Received: 0"),
        (lambda: Pairs(_x, _y, _pairs).take(0), "n should be.*Received: 0"),
        (lambda: Pairs(_x, _y, _pairs).take(3), "from 1 to 2. Received: 3"),
        (lambda: Pairs(_x, _y, _pairs).take(1, seed=-2), "seed should be.*Received: -2"),
        (lambda: Pairs(_x, _y, _pairs).split(1.0), "fraction .*below 1. Received: 1.0"),
        (lambda: Pairs(_x, _y, _pairs).split(seed=-1), "seed should be.*Received: -1"),
    ],
)
def test_bad_use_is_refused(use, message):
    with pytest.raises(ValueError, match=message):
        use()


def test_a_bad_value_far_down_a_large_store_is_found(monkeypatch):
    monkeypatch.setattr("wyner_keras.data.rows._BLOCK", 100)
    rows = np.random.default_rng(0).random((50, 2))
    rows[44, 1] = np.nan
    with pytest.raises(ValueError, match=r"finite.*column '1', row 2, counted from row 42"):
        Pairs(rows, rows)
    # All rows are the same but the last one.
    flat = np.zeros((50, 2, 2, 1), np.uint8)
    flat[-1] = 1
    assert len(Pairs(flat, ArrayRows(flat))) == 50


def test_validation_shares_no_row_and_leaves_every_class_on_both_sides():
    labels = np.repeat(np.arange(26), 40)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, len(labels), 3))
    index = np.stack([rng.permutation(len(labels)) for _ in range(4)])
    index = np.stack([index.ravel(), np.empty(index.size, int)], axis=1)
    index[:, 1] = [rng.choice(np.flatnonzero(labels == labels[row])) for row in index[:, 0]]
    parts = Pairs(x, y, index=index).validation(0.2, seed=1)
    for column in (0, 1):
        rows = [part.index[:, column] for part in parts]
        assert not set(rows[0]) & set(rows[1])
        assert all(len(set(labels[each])) == 26 for each in rows)
    assert len(parts[0]) == pytest.approx(0.64 * len(index), rel=0.1)
    assert len(parts[1]) == pytest.approx(0.04 * len(index), rel=0.3)


def test_validation_of_a_map_holds_apart_rows_of_either_side_alone():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 3))
    # A row is x of one pair and y of another: a chain that links them all.
    index = np.stack([np.arange(200), np.roll(np.arange(200), 1)], axis=1)
    parts = Pairs(rows, rows, index=index).validation(0.2, seed=0)
    assert [len(part) for part in parts] == [160, 40]
    for column in (0, 1):
        assert not set(parts[0].index[:, column]) & set(parts[1].index[:, column])


def test_validation_of_groups_keeps_them_whole():
    x, y = np.random.default_rng(0).normal(size=(2, 200, 3))
    groups = np.arange(200) // 20
    parts = Pairs(x, y, groups=groups).validation(0.2, seed=0)
    assert [len(part) for part in parts] == [160, 40]
    assert not set(parts[0].groups) & set(parts[1].groups)


def test_too_few_pairs_have_no_validation():
    x = np.eye(3)
    with pytest.raises(ValueError, match=r"pairs should be enough.*Received: 2 pairs"):
        Pairs(x, x, index=[[0, 1], [0, 2]]).validation()


# Singles: rows without partner


@pytest.fixture
def with_singles():
    """10 pairs of vectors, 5 singles of x and 2 of y; each row holds its own number."""
    x, y = np.arange(15.0)[:, None], 100 + np.arange(12.0)[:, None]
    return Pairs(x[:10], y[:10], extra_x=x[10:], extra_y=y[10:], x_labels=list("abcdefghij"))


def _singles(pairs):
    return [
        store.take(places).ravel().tolist()
        for store, places in zip(pairs.stores, pairs.singles, strict=True)
    ]


_EXTRA = [[10, 11, 12, 13, 14], [110, 111]]


def test_singles_go_with_pairs(with_singles):
    pairs = with_singles
    assert len(pairs) == 10
    assert _singles(pairs) == _EXTRA
    assert repr(pairs).endswith("; singles: 5 of x, 2 of y)")
    assert (pairs.facts().singles, pairs.facts().rows, pairs.facts().classes) == (
        (5, 2),
        (15, 12),
        10,
    )
    assert pairs.x_labels.tolist() == list("abcdefghij")
    for part in (pairs.select([3, 1]), pairs.take(2, seed=1)):
        assert _singles(part) == _EXTRA
    np.testing.assert_array_equal(pairs.arrays()[1] - pairs.arrays()[0], 100)


@pytest.mark.parametrize("divide", [Pairs.split, Pairs.validation])
def test_what_is_held_out_has_no_singles(with_singles, divide):
    train, held_out = divide(with_singles, 0.3)
    assert (len(train), len(held_out)) == (7, 3)
    assert _singles(train) == _EXTRA
    assert held_out.facts().singles == (0, 0)
    assert "singles" not in repr(held_out)
    assert sorted([*train.x_labels, *held_out.x_labels]) == list("abcdefghij")
    for part in (train, held_out):
        np.testing.assert_array_equal(part.arrays()[1] - part.arrays()[0], 100)


def test_a_row_of_a_held_out_pair_is_no_single_to_train_on():
    rows = Pairs(np.arange(8.0)[:, None], np.arange(8.0)[:, None]).x
    index = np.arange(8).reshape(4, 2)
    # Of one store, or of parts of it: x of the held-out pair is given as a single of y.
    for x, y, places in (
        (rows, rows, index),
        (Subset(rows, index[:, 0]), Subset(rows, index[:, 1]), None),
    ):
        pairs = Pairs(x, y, places, extra_y=Subset(rows, np.array([0, 3, 6])))
        train, _ = pairs.hold_out([False, False, False, True])
        assert _singles(train) == [[], [0, 3]]


def test_one_array_of_singles_of_both_sides_is_held_once():
    x = np.arange(4.0)[:, None]
    once = Pairs(x, x, [[0, 1], [2, 3]], extra_x=x + 4, extra_y=x + 8)
    assert once.x is once.y
    assert _singles(once) == [[4, 5, 6, 7], [8, 9, 10, 11]]
    extra = x + 4
    same = Pairs(x, x, [[0, 1], [2, 3]], extra_x=extra, extra_y=extra)
    assert len(same.x) == 8
    assert _singles(same) == [[4, 5, 6, 7]] * 2
    own = Pairs(ArrayRows(x), x, extra_x=None)
    assert Pairs(own.x, x, extra_x=Subset(own.x, np.array([3]))).x is own.x


def test_strangers_are_put_beside_each_other_and_said_to_be(with_singles):
    seen = with_singles.with_singles()
    x, y = seen.arrays()
    assert seen.partners.tolist() == [True] * 10 + [False] * 5
    assert x[10:].ravel().tolist() == _EXTRA[0]
    assert y[10:].ravel().tolist() == [110, 111, 110, 111, 110]
    (batch,) = seen.batches(20, shuffle=False)
    assert batch["partners"].numpy().tolist() == seen.partners.tolist()
    some = seen.select([12, 0])
    assert some.partners.tolist() == [False, True]
    assert "partners" not in next(iter(with_singles.batches(2)))


def test_few_pairs_come_several_times_among_strangers(with_singles):
    few = with_singles.select([4, 7])
    seen = few.with_singles(share=0.5)
    assert seen.partners.sum() == 6
    assert sorted(seen.arrays()[0].ravel()) == sorted([4.0, 7.0] * 3 + _EXTRA[0])


def test_a_side_without_singles_shows_the_rows_of_its_pairs():
    x = np.arange(6.0)[:, None]
    seen = Pairs(x[:2], x[:2] + 100, extra_x=x[2:]).with_singles()
    assert seen.arrays()[1].ravel().tolist() == [100, 101, 100, 101, 100, 101]
    bare = Pairs(x, x + 100)
    assert bare.with_singles() is bare


def test_singles_of_files_and_of_arrays_are_read_where_they_lie(tmp_path):
    x = np.random.default_rng(0).random((10, 2))
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    pairs = Pairs(x[:6].astype("f"), x[:6], extra_x=mapped[6:], extra_y=x[6:])
    assert pairs.x.dtype == np.float64
    assert pairs.x.array is None
    seen = pairs.with_singles()
    np.testing.assert_array_equal(seen.arrays()[0], x.astype("f"))
    np.testing.assert_array_equal(
        np.concatenate([b["x"] for b in seen.batches(4, shuffle=False)]), x.astype("f")
    )


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (np.ones((2, 3)), r"extra_x should have rows as x has: float64 of shape \(2,\).*\(3,\)"),
        (np.ones((2, 2), "uint8"), r"float64 of shape \(2,\). Received: uint8 of shape \(2,\)"),
        (np.full((2, 2), np.nan), "x should .*finite|missing|NaN"),
        ("extra", "extra_x should be"),
    ],
)
def test_singles_that_are_not_as_their_side_are_refused(extra, message):
    x = np.random.default_rng(0).random((4, 2))
    with pytest.raises(ValueError, match=message):
        Pairs(x, x + 1, extra_x=extra)


@pytest.mark.parametrize("shared", [False, True], ids=["two stores", "one store"])
def test_thinned_pairs_are_some_of_the_pairs_and_singles_with_their_labels(shared):
    rng = np.random.default_rng(0)
    x = rng.random((60, 4)).astype(np.float32)
    y = x if shared else rng.random((60, 4)).astype(np.float32)
    extra = rng.random((30, 4)).astype(np.float32)
    labels = np.arange(60) % 7
    index = rng.permutation(60).reshape(-1, 2)
    groups = np.arange(30) // 3
    pairs = Pairs(x, y, index, extra_x=extra, x_labels=labels, groups=groups)
    some = pairs.thinned(0.4, seed=1)
    assert len(some) == 12
    assert [len(each) for each in some.singles] == [12, 0]
    assert some.facts().same_store == shared
    # Only rows that are used are left: on either side where the store is one.
    assert len(some.x) == (36 if shared else 24)
    whole = {
        tuple(np.concatenate(pair)): (label, group)
        for *pair, label, group in zip(*pairs.arrays(), pairs.x_labels, pairs.groups, strict=True)
    }
    parts = zip(*some.arrays(), some.x_labels, some.groups, strict=True)
    for a, b, label, group in parts:
        assert whole[tuple(np.concatenate([a, b]))] == (label, group)
    alone = some.x.take(some.singles[0])
    assert {row.tobytes() for row in alone} < {row.tobytes() for row in extra}
    assert pairs.thinned(0.4, seed=1).index.tolist() == some.index.tolist()
    assert len(pairs.thinned(1e-9)) == 2
