"""One anti-aliased interpolation of an image batch.

Where the map shrinks an image, it is read from a level of a pyramid (Williams 1983, "Pyramidal parametrics"), and each
image from one level alone: two would be two interpolations. Level 0 is the image. Level k ≥ 1 is the image halved
k − 1 times, each pixel then averaged with its neighbours (2 × 2): the blur of the next halving at twice its resolution,
so that reading it bilinearly blurs it little more.
"""

import math
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from equicon._checks import Size, readable
from equicon._frames import between_pixels, covered, extent_grid, extent_matrix, reflected
from equicon._matrix import at_least_float32, determinant

Mode: TypeAlias = Literal["bilinear", "nearest"]
PaddingMode: TypeAlias = Literal["zeros", "border", "reflection"]

# The shrinks from which levels 1 and 2 are nearest to what a camera would see (benchmarks/quality.py); from then on,
# each level serves an octave. They are no fractions: where a ratio of sizes was one, rounding would choose the level.
FIRST, SECOND = 2**0.25, 2**1.5

# Numbers of the source that a thread works on at a time: 2 MB stay in its cache, and below glibc's limit of 32 MB an
# allocation is used again, where a larger one costs the system's page faults each time.
_AT_A_TIME = 2**19


def last_level(source: Size, size: Size) -> int:
    """Count the levels that a view may need: for a shrink of twice the ratio of the sizes, as far as pixels go.

    The shrink is that of the whole map, for each image, so nothing about it is known on the host but that ratio. A
    stronger one is blurred as if it were that.
    """
    most = 2 * min(source) / min(size)
    wanted = 0 if most < FIRST else 1 if most < SECOND else 2 + math.floor(math.log2(most / SECOND))
    # Level k averages neighbours of an image halved k − 1 times, so there must be two.
    return min(wanted, max(0, math.ceil(math.log2(min(source)))))


def levels(matrix: Tensor, source: Size, size: Size, last: int) -> Tensor:
    """Choose a level for each image (B,) by the shrink of its unit-frame matrix (B, 3, 3)."""
    square = (min(source) / min(size)) ** 2 / determinant(matrix[:, :2, :2]).abs()
    level = torch.zeros_like(square, dtype=torch.int32)
    for k in range(1, last + 1):
        level = level + (square >= (FIRST if k == 1 else SECOND * 2 ** (k - 2)) ** 2)
    return level


def warp(
    images: Tensor, matrix: Tensor, size: Size, *, antialias: bool, mode: Mode, padding_mode: PaddingMode
) -> Tensor:
    """Warp images (B, C, H, W) by unit-frame matrices (B, 3, 3) to views (B, C, h, w).

    uint8 gives float32 in [0, 1], half precision float32, any other type itself.
    """
    source: Size = (images.shape[-2], images.shape[-1])
    matrix = matrix.to(torch.promote_types(images.dtype, torch.float32))
    last = last_level(source, size) if antialias and mode == "bilinear" else 0
    level, extent = levels(matrix, source, size, last), extent_matrix(matrix, source, size)
    if not readable(matrix):
        return _read_all(images, extent, level, last, size, mode, padding_mode)
    count = torch.get_num_threads() * max(1, _AT_A_TIME // math.prod(images.shape[1:]))
    parts = zip(images.split(count), extent.split(count), level.split(count), strict=True)
    return torch.cat([_read_few(*part, size, mode, padding_mode) for part in parts])


def _read_all(
    images: Tensor, extent: Tensor, level: Tensor, last: int, size: Size, mode: Mode, padding_mode: PaddingMode
) -> Tensor:
    """Read all images from all levels, and choose: nothing waits for the device to say which level it is."""
    views = _read(images, extent, 0, size, mode, padding_mode)
    for k in range(1, last + 1):
        views = torch.where(level[:, None, None, None] == k, _read(images, extent, k, size, mode, padding_mode), views)
    return views


def _read_few(
    images: Tensor, extent: Tensor, level: Tensor, size: Size, mode: Mode, padding_mode: PaddingMode
) -> Tensor:
    """Read each image from its level, where the level may be looked at."""
    present = level.unique().tolist()
    if len(present) <= 1:
        return _read(images, extent, present[0] if present else 0, size, mode, padding_mode)
    chosen = [(level == k).nonzero()[:, 0] for k in present]
    parts = [_read(images[i], extent[i], k, size, mode, padding_mode) for k, i in zip(present, chosen, strict=True)]
    return torch.cat(parts)[torch.cat(chosen).argsort()]


def _read(images: Tensor, extent: Tensor, level: int, size: Size, mode: Mode, padding_mode: PaddingMode) -> Tensor:
    """Read views from one level, at the places of ``extent_matrix``."""
    height, width = images.shape[-2:]
    scale = 1 / 255 if images.dtype == torch.uint8 else 1.0
    images = at_least_float32(images)
    x, y = extent_grid(extent, size)
    if padding_mode == "reflection":
        x, y, padding_mode = reflected(x, width), reflected(y, height), "border"
    if level == 0:
        views = _sample(images, x, y, mode, padding_mode)
        return views if scale == 1 else views * scale
    # Sums, not means: what they are divided by goes into the weight. And padding belongs to the source, not to a level,
    # whose half pixel would reach far into the picture: its border is continued, and it fades where the source does.
    weight: float | Tensor = scale / 4**level
    if padding_mode == "zeros":
        weight = (covered(x, width) * (covered(y, height) * weight))[:, None]
    stride = 2 ** (level - 1)
    if height % stride or width % stride:  # the last pixels again, where a level has a part of a pixel
        images = F.pad(images, (0, -width % stride, 0, -height % stride), mode="replicate")
    for _ in range(level - 1):
        images = _halve(images)
    images = _add_neighbours(images)
    return _sample(images, between_pixels(x, width, stride), between_pixels(y, height, stride), mode, "border") * weight


def _sample(images: Tensor, x: Tensor, y: Tensor, mode: Mode, padding_mode: PaddingMode) -> Tensor:
    return F.grid_sample(images, torch.stack([x, y], 1).permute(0, 2, 3, 1), mode, padding_mode, align_corners=False)


def _halve(images: Tensor) -> Tensor:
    """Add up squares of 2 × 2 pixels."""
    rows = images[:, :, ::2] + images[:, :, 1::2]  # a tenth of the time of avg_pool2d
    return rows[..., ::2] + rows[..., 1::2]


def _add_neighbours(images: Tensor) -> Tensor:
    """Add to each pixel its neighbours to the right, below, and both."""
    rows = images[:, :, 1:] + images[:, :, :-1]
    return rows[..., 1:] + rows[..., :-1]
