"""One anti-aliased interpolation of an image batch, by Kornia's warp."""

import math
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from kornia.geometry.transform import warp_affine
from torch import Tensor

from equicon._checks import Size
from equicon._frames import pixel_matrix
from equicon._matrix import at_least_float32, determinant

Mode: TypeAlias = Literal["bilinear", "nearest"]
PaddingMode: TypeAlias = Literal["zeros", "border", "reflection"]


def as_float(images: Tensor) -> Tensor:
    """Bring images to the type that they are computed in: uint8 to float32 in [0, 1], half precision to float32."""
    return images.float() / 255 if images.dtype == torch.uint8 else at_least_float32(images)


def warp(
    images: Tensor, matrix: Tensor, size: Size, *, antialias: bool, mode: Mode, padding_mode: PaddingMode
) -> Tensor:
    """Warp floating images (B, C, H, W) by unit-frame matrices (B, 3, 3) to views (B, C, h, w).

    Where the map shrinks an image, it is read from a pyramid of halved images, blended between two levels (Williams
    1983, "Pyramidal parametrics"). A shrink by s wants the blur of a box of side s; level k has that of side 2^k, and
    reading it bilinearly adds about as much again, so levels are blended to a mean square side of (1 + s²) / 2. The
    shrink is that of the whole map, per image, so nothing about it is known on the host but the ratio of the sizes:
    there are levels for a shrink of twice that, and a stronger one is blurred as if it were that.
    """
    source: Size = (images.shape[-2], images.shape[-1])
    matrix = matrix.to(images.dtype)
    ratio = min(source) / min(size)
    levels = max(0, math.ceil(math.log((1 + (2 * ratio) ** 2) / 2, 4))) if antialias and mode == "bilinear" else 0
    views = _read(images, matrix, source, size, mode, padding_mode)
    if levels == 0:
        return views
    square = (1 + ratio**2 / determinant(matrix[:, :2, :2]).abs()) / 2
    square = square.clamp(1, 4**levels)[:, None, None, None]
    views = ((4 - square) / 3).clamp(min=0) * views
    # Padding belongs to the source, not to a level, whose half pixel would reach far into the picture: levels are read
    # with their border continued, and fade where the source does.
    covered = (
        1.0
        if padding_mode != "zeros"
        else _read(images.new_ones(()).expand(len(images), 1, *source), matrix, source, size, mode, padding_mode)
    )
    beyond: PaddingMode = "border" if padding_mode == "zeros" else padding_mode
    for k in range(1, levels + 1):
        images = _halve(images)
        rising, falling = (square - 4 ** (k - 1)) / (3 * 4 ** (k - 1)), (4 ** (k + 1) - square) / (3 * 4**k)
        weight = torch.minimum(rising, falling).clamp(min=0)
        views = views + weight * covered * _read(images, matrix, source, size, mode, beyond)
    return views


def _halve(images: Tensor) -> Tensor:
    """Low-pass and halve, rounding up; an image's extent stays where it is."""
    height, width = images.shape[-2:]
    half = (math.ceil(height / 2), math.ceil(width / 2))
    if height % 2 == width % 2 == 0:
        return F.avg_pool2d(images, 2)
    return F.interpolate(images, half, mode="bilinear", antialias=True, align_corners=False)


def _read(images: Tensor, matrix: Tensor, source: Size, size: Size, mode: Mode, padding_mode: PaddingMode) -> Tensor:
    resized: Size = (images.shape[-2], images.shape[-1])
    pixels = pixel_matrix(matrix, source, size, resized)
    # Kornia 0.9.0 closes this form itself; align_corners=True is its convention of integer pixel centres.
    return warp_affine(images, pixels[:, :2], size, mode=mode, padding_mode=padding_mode, align_corners=True)
