"""What is finite and still no map and no camera, found where values may be looked at.

A matrix can be finite and have no inverse that its type can hold: of 1e-30 times the identity, the determinant is 0 in
float32. NumPy looks, for which a small array costs a fifth of what it costs torch.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from equicon._checks import readable, value_error
from equicon._plane.matrix import at_least_float32

_OFF = 1e-3  # by which an inverse may miss what it undoes; in matrices that are of use it is a hundredth of that


def has_inverse(matrix: Tensor) -> NDArray[np.bool_]:
    """Tell which matrices (B, 3, 3) of the host are finite, and undone by their inverses as their type rounds: (B,).

    The closed inverse divides by the determinant, so it misses by as much as the determinant is off.
    """
    m = at_least_float32(matrix.detach()).numpy()
    with np.errstate(all="ignore"):
        rounded, exact = (a * d - b * c for a, b, c, d in map(_linear, (m, m.astype(np.float64))))
        largest = np.abs(m[:, :2]).reshape(-1, 6).max(-1, initial=1)
        reach = largest * largest / rounded  # no number of the inverse is larger than twice that
        return np.asarray((np.abs(rounded / exact - 1) < _OFF) & np.isfinite(2 * reach))


def is_affine(matrix: Tensor) -> NDArray[np.bool_]:
    """Tell which matrices (B, 3, 3) of the host have the last row (0, 0, 1): (B,)."""
    return np.asarray((at_least_float32(matrix.detach()[:, 2]).numpy() == (0, 0, 1)).all(-1))


def check_affine_values(argument: str, matrix: Tensor) -> None:
    """Check that matrices (B, 3, 3) are finite, affine and invertible, where their values may be looked at."""
    if not readable(matrix) or (is_affine(matrix) & has_inverse(matrix)).all():
        return
    kept = str(at_least_float32(matrix).dtype).removeprefix("torch.")
    for what, good, fix in (
        ("finite numbers", matrix.isfinite().flatten(1).all(-1).numpy(), ""),
        ("a last row of (0, 0, 1)", is_affine(matrix), ""),
        ("an invertible matrix", has_inverse(matrix), f"{kept} must hold its inverse, too."),
    ):
        if not good.all():
            index = int(good.argmin())
            raise value_error(argument, what, f"{matrix[index].tolist()} at index {index}", fix)


def check_intrinsics(argument: str, K: Tensor) -> None:
    """Check that (..., 3, 3) can be intrinsics of a view, where their values may be looked at.

    Of a view, not of a camera: where the picture was turned or mirrored, the focal lengths need not stand on the
    diagonal, nor be above 0.
    """
    check_affine_values(argument, K.reshape(-1, 3, 3))


def _linear(m: NDArray[np.floating]) -> tuple[NDArray[np.floating], ...]:
    return m[:, 0, 0], m[:, 0, 1], m[:, 1, 0], m[:, 1, 1]
