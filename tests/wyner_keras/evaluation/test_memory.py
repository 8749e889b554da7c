import numpy as np
import pytest

from wyner_keras.data import Pairs
from wyner_keras.evaluation import evaluate, memory_test
from wyner_keras.evaluation.memory import nearest_rows


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("but_own", [False, True])
def test_nearest_rows_are_those_of_brute_force(rng, but_own: bool) -> None:
    vectors, rows = rng.normal(size=(30, 4)), rng.normal(size=(50, 4))
    rows[13] = vectors[7]
    between = np.linalg.norm(vectors[:, None] - rows, axis=-1)
    if but_own:
        between[np.arange(30), np.arange(30)] = np.inf
    distances, places = nearest_rows(vectors, np.split(rows, [11, 12, 40]), but_own=but_own)
    assert distances == pytest.approx(between.min(axis=1), abs=1e-5)
    assert (places == between.argmin(axis=1)).all()
    assert distances[7] < 1e-6


@pytest.mark.parametrize("offset", [1e5, -1e9])
def test_an_offset_changes_no_neighbour(rng, offset: float) -> None:
    vectors, rows = rng.normal(size=(30, 4)), rng.normal(size=(50, 4))
    expected = nearest_rows(vectors, [rows])
    distances, places = nearest_rows(vectors + offset, np.split(rows + offset, 2))
    assert (places == expected[1]).all()
    assert distances == pytest.approx(expected[0], abs=1e-5)


@pytest.mark.parametrize("size", [2, 40])
def test_fresh_samples_are_as_held_out_rows_are_and_copies_are_not(rng, size: int) -> None:
    held = []
    for _ in range(40):
        train, held_out, fresh = (rng.normal(size=(n, size)) for n in (300, 80, 80))
        found = memory_test(fresh, held_out, train)
        held.append(found.interval[0] <= 0.5 <= found.interval[1])
    assert np.mean(held) > 0.85
    near = train[rng.integers(300, size=80)] + 0.002 * rng.normal(size=(80, size))
    found = memory_test(near, held_out, train)
    assert found.share > 0.95
    assert found.interval[0] > 0.9
    some = np.where(np.arange(80)[:, None] < 30, near, fresh)
    assert memory_test(some, held_out, train).interval[0] > 0.5  # three in eight


def test_blurred_samples_are_no_copies(rng) -> None:
    """They lie nearer to every row than held-out rows do."""
    train, held_out, fresh = (rng.normal(size=(n, 10)) for n in (2000, 500, 500))
    to_train = [nearest_rows(each, [train])[0] for each in (0.5 * fresh, held_out)]
    assert np.median(to_train[0]) < 0.8 * np.median(to_train[1])
    assert memory_test(0.5 * fresh, held_out, train).share < 0.58


def test_the_nearest_are_named(rng) -> None:
    train, held_out, samples = (rng.normal(size=(n, 3)) for n in (200, 50, 60))
    samples[[5, 20]] = train[[150, 3]]
    found = memory_test(samples, held_out, lambda: np.array_split(train, 7), shown=4)
    # Fifty of the sixty samples are compared: both copies or one.
    copied = dict(zip(found.samples.tolist(), found.rows.tolist(), strict=True))
    assert {place: row for place, row in copied.items() if place in (5, 20)}.items() <= {
        5: 150,
        20: 3,
    }.items()
    assert found.distances[0] < 1e-6 < found.usual
    assert len(found.samples) == 4
    assert found.count == 50


def test_bad_arguments_are_refused(rng) -> None:
    rows = rng.normal(size=(9, 2))
    for given, message in (
        ((rows[:1], rows, rows), r"`samples` should be finite features .*Received: an array"),
        ((rows, rows[:, 0], rows), "`held_out` should be finite features"),
        ((rows, rows, rows * np.nan), "`train` should be finite features"),
    ):
        with pytest.raises(ValueError, match=message):
            memory_test(*given)
    with pytest.raises(ValueError, match="`shown` should be at least 1"):
        memory_test(rows, rows, rows, shown=0)


class Sampler:
    """Gives images of its own, drawn from those it was given or fresh ones."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def draw(self, count: int, seed: int) -> np.ndarray:
        return self.images[np.random.default_rng(seed).integers(len(self.images), size=count)]

    def generate_y(self, x, *, seed, samples=None):
        made = self.draw(len(x) * (samples or 1), seed)
        return made if samples is None else made.reshape(len(x), samples, *made.shape[1:])

    generate_x = generate_y

    def generate_pairs(self, count, *, seed):
        return self.draw(count, seed), self.draw(count, seed + 1)


Sampler.tasks = ("conditional", "joint")  # type: ignore[attr-defined]


def test_a_model_that_returns_training_rows_is_caught(rng) -> None:
    def smooth(count: int) -> np.ndarray:
        """Images of three waves each: as many as wanted of one distribution."""
        waves = np.sin(np.arange(3)[:, None, None] + np.add.outer(np.arange(6), 2 * np.arange(6)))
        return 0.5 + np.tensordot(rng.uniform(-0.15, 0.15, (count, 3)), waves, 1)[..., None]

    stores = [smooth(300) for _ in "xy"]
    order = np.c_[rng.permutation(300)[:250], rng.permutation(300)[:250]]
    train, held_out = Pairs(*stores, order), Pairs(smooth(120), smooth(120))
    copier = evaluate(
        Sampler(stores[1][order[:, 1]]), held_out, train=train, samples=2, verbose=False
    )
    fresh = evaluate(Sampler(smooth(3000)), held_out, train=train, samples=2, verbose=False)
    for name in ("memory_y", "memory_joint_y"):
        assert copier[name] > 0.97
        assert copier.intervals[name][0] > 0.9
        assert fresh[name] == pytest.approx(0.5, abs=0.12)
        shown = copier.nearest[name]
        # Row and sample are the same image.
        np.testing.assert_allclose(stores[1][shown.rows], shown.examples, atol=1e-6)
        assert set(shown.rows) <= set(order[:, 1])
        assert copier.to_dict()["nearest"][name]["rows"] == shown.rows.tolist()
    assert copier["memory_x"] < 0.7  # its x are rows of y
    assert copier.figures["memory_y"].beside == 0.5
    # Rows of y that came without partner were trained on too.
    few = Pairs(*stores, order[:50], extra_y=stores[1][order[50:, 1]])
    alone = Sampler(stores[1][order[50:, 1]])
    assert evaluate(alone, held_out, train=few, samples=2, verbose=False)["memory_y"] > 0.97
    without = evaluate(Sampler(stores[0]), held_out, samples=2, verbose=False)
    assert without.left_out["memory_x"] == "the pairs that it was trained on, `train`"
    assert not without.nearest
    with pytest.raises(ValueError, match=r"`train` should hold x of shape \(6, 6, 1\).*Received"):
        evaluate(Sampler(stores[0]), held_out, train=Pairs(np.eye(3), np.eye(3)), verbose=False)
