"""One anti-aliased interpolation of an image batch.

Where the map shrinks an image, the image is read from a level of a pyramid (Williams 1983, "Pyramidal parametrics").
Each image is read from one level only, since two would be two interpolations. Level 0 is the image. Level k ≥ 1 is the
image halved k − 1 times, after which each pixel is averaged with its neighbours (2 × 2). So a level has the blur of the
next halving at twice its resolution, and a bilinear read adds little blur.
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
"""How pixels are interpolated: ``nearest`` is for masks."""
PaddingMode: TypeAlias = Literal["zeros", "border", "reflection"]
"""What lies outside the source: zeros, its outermost pixels repeated, or its reflection about their centres."""

# The shrink factors from which levels 1 and 2 are nearest to what a camera would see (benchmarks/quality.py). Each
# later level serves an octave. The factors are irrational: if a ratio of sizes equalled one, rounding would choose.
FIRST, SECOND = 2**0.25, 2**1.5


def _least_shrink(level: int) -> float:
    """Return the least shrink factor for which images are read from a level ≥ 1."""
    return FIRST if level == 1 else SECOND * 2 ** (level - 2)


def last_level(source: Size, size: Size) -> int:
    """Return the last level that a view may need: the level for a shrink by twice the ratio of the sizes.

    The shrink of each image is that of its whole map. The host does not read the map, so it only knows the ratio of the
    sizes. A stronger shrink is blurred as if it were twice that ratio. Small images have fewer levels.
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
    """Read all images from all levels, and select: for levels whose values cannot be read, or not without waiting."""
    views = read(images, matrix, size, 0, mode, padding_mode)
    for k in range(1, last + 1):
        views = torch.where(level[:, None, None, None] == k, read(images, matrix, size, k, mode, padding_mode), views)
    return views


def read(images: Tensor, matrix: Tensor, size: Size, level: int, mode: Mode, padding_mode: PaddingMode) -> Tensor:
    """Read views (B, C, h, w) of images (B, C, H, W) from one level, by unit-frame matrices (B, 3, 3).

    uint8 images give float32 in [0, 1], half precision gives float32, and any other type stays.
    """
    source = (images.shape[-2], images.shape[-1])
    scale = 1 / 255 if images.dtype == torch.uint8 else 1.0
    extent = extent_matrix(matrix.to(torch.promote_types(images.dtype, torch.float32)), source, size)
    # Reflecting a grid of our own takes as long as reading it. grid_sample reflects while it reads: about the outermost
    # centres, or half a pixel beyond them, where level 1 has those of the source. Its rounding would show in masks.
    folds_itself = mode == "bilinear" and level < 2 and images.device.type not in NO_BORDER
    folded = padding_mode == "reflection" and not folds_itself
    if level == 0 and not folded:
        corners = padding_mode == "reflection"
        places = grid(after(corners_from_extent(source), extent) if corners else extent, size)
        views = _sample(at_least_float32(images), places, mode, padding_mode, corners)
        return views if scale == 1 else views * scale
    # Levels hold sums, not means, so the weight contains the divisor. Padding begins at the border of the source: at a
    # level, half a pixel would reach far into the picture. So the level's border is continued, and the weight fades out
    # where the source ends.
    weight: float | Tensor = scale / 4**level
    if padding_mode == "zeros":
        weight = (covered(grid(extent, size), source) * weight)[:, None]
    between = SAME if level == 0 else between_pixels(source, 2 ** (level - 1))
    places = apply(between, reflected(grid(extent, size), source)) if folded else grid(after(between, extent), size)
    beyond: PaddingMode = "reflection" if padding_mode == "reflection" and not folded else "border"
    return _sample(sums(images, level), places, mode, beyond) * weight


def _sample(pictures: Tensor, places: Tensor, mode: Mode, padding_mode: PaddingMode, corners: bool = False) -> Tensor:
    """Read pictures (B, C, H, W) at places (B, h, w, 2) of their extent; ``corners``: between outermost centres."""
    if padding_mode == "border" and pictures.device.type in NO_BORDER:
        rows, columns = pictures.shape[-2:]
        x, y = (place.clamp(1 / n - 1, 1 - 1 / n) for place, n in zip(places.unbind(-1), (columns, rows), strict=True))
        places, padding_mode = torch.stack([x, y], -1), "zeros"  # clamped places never reach the zeros
    return F.grid_sample(pictures, places, mode, padding_mode, align_corners=corners)


def sums(images: Tensor, level: int) -> Tensor:
    """Make the picture of level k: at each place, the sum of the 4ᵏ pixels that it averages."""
    if images.dtype == torch.uint8 and level == 1:
        return _add_neighbours(images.to(torch.int16)).float()  # int16 halves the memory to go through
    images = at_least_float32(images)
    if level == 0:
        return images
    stride, (height, width) = 2 ** (level - 1), images.shape[-2:]
    if height % stride or width % stride:  # repeat the last pixels to fill the last one of the level
        images = F.pad(images, (0, -width % stride, 0, -height % stride), mode="replicate")
    for _ in range(level - 1):
        images = _halve(images)
    return _add_neighbours(images)


def _halve(images: Tensor) -> Tensor:
    """Add up squares of 2 × 2 pixels."""
    rows = images[:, :, ::2] + images[:, :, 1::2]  # takes a tenth of the time of avg_pool2d
    return rows[..., ::2] + rows[..., 1::2]


def _add_neighbours(images: Tensor) -> Tensor:
    """Add to each pixel its neighbours to the right, below, and both."""
    rows = images[:, :, 1:] + images[:, :, :-1]
    return rows[..., 1:] + rows[..., :-1]
