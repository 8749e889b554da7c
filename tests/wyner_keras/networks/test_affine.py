import numpy as np
import pytest

from wyner_keras.networks.affine import Affine


def applied(affine, values, conditions):
    matrices = affine.matrix + np.einsum("nk,kij->nij", conditions, affine.matrices)
    shifts = affine.shift + conditions @ affine.shifts
    return np.einsum("nij,nj->ni", matrices, values) + shifts


def drawn(rng, matrices):
    """An affine map of three values under two conditions."""
    square = 0.3 * rng.normal(size=(2, 3, 3)) * matrices
    return Affine(rng.normal(size=(2, 3)), square, rng.normal(size=3), 2 * np.eye(3))


@pytest.mark.parametrize(
    ("first", "second", "one_hot"),
    [(True, True, True), (True, False, True), (False, True, True), (False, False, False)],
)
def test_it_leads_where_it_says(first, second, one_hot):
    """Matrices of their own need one-hot conditions; a common matrix takes any."""
    rng = np.random.default_rng(0)
    here, other = drawn(rng, first), drawn(rng, second)
    values = rng.normal(size=(8, 3))
    conditions = np.eye(2)[rng.integers(0, 2, 8)] if one_hot else rng.normal(size=(8, 2))
    reached = applied(here.after_inverse_of(other), applied(other, values, conditions), conditions)
    np.testing.assert_allclose(reached, applied(here, values, conditions), atol=1e-10)
    back = applied(here.inverse, applied(here, values, conditions), conditions)
    np.testing.assert_allclose(back, values, atol=1e-10)


def test_a_map_without_inverse_is_refused():
    flat = Affine(np.zeros((2, 3)), np.zeros((2, 3, 3)), np.zeros(3), np.zeros((3, 3)))
    with pytest.raises(np.linalg.LinAlgError):
        _ = flat.inverse
