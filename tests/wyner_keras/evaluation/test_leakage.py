import numpy as np
import pytest

from wyner_keras.data import Pairs
from wyner_keras.evaluation import evaluate, leakage_test


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_of_independent_rows_one_in_twenty_seems_to_leak(rng) -> None:
    found = []
    for seed in range(150):
        u, z = rng.normal(size=(40, 3)), np.eye(3)[rng.integers(3, size=40)]
        found.append(leakage_test(u, z, permutations=39, seed=seed))
    most = 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)
    assert np.mean([each.nats_p <= 0.05 for each in found]) < most
    assert np.mean([each.variance_p <= 0.05 for each in found]) < most
    assert np.median([each.nats for each in found]) < 0.02


@pytest.mark.parametrize(("rho", "others"), [(0.9, 0), (0.9, 5), (0.5, 0)])
def test_nats_of_a_gaussian_pair_are_at_most_its_information(rng, rho: float, others: int) -> None:
    u, v = rng.normal(size=(2, 600, 1 + others))
    v[:, 0] = rho * u[:, 0] + np.sqrt(1 - rho**2) * v[:, 0]
    information = -0.5 * np.log(1 - rho**2)
    found = leakage_test(u, v, permutations=19)
    assert 0.6 * information < found.nats < information + 0.06
    assert found.nats_p == found.variance_p == 0.05
    assert found.variance == pytest.approx(rho**2 / (1 + others), abs=0.06)
    assert found.nats_shuffled < 0.03


def test_a_copied_category_holds_all_of_its_nats(rng) -> None:
    z = np.eye(10)[rng.integers(10, size=500)]
    u = rng.normal(size=(500, 16))
    u[:, :10] = z + 0.01 * u[:, :10]
    found = leakage_test(u, z, permutations=19)
    assert found.nats == pytest.approx(np.log(10), abs=0.1)
    assert found.variance > 0.95


def test_what_has_no_correlation_is_found(rng) -> None:
    u = rng.normal(size=(400, 2))
    found = leakage_test(u, np.abs(u[:, :1]) + 0.3 * rng.normal(size=(400, 1)), permutations=19)
    assert found.nats > 0.3
    assert found.nats_p == 0.05


@pytest.mark.parametrize("units", [[1e-7, 1e3], [1e-15, 1e-12], [1e20, 1.0]])
def test_units_change_nothing(rng, units) -> None:
    u = rng.normal(size=(60, 2))
    target = u @ [[1.0, 0], [1, 1]] + 0.3 * rng.normal(size=(60, 2))
    expected = leakage_test(u, target, permutations=19)
    found = leakage_test(u * units[::-1], target * units, permutations=19)
    assert found.nats == pytest.approx(expected.nats, rel=1e-4)
    assert found.variance == pytest.approx(expected.variance, rel=1e-4)


def test_a_target_that_never_varies_tells_nothing(rng) -> None:
    found = leakage_test(rng.normal(size=(40, 2)), np.ones((40, 3)), permutations=19)
    assert (found.nats, found.variance, found.nats_p) == (0, 0, 1)


def test_bad_arguments_are_refused(rng) -> None:
    rows = rng.normal(size=(30, 2))
    for latent, target, message in (
        (rows[:5], rows[:5], "`latent` should be finite numbers .*20 rows or more. Received: an"),
        (rows, rows[:, 0], "`target` should be finite numbers"),
        (rows, rows[:25], "equally many rows. Received: 30 and 25"),
    ):
        with pytest.raises(ValueError, match=message):
            leakage_test(latent, target)


class Leaky:
    """z is the sign of the first column, as it is on the other side; u copies what it is told."""

    tasks = ("conditional",)

    def __init__(self, leak: str) -> None:
        self.leak = leak

    def encode(self, examples, seed):
        z = np.eye(2)[(examples[:, 0] > 0).astype(int)]
        u = np.random.default_rng(seed).normal(size=(len(z), 4))
        if self.leak == "z":
            u[:, 0] += 4 * z[:, 0]
        elif self.leak == "side":
            u[:, 0] += 2 * examples[:, 1]
        return z, None if self.leak == "no local" else u

    def encode_x(self, x, *, seed):
        return self.encode(x, seed)

    encode_y = encode_x

    def generate_y(self, x, *, seed, samples=None):
        return x if samples is None else np.repeat(x[:, None], samples, axis=1)

    generate_x = generate_y

    def decode_x(self, z, local):
        return np.repeat(z, 2, axis=1)

    decode_y = decode_x


@pytest.fixture
def pairs(rng) -> Pairs:
    """The signs of the first columns agree; the second columns are one and the same."""
    shared, x, y = rng.normal(size=(3, 300, 4))
    sign = np.where(rng.random(300) < 0.5, -1, 1)
    x[:, 0], y[:, 0] = sign * np.abs(x[:, 0]), sign * np.abs(y[:, 0])
    x[:, 1] = y[:, 1] = shared[:, 1]
    return Pairs(x, y)


def test_planted_leaks_are_found_where_they_are(pairs) -> None:
    def report(leak: str):
        return evaluate(Leaky(leak), pairs, samples=2, verbose=False)

    sound, of_z, of_side = report("none"), report("z"), report("side")
    for side in "xy":
        z, partner = f"leakage_z_{side}", f"leakage_partner_{side}"
        assert sound.p_values[z] > 0.01 < sound.p_values[partner]
        assert sound[z] < 0.03
        assert of_z.p_values[z] == 0.01 == of_z.p_values[f"leakage_z_variance_{side}"]
        assert of_z[z] > 0.4  # of ln 2, but for what noise hides
        assert of_side.p_values[z] > 0.01
        assert of_side.p_values[partner] == 0.01
        assert of_side[partner] > 0.3
    assert "what u tells of z (InfoNCE)" in sound.table()
    assert "what v tells of x (InfoNCE)" in sound.table()
    assert "shuffled, 95 %; p = 0.010" in of_z.table()
    left_out = report("no local").left_out
    assert left_out["leakage_z_x"] == left_out["leakage_partner_variance_y"] == "a local latent"
