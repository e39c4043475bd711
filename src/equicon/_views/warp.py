"""One anti-aliased interpolation of an image batch.

Where the map shrinks an image, it is read from a level of a pyramid (Williams 1983, "Pyramidal parametrics"), and each
image from one level alone: two would be two interpolations. Level 0 is the image. Level k ≥ 1 is the image halved
k − 1 times, each pixel then averaged with its neighbours (2 × 2): the blur of the next halving at twice its resolution,
so that reading it bilinearly blurs it little more.
"""

from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from equicon._checks import Size
from equicon._devices import NO_BORDER
from equicon._plane.frames import (
    SAME,
    after,
    apply,
    between_pixels,
    corners_from_extent,
    covered,
    extent_matrix,
    grid,
    reflected,
)
from equicon._plane.matrix import at_least_float32, determinant

Mode: TypeAlias = Literal["bilinear", "nearest"]
"""How pixels are read: ``nearest`` for masks."""
PaddingMode: TypeAlias = Literal["zeros", "border", "reflection"]
"""What lies outside the source: zeros, its outermost pixels again, or its reflection about their centres."""

# The shrinks from which levels 1 and 2 are nearest to what a camera would see (benchmarks/quality.py); from then on,
# each level serves an octave. They are no fractions: where a ratio of sizes was one, rounding would choose the level.
FIRST, SECOND = 2**0.25, 2**1.5


def _least_shrink(level: int) -> float:
    """Tell from which shrink on images are read from a level ≥ 1."""
    return FIRST if level == 1 else SECOND * 2 ** (level - 2)


def last_level(source: Size, size: Size) -> int:
    """Count the levels that a view may need: for a shrink of twice the ratio of the sizes, as far as pixels go.

    The shrink is that of the whole map, for each image, so nothing about it is known on the host but that ratio. A
    stronger one is blurred as if it were that.
    """
    most, last = 2 * min(source) / min(size), 0
    # Level k averages neighbours of an image halved k − 1 times, so there must be two.
    while most >= _least_shrink(last + 1) and min(source) > 2**last:
        last += 1
    return last


def levels(matrix: Tensor, source: Size, size: Size, last: int) -> Tensor:
    """Choose a level for each image (B,) by the shrink of its unit-frame matrix (B, 3, 3)."""
    square = (min(source) / min(size)) ** 2 / determinant(matrix[:, :2, :2]).abs()
    level = torch.zeros_like(square, dtype=torch.int32)
    for k in range(1, last + 1):
        level = level + (square >= _least_shrink(k) ** 2)
    return level


def read_all(
    images: Tensor, matrix: Tensor, size: Size, level: Tensor, last: int, mode: Mode, padding_mode: PaddingMode
) -> Tensor:
    """Read all images from all levels, and choose: where levels may not be looked at, or would be waited for."""
    views = read(images, matrix, size, 0, mode, padding_mode)
    for k in range(1, last + 1):
        views = torch.where(level[:, None, None, None] == k, read(images, matrix, size, k, mode, padding_mode), views)
    return views


def read(images: Tensor, matrix: Tensor, size: Size, level: int, mode: Mode, padding_mode: PaddingMode) -> Tensor:
    """Read views (B, C, h, w) of images (B, C, H, W) from one level, by unit-frame matrices (B, 3, 3).

    uint8 gives float32 in [0, 1], half precision float32, any other type itself.
    """
    source = (images.shape[-2], images.shape[-1])
    scale = 1 / 255 if images.dtype == torch.uint8 else 1.0
    extent = extent_matrix(matrix.to(torch.promote_types(images.dtype, torch.float32)), source, size)
    # To fold a grid of our own takes as long as to read it. torch folds while it reads, at the outermost centres or
    # half a pixel beyond them, which is where level 1 has the source's. Masks would see its rounding.
    folds_itself = mode == "bilinear" and level < 2 and images.device.type not in NO_BORDER
    folded = padding_mode == "reflection" and not folds_itself
    if level == 0 and not folded:
        corners = padding_mode == "reflection"
        places = grid(after(corners_from_extent(source), extent) if corners else extent, size)
        views = _sample(at_least_float32(images), places, mode, padding_mode, corners)
        return views if scale == 1 else views * scale
    # Sums, not means: what they are divided by goes into the weight. And padding belongs to the source, not to a level,
    # whose half pixel would reach far into the picture: its border is continued, and it fades where the source does.
    weight: float | Tensor = scale / 4**level
    if padding_mode == "zeros":
        weight = (covered(grid(extent, size), source) * weight)[:, None]
    between = SAME if level == 0 else between_pixels(source, 2 ** (level - 1))
    places = apply(between, reflected(grid(extent, size), source)) if folded else grid(after(between, extent), size)
    beyond: PaddingMode = "reflection" if padding_mode == "reflection" and not folded else "border"
    return _sample(sums(images, level), places, mode, beyond) * weight


def _sample(pictures: Tensor, places: Tensor, mode: Mode, padding_mode: PaddingMode, corners: bool = False) -> Tensor:
    """Read pictures (B, C, H, W) at places (B, h, w, 2) of their extent, or of what lies between their corners."""
    if padding_mode == "border" and pictures.device.type in NO_BORDER:
        rows, columns = pictures.shape[-2:]
        x, y = (place.clamp(1 / n - 1, 1 - 1 / n) for place, n in zip(places.unbind(-1), (columns, rows), strict=True))
        places, padding_mode = torch.stack([x, y], -1), "zeros"  # none of which lie between the outermost pixels
    return F.grid_sample(pictures, places, mode, padding_mode, align_corners=corners)


def sums(images: Tensor, level: int) -> Tensor:
    """Make a level's picture: the sums of the 4ᵏ pixels that each of its places is the mean of."""
    if images.dtype == torch.uint8 and level == 1:
        return _add_neighbours(images.to(torch.int16)).float()  # half the memory to go through
    images = at_least_float32(images)
    if level == 0:
        return images
    stride, (height, width) = 2 ** (level - 1), images.shape[-2:]
    if height % stride or width % stride:  # the last pixels again, where the level has a part of a pixel
        images = F.pad(images, (0, -width % stride, 0, -height % stride), mode="replicate")
    for _ in range(level - 1):
        images = _halve(images)
    return _add_neighbours(images)


def _halve(images: Tensor) -> Tensor:
    """Add up squares of 2 × 2 pixels."""
    rows = images[:, :, ::2] + images[:, :, 1::2]  # a tenth of the time of avg_pool2d
    return rows[..., ::2] + rows[..., 1::2]


def _add_neighbours(images: Tensor) -> Tensor:
    """Add to each pixel its neighbours to the right, below, and both."""
    rows = images[:, :, 1:] + images[:, :, :-1]
    return rows[..., 1:] + rows[..., :-1]
