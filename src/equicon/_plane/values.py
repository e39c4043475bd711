"""Checks of values: whether a finite matrix can be an affine map or a camera, and whether boxes are upright.

A matrix can be finite and still have no inverse that its type can hold: in float32, the determinant of 1e-30 times the
identity is 0. Values are checked only where they are ``readable``. NumPy checks them, because on a small array it takes
a fifth of the time that torch takes.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from equicon._checks import readable, value_error
from equicon._hints import FIX_BOXES
from equicon._plane.matrix import at_least_float32

_OFF = 1e-3  # largest relative error of a determinant; matrices of practical use stay a hundred times below it


def has_inverse(matrix: Tensor) -> NDArray[np.bool_]:
    """Tell which matrices (B, 3, 3) on the CPU are finite and have an accurate inverse in their own type: (B,).

    The closed-form inverse divides by the determinant, so its relative error is that of the determinant.
    """
    m = at_least_float32(matrix.detach()).numpy()
    with np.errstate(all="ignore"):
        rounded, exact = (a * d - b * c for a, b, c, d in map(_linear, (m, m.astype(np.float64))))
        largest = np.abs(m[:, :2]).reshape(-1, 6).max(-1, initial=1)
        reach = largest * largest / rounded  # no entry of the inverse is larger than twice this
        return np.asarray((np.abs(rounded / exact - 1) < _OFF) & np.isfinite(2 * reach))


def is_affine(matrix: Tensor) -> NDArray[np.bool_]:
    """Tell which matrices (B, 3, 3) on the CPU have the last row (0, 0, 1): (B,)."""
    return np.asarray((at_least_float32(matrix.detach()[:, 2]).numpy() == (0, 0, 1)).all(-1))


def check_affine_values(argument: str, matrix: Tensor) -> None:
    """Check that matrices (B, 3, 3) are finite, affine and invertible, if they are ``readable``."""
    if not readable(matrix) or (is_affine(matrix) & has_inverse(matrix)).all():
        return
    kept = str(at_least_float32(matrix).dtype).removeprefix("torch.")
    for what, good, fix in (
        ("finite numbers", matrix.isfinite().flatten(1).all(-1).numpy(), ""),
        ("a last row of (0, 0, 1)", is_affine(matrix), ""),
        ("an invertible matrix", has_inverse(matrix), f"Its inverse must fit in {kept}, too."),
    ):
        if not good.all():
            index = int(good.argmin())
            raise value_error(argument, what, f"{matrix[index].tolist()} at index {index}", fix)


def check_intrinsics(argument: str, K: Tensor) -> None:
    """Check that matrices (..., 3, 3) can be the intrinsics of a view, if they are ``readable``.

    A view may have been turned or mirrored. Then its focal lengths need not be on the diagonal or above 0, so neither
    is checked.
    """
    check_affine_values(argument, K.reshape(-1, 3, 3))


def check_upright(argument: str, boxes: Tensor) -> None:
    """Check that boxes (..., 4) have x1 <= x2 and y1 <= y2, if they are ``readable``. NaN passes."""
    if not readable(boxes):
        return
    turned = (boxes[..., :2] > boxes[..., 2:]).any(-1)
    if bool(turned.any()):
        came = f"{boxes[turned][0].tolist()} at index {turned.nonzero()[0].tolist()}"
        raise value_error(argument, "x1 <= x2 and y1 <= y2", came, FIX_BOXES)


def _linear(m: NDArray[np.floating]) -> tuple[NDArray[np.floating], ...]:
    return m[:, 0, 0], m[:, 0, 1], m[:, 1, 0], m[:, 1, 1]
