"""Paths between maps of the plane: rotation at constant speed, scale at a constant ratio."""

from typing import Self

import torch
from torch import Tensor

from equicon._checks import check_batch, check_int, describe, type_error, value_error
from equicon._groups.batch import MatrixBatch
from equicon._hints import FIX_MATRIX
from equicon._plane.matrix import affine_matrix, determinant, linear_matrix, matmul, rotation

_SMALL = 1e-4
"""Below it a function of a square is its series, whose next term float64 does not hold. There, a root has no slope."""


class PathBatch(MatrixBatch):
    """A batch of affine maps (B, 3, 3), each of which may go to another one step by step."""

    def path(self, to: Self, steps: int) -> Self:
        """Go from each element to another in steps, for the frames of a clip whose view moves.

        The path is *log-linear*. The linear part is R(θ) S, a rotation and a symmetric stretch (its polar factors). θ
        goes the shorter way at constant speed. Half a turn has two ways, of which rounding chooses one. log S is
        linear, so a scale grows by the same factor at each step. The translation is linear.

        A flip is drawn once: an element that reflects does so on its whole path, and one that does not never does.
        Where ``to`` differs in this, its horizontal mirror image is the end.

        Args:
            to: The ends of the paths, as many as there are elements.
            steps: Number of elements on each path, at least 1. From 2 on, both ends are among them; 1 gives the start.

        Returns:
            The paths, one after the other, as B · steps elements.

        Raises:
            ValueError: If batch sizes or devices do not fit, or steps is below 1.
            TypeError: If ``to`` is not an ``Affine``, or steps is not a whole number.

        Examples:
            >>> start, end = (RandomRotation((a, a)).sample(1).affine for a in (0, 90))
            >>> start.path(end, 4).degrees.round()
            tensor([ 0., 30., 60., 90.])

        Source: Shoemake and Duff 1992, "Matrix animation and polar decomposition".
        """
        if not isinstance(to, PathBatch):
            raise type_error("to", "an equicon.Affine", describe(to), FIX_MATRIX)
        steps = check_int("steps", steps, low=1)
        check_batch("to", to, self, "the map")
        if to.device != self.device:
            fix = "Move it with .to(device)."
            raise value_error("to", f"a map on {self.device}", f"a map on {to.device}", fix)
        return self._of(paths(self.matrix, to.matrix, steps))


def paths(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """Make the matrices (B · steps, 3, 3) of log-linear paths between matrices (B, 3, 3), both ends included."""
    kind = torch.promote_types(first.dtype, last.dtype)
    first, last = first.to(kind), last.to(kind)
    sign = _handedness(first)
    last = _mirrored(last, sign * _handedness(last))
    if steps == 1:
        return first
    share = torch.arange(1, steps - 1, device=first.device, dtype=kind) / (steps - 1)
    # Between the ends all is computed for sources that are mirrored where the element reflects: it then turns only.
    start, end = (_logarithm(_mirrored(matrix, sign)[:, :2, :2]) for matrix in (first, last))
    turn = end[0] - start[0]
    turn = turn - 2 * torch.pi * (turn / (2 * torch.pi)).round()  # the shorter way
    radians = start[0][:, None] + turn[:, None] * share
    logarithm, shift = (_between(a, b, share) for a, b in ((start[1], end[1]), (first[:, :2, 2], last[:, :2, 2])))
    linear = matmul(rotation(radians.flatten()), _exponential(logarithm.flatten(0, 1)))
    between = affine_matrix(linear, shift.flatten(0, 1)).unflatten(0, (first.shape[0], steps - 2))
    between = _mirrored(between, sign[:, None])
    return torch.cat([first[:, None], between, last[:, None]], 1).flatten(0, 1)


def _between(first: Tensor, last: Tensor, share: Tensor) -> Tensor:
    """Interpolate rows (B, N) linearly at shares (n,): (B, n, N)."""
    return first[:, None] + share[:, None] * (last - first)[:, None]


def _handedness(matrix: Tensor) -> Tensor:
    """Return −1 for matrices (B, 3, 3) that reflect, and 1 for the others (B,)."""
    return torch.where(determinant(matrix[:, :2, :2]) < 0, -1.0, 1.0).to(matrix.dtype)


def _mirrored(matrix: Tensor, sign: Tensor) -> Tensor:
    """Mirror the source of matrices (..., 3, 3) horizontally where the sign (...) is −1."""
    return torch.cat([matrix[..., :1] * sign[..., None, None], matrix[..., 1:]], -1)


def _logarithm(linear: Tensor) -> tuple[Tensor, Tensor]:
    """Take polar factors R(θ) S of matrices (B, 2, 2) that do not reflect: θ (B,), and log S (B, 3).

    log S is l · 1 + [[p, q], [q, −p]], given as (l, p, q). In closed form: S is m · (1 + D) with D like that, of length
    r = √(p² + q²) < 1, and log S = log(m √(1 − r²)) · 1 + asinh(r / √(1 − r²)) / r · D.
    """
    a, b, c, d = linear.flatten(1).unbind(-1)
    mean = torch.hypot(a + d, b - c) / 2  # of the singular values
    a, b, c, d = a / mean, b / mean, c / mean, d / mean
    unit = (a * d - b * c).sqrt()  # √(1 − r²)
    cos, sin, across, along = (a + d) / 2, (b - c) / 2, (a - d) / 2, (b + c) / 2
    p, q = (cos * across - sin * along) / unit, (cos * along + sin * across) / unit
    factor = _asinh_over(p.square() + q.square())
    return torch.atan2(sin, cos), torch.stack([mean.log() + unit.log(), factor * p, factor * q], -1)


def _exponential(logarithm: Tensor) -> Tensor:
    """Make the symmetric matrices (B, 2, 2) whose logarithms (B, 3) are given as ``_logarithm`` does."""
    scale, p, q = logarithm.unbind(-1)
    square = p.square() + q.square()
    factor = _sinh_over(square)
    mean = (1 + square * factor.square()).sqrt()  # cosh
    return linear_matrix(mean + factor * p, factor * q, factor * q, mean - factor * p) * scale.exp()[:, None, None]


def _asinh_over(square: Tensor) -> Tensor:
    """Compute asinh(x) / x from x², with finite gradients everywhere."""
    x = square.clamp(min=_SMALL).sqrt()
    series = 1 - square / 6 * (1 - square * 9 / 20 * (1 - square * 25 / 42))
    return torch.where(square < _SMALL, series, x.asinh() / x)


def _sinh_over(square: Tensor) -> Tensor:
    """Compute sinh(x) / x from x², with finite gradients everywhere."""
    x = square.clamp(min=_SMALL).sqrt()
    series = 1 + square / 6 * (1 + square / 20 * (1 + square / 42))
    return torch.where(square < _SMALL, series, x.sinh() / x)
