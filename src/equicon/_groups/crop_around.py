"""Squares about boxes and points, as matrices that send each square to [−1, 1]²."""

import torch
from torch import Tensor

from equicon._checks import Size, readable, value_error
from equicon._plane.frames import unit_points
from equicon._plane.matrix import affine_matrix, at_least_float32
from equicon._plane.values import has_inverse


def around_boxes(boxes: Tensor, source: Size, margin: float) -> Tensor:
    """Crop squares about boxes (B, 4), of side margin times the longer side of each: matrices (B, 3, 3)."""
    corners = unit_points(at_least_float32(boxes).unflatten(-1, (2, 2)), source)
    extent = corners[:, 1] - corners[:, 0]
    # A box that is turned inside out on one axis is as wrong as an empty one.
    half = torch.where((extent < 0).any(-1), extent.amin(-1), extent.amax(-1)) / 2
    return _square("boxes", corners.mean(1), half * margin)


def around_points(xy: Tensor, source: Size, margin: float) -> Tensor:
    """Crop squares about the means of points (B, N, 2), of half-side margin times the largest distance."""
    points = unit_points(at_least_float32(xy), source)
    center = points.mean(1)
    half = (points - center[:, None]).norm(dim=-1).amax(-1) * margin
    return _square("xy", center, half)


def _square(argument: str, center: Tensor, half: Tensor) -> Tensor:
    if readable(half) and not bool((half.isfinite() & (half > 0)).all()):
        index = int((~(half.isfinite() & (half > 0))).nonzero()[0])
        raise value_error(
            argument,
            "a finite extent above 0",
            f"an extent of {float(half[index]):g} at index {index}",
            "x2 and y2 must lie beyond x1 and y1, and points must not all be one.",
        )
    linear = torch.eye(2, device=half.device, dtype=half.dtype) / half[:, None, None]
    matrix = affine_matrix(linear, -center / half[:, None])
    if readable(matrix) and not (undone := has_inverse(matrix)).all():
        index = int((~undone).nonzero()[0][0])
        got = f"an extent of {float(half[index]):g} units at index {index}"
        raise value_error(argument, "an extent and a place within reach of a picture", got)
    return matrix
