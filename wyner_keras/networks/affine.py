"""An affine map that a condition chooses, as arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Affine(NamedTuple):
    """w ↦ M(c) w + m(c), M(c) = matrix + Σ_k c_k matrices_k, m(c) = shift + Σ_k c_k shifts_k.

    Conditions c are to be one-hot, or `matrices` 0: only then have its inverse and what it is
    composed to the same form.

    Args:
        shifts: `(width, size)`.
        matrices: `(width, size, size)`.
        shift: `(size,)`.
        matrix: `(size, size)`.

    Example:
        >>> double = Affine(np.zeros((2, 1)), np.zeros((2, 1, 1)), np.zeros(1), 2 * np.eye(1))
        >>> float(double.inverse.matrix[0, 0])
        0.5
    """

    shifts: np.ndarray
    matrices: np.ndarray
    shift: np.ndarray
    matrix: np.ndarray

    @property
    def inverse(self) -> Affine:
        """The map back.

        Raises:
            numpy.linalg.LinAlgError: if there is none.
        """
        shifts, matrices, shift, matrix = map(np.zeros_like, self)
        identity = Affine(shifts, matrices, shift, matrix + np.eye(len(matrix)))
        return identity.after_inverse_of(self)

    def after_inverse_of(self, other: Affine) -> Affine:
        """The map that leads where this one does from where the other leads to.

        Raises:
            numpy.linalg.LinAlgError: if the other has no inverse.
        """
        if np.any(self.matrices) or np.any(other.matrices):
            matrices = (self.matrix + self.matrices) @ np.linalg.inv(other.matrix + other.matrices)
            moved = np.einsum("kij,kj->ki", matrices, other.shift + other.shifts)
            shifts = self.shift + self.shifts - moved
            return Affine(shifts, matrices, np.zeros_like(self.shift), np.zeros_like(self.matrix))
        matrix = self.matrix @ np.linalg.inv(other.matrix)
        return Affine(
            self.shifts - other.shifts @ matrix.T,
            np.zeros_like(self.matrices),
            self.shift - matrix @ other.shift,
            matrix,
        )
