"""Unit frame ↔ pixels: the only module that knows about half pixels and ``W − 1``.

The unit frame has its origin at the image's centre, x to the right, y down, and half of the shorter side as its unit. A
pixel whose centre is at integer x lies at ``u = (2x + 1 − W) / min(H, W)``.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from equicon._checks import Size
from equicon._plane.matrix import affine_matrix, inverse_affine, matvec


class Axes(NamedTuple):
    """``u = scale · x + offset`` on each axis. They are Python numbers: a tensor of them would wait for the device."""

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float


SAME = Axes(1.0, 1.0, 0.0, 0.0)


def unit_from_pixel(size: Size) -> Axes:
    """Return the map from an image's pixels to its units."""
    (height, width), unit = size, min(size)
    return Axes(2 / unit, 2 / unit, (1 - width) / unit, (1 - height) / unit)


def half_spans(size: Size) -> tuple[float, float]:
    """Return the distances of the outermost pixel centres from an image's centre, in its units, along x and y."""
    axes = unit_from_pixel(size)
    return -axes.offset_x, -axes.offset_y


def edges(size: Size) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of an image in its pixels: half a pixel beyond the outermost centres."""
    return -0.5, -0.5, size[1] - 0.5, size[0] - 0.5


def within(xy: Tensor, size: Size) -> Tensor:
    """Tell which points (..., 2), in pixels of an image, lie on it. NaN does not."""
    (x, y), (left, top, right, bottom) = xy.unbind(-1), edges(size)
    return (x >= left) & (x <= right) & (y >= top) & (y <= bottom)


def pixel_from_unit(size: Size) -> Axes:
    """Return the map from an image's units to its pixels."""
    return _invert(unit_from_pixel(size))


def _extent_from_unit(size: Size) -> Axes:
    """Return the map from units to the extent frame, where the picture is [−1, 1] on each axis.

    The picture reaches half a pixel beyond its outermost pixel centres.
    """
    (height, width), unit = size, min(size)
    return Axes(unit / width, unit / height, 0.0, 0.0)


def _invert(axes: Axes) -> Axes:
    return Axes(1 / axes.scale_x, 1 / axes.scale_y, -axes.offset_x / axes.scale_x, -axes.offset_y / axes.scale_y)


def apply(axes: Axes, xy: Tensor) -> Tensor:
    """Map points (..., 2)."""
    x, y = xy.unbind(-1)
    return torch.stack([x * axes.scale_x + axes.offset_x, y * axes.scale_y + axes.offset_y], -1)


def _conjugate(after: Axes, matrix: Tensor, before: Axes) -> Tensor:
    """Compute after ∘ matrix ∘ before."""
    linear, translation = matrix[:, :2, :2], matrix[:, :2, 2]
    columns = torch.stack([linear[:, :, 0] * before.scale_x, linear[:, :, 1] * before.scale_y], -1)
    rows = torch.stack([columns[:, 0] * after.scale_x, columns[:, 1] * after.scale_y], -2)
    offset = linear[:, :, 0] * before.offset_x + linear[:, :, 1] * before.offset_y + translation
    return affine_matrix(rows, apply(after, offset))


def pixel_matrix(matrix: Tensor, source: Size, view: Size) -> Tensor:
    """Turn unit-frame matrices (B, 3, 3) into pixel matrices."""
    return _conjugate(pixel_from_unit(view), matrix, unit_from_pixel(source))


def extent_matrix(matrix: Tensor, source: Size, view: Size) -> Tensor:
    """Return matrices (B, 3, 3) from the pixels of a view to the source's extent, [−1, 1]²."""
    return _conjugate(_extent_from_unit(source), inverse_affine(matrix), unit_from_pixel(view))


def corners_from_extent(size: Size) -> Axes:
    """Return the map from a picture's extent to the frame where its outermost pixel centres lie at −1 and 1."""
    scale_x, scale_y = (n / max(n - 1, 1) for n in reversed(size))  # a single pixel is read at every place
    return Axes(scale_x, scale_y, 0.0, 0.0)


def between_pixels(size: Size, stride: int) -> Axes:
    """Return the map from a source's extent to the extent of the places midway between the pixels of a pyramid level.

    On each axis a pixel of the level stands for ``stride`` pixels of the source; the last may stand for fewer.
    """
    (height, width), (rows, columns) = size, (math.ceil(n / stride) - 1 for n in size)
    scale_x, scale_y = width / (stride * columns), height / (stride * rows)
    return Axes(scale_x, scale_y, scale_x - 1 / columns - 1, scale_y - 1 / rows - 1)


def pixel_from_level(stride: int) -> Axes:
    """Return the map from places midway between the pixels of a level, counted from 0, to the source's pixels."""
    return Axes(stride, stride, stride - 0.5, stride - 0.5)


def after(axes: Axes, matrix: Tensor) -> Tensor:
    """Compute axes ∘ matrix (B, 3, 3)."""
    return _conjugate(axes, matrix, SAME)


def before(matrix: Tensor, axes: Axes) -> Tensor:
    """Compute matrix (B, 3, 3) ∘ axes."""
    return _conjugate(SAME, matrix, axes)


def grid(matrix: Tensor, view: Size) -> Tensor:
    """Map every pixel of the views by matrices (B, 3, 3): places (B, h, w, 2), stored as two planes."""
    rows, columns = (torch.arange(n, device=matrix.device, dtype=matrix.dtype) for n in view)
    x = matrix[:, :2, 0, None] * columns
    y = matrix[:, :2, 1, None] * rows + matrix[:, :2, 2, None]
    # Not affine_grid: it is a matrix product, which takes as long as the interpolation.
    return (x[:, :, None, :] + y[:, :, :, None]).permute(0, 2, 3, 1)


def covered(places: Tensor, size: Size) -> Tensor:
    """Return the share (B, h, w) of a bilinear read at places (B, h, w, 2) of the extent that lies on pixels."""
    x, y = (torch.rsub(places[..., i].abs(), (n + 1) / 2, alpha=n / 2) for i, n in enumerate(reversed(size)))
    return x.clamp(0, 1) * y.clamp(0, 1)


def reflected(places: Tensor, size: Size) -> Tensor:
    """Reflect places (B, h, w, 2) of the extent about the outermost pixel centres, as Kornia's warp does."""
    folded = []
    for place, n in zip(places.unbind(-1), reversed(size), strict=True):
        last = 1 - 1 / n
        period = 4 * last or 1.0  # a single pixel is read at every place
        folded.append((torch.remainder(place - last, period) - 2 * last).abs().clamp(max=last * 2) - last)
    return torch.stack(folded, -1)


def unit_matrix(matrix: Tensor, source: Size, view: Size) -> Tensor:
    """Turn pixel matrices (B, 3, 3) into unit-frame matrices."""
    return _conjugate(unit_from_pixel(view), matrix, pixel_from_unit(source))


def unit_points(xy: Tensor, size: Size) -> Tensor:
    """Turn pixels (..., 2) into unit-frame points."""
    return apply(unit_from_pixel(size), xy)


def pixel_points(xy: Tensor, size: Size) -> Tensor:
    """Turn unit-frame points (..., 2) into pixels."""
    return apply(pixel_from_unit(size), xy)


def map_points(matrix: Tensor, xy: Tensor) -> Tensor:
    """Map points (B, ..., 2) by unit-frame matrices (B, 3, 3)."""
    translation = matrix[:, :2, 2]
    return matvec(matrix[:, :2, :2], xy) + translation.reshape(-1, *(1,) * (xy.ndim - 2), 2)
