"""Squares about boxes and points, as matrices that send each square to [−1, 1]²."""

from typing import Any

import torch
from torch import Tensor

from equicon._checks import Size, check_floating, describe, first_bad, readable, type_error, value_error
from equicon._hints import FIX_BOXES
from equicon._plane.frames import unit_points
from equicon._plane.matrix import affine_matrix, at_least_float32
from equicon._plane.values import has_inverse


def check_labelled(xy: Any, known: Any) -> None:
    """Check for points (B, N, 2) with N at least 1, and that ``known`` is None or has a bool for each point."""
    check_floating("xy", xy, "(B, N, 2)", last=(2,), ndim=3)
    if xy.shape[1] == 0:
        raise value_error("xy", "at least one point", xy)
    if known is None:
        return
    if not isinstance(known, Tensor) or known.dtype != torch.bool:
        raise type_error("known", "a tensor (B, N) of type bool", describe(known), "Write visible > 0.")
    if known.shape != xy.shape[:2]:
        raise value_error("known", f"one for each point, of shape {tuple(xy.shape[:2])}", known)
    if known.device != xy.device:
        raise value_error("known", f"a tensor on {xy.device}, where xy is", f"one on {known.device}")


def around_boxes(boxes: Tensor, source: Size, margin: float) -> Tensor:
    """Make matrices (B, 3, 3) that crop squares around boxes (B, 4), of side ``margin`` times their longer side."""
    corners = unit_points(at_least_float32(boxes).unflatten(-1, (2, 2)), source)
    extent = corners[:, 1] - corners[:, 0]
    # A box with x1 > x2 or y1 > y2 is as wrong as an empty one.
    half = torch.where((extent < 0).any(-1), extent.amin(-1), extent.amax(-1)) / 2 * margin
    if (bad := _first_degenerate(half)) is not None:
        expected = "finite x1 <= x2 and y1 <= y2, not both equal"
        raise value_error("boxes", expected, f"{boxes[bad].tolist()} at index {bad}", FIX_BOXES)
    return _square("boxes", corners.mean(1), half)


def around_points(xy: Tensor, source: Size, margin: float, known: Tensor | None) -> Tensor:
    """Make matrices (B, 3, 3) that crop squares around the means of points (B, N, 2).

    The half-side is ``margin`` times the largest distance of a point from the mean. If ``known`` (B, N) is given, only
    the points where it is True count.
    """
    points = unit_points(at_least_float32(xy), source)
    if known is None:
        center = points.mean(1)
    else:
        counts = known[..., None]
        center = torch.where(counts, points, 0.0).sum(1) / counts.sum(1)
        points = torch.where(counts, points, center[:, None])
    half = (points - center[:, None]).norm(dim=-1).amax(-1) * margin
    if (bad := _first_degenerate(half)) is not None:
        count = xy.shape[1] if known is None else int(known[bad].sum())
        came, fix = "points that are all equal", "A crop needs two different points: leave this row out."
        if count < 2:
            came = f"{count}"
        elif not half[bad].isfinite():
            came, fix = "NaN or infinity among them", "To leave NaN out, give known=~xy.isnan().any(-1)."
        raise value_error("xy", "at least two different points, all finite", f"{came} at index {bad}", fix)
    return _square("xy", center, half)


def _first_degenerate(half: Tensor) -> int | None:
    """Return the index of the first half-side in (B,) that is not finite and above 0, if they are ``readable``."""
    return first_bad(half.isfinite() & (half > 0)) if readable(half) else None


def _square(argument: str, center: Tensor, half: Tensor) -> Tensor:
    linear = torch.eye(2, device=half.device, dtype=half.dtype) / half[:, None, None]
    matrix = affine_matrix(linear, -center / half[:, None])
    if readable(matrix) and not (undone := has_inverse(matrix)).all():
        index = int(undone.argmin())
        got = f"an extent of {float(half[index]):g} units at index {index}"
        raise value_error(argument, "an extent and a place that a crop of a picture can have", got)
    return matrix
