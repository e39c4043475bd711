"""Unit frame ↔ pixels: the only module that knows about half pixels and ``W − 1``.

The unit frame has its origin at the image's centre, x to the right, y down, and half of the shorter side as its unit. A
pixel whose centre is at integer x lies at ``u = (2x + 1 − W) / min(H, W)``.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from equicon._checks import Size
from equicon._matrix import affine_matrix, matvec


class _Axes(NamedTuple):
    """``u = scale · x + offset`` on each axis, as numbers of the host: a tensor of them would wait for the device."""

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float


def _unit_from_pixel(size: Size, resized: Size | None = None) -> _Axes:
    """Map pixels to the unit frame of an image of ``size``, of which ``resized`` pixels remain after a resize."""
    (height, width), unit = size, min(size)
    rows, columns = resized or size
    return _Axes(
        2 * width / (columns * unit),
        2 * height / (rows * unit),
        (width / columns - width) / unit,
        (height / rows - height) / unit,
    )


def _invert(axes: _Axes) -> _Axes:
    return _Axes(1 / axes.scale_x, 1 / axes.scale_y, -axes.offset_x / axes.scale_x, -axes.offset_y / axes.scale_y)


def _apply(axes: _Axes, xy: Tensor) -> Tensor:
    x, y = xy.unbind(-1)
    return torch.stack([x * axes.scale_x + axes.offset_x, y * axes.scale_y + axes.offset_y], -1)


def _conjugate(after: _Axes, matrix: Tensor, before: _Axes) -> Tensor:
    """Compute after ∘ matrix ∘ before."""
    linear, translation = matrix[:, :2, :2], matrix[:, :2, 2]
    columns = torch.stack([linear[:, :, 0] * before.scale_x, linear[:, :, 1] * before.scale_y], -1)
    rows = torch.stack([columns[:, 0] * after.scale_x, columns[:, 1] * after.scale_y], -2)
    offset = linear[:, :, 0] * before.offset_x + linear[:, :, 1] * before.offset_y + translation
    return affine_matrix(rows, _apply(after, offset))


def pixel_matrix(matrix: Tensor, size: Size, out_size: Size, resized: Size | None = None) -> Tensor:
    """Turn unit-frame matrices (B, 3, 3) into pixel matrices, from ``size`` (or what it was ``resized`` to)."""
    return _conjugate(_invert(_unit_from_pixel(out_size)), matrix, _unit_from_pixel(size, resized))


def unit_matrix(matrix: Tensor, size: Size, out_size: Size) -> Tensor:
    """Turn pixel matrices (B, 3, 3) into unit-frame matrices."""
    return _conjugate(_unit_from_pixel(out_size), matrix, _invert(_unit_from_pixel(size)))


def unit_points(xy: Tensor, size: Size) -> Tensor:
    """Turn pixels (..., 2) into unit-frame points."""
    return _apply(_unit_from_pixel(size), xy)


def pixel_points(xy: Tensor, size: Size) -> Tensor:
    """Turn unit-frame points (..., 2) into pixels."""
    return _apply(_invert(_unit_from_pixel(size)), xy)


def map_points(matrix: Tensor, xy: Tensor) -> Tensor:
    """Send points (B, ..., 2) through unit-frame matrices (B, 3, 3)."""
    translation = matrix[:, :2, 2]
    return matvec(matrix[:, :2, :2], xy) + translation.reshape(-1, *(1,) * (xy.ndim - 2), 2)
