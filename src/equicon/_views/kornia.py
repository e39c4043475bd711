"""Views by Kornia's warp, the reference: all pyramid levels are warped, and each view is taken from its own level.

Kornia inverts the matrices in closed form and makes the grid. It fills its constants on the device, so nothing waits
for the device. Only sizes are looked at, never values. So this serves gradients to images and matrices, ``vmap``,
traces, tensors without values, and any number of channels.
"""

import torch
from kornia.geometry.transform import remap, warp_affine
from torch import Tensor

from equicon._checks import Size
from equicon._devices import NO_BORDER
from equicon._exact import rounded_to
from equicon._plane.frames import (
    apply,
    before,
    between_pixels,
    extent_matrix,
    grid,
    pixel_from_level,
    pixel_matrix,
    reflected,
)
from equicon._views.warp import Mode, PaddingMode, sums


def why_not_kornia(images: Tensor) -> str:
    """Say why Kornia's warp cannot make exact views of these images; "" if it can.

    Kornia multiplies matrices by ``@``. If products of float32 are rounded to TF32, a 128 × 128 view of a 224 × 224
    image is shifted by up to 0.21 pixels (median 0.05; in float32 2e-5).
    """
    if images.device.type in NO_BORDER:
        return f"{images.device.type} cannot continue a picture's border"
    if images.dtype == torch.float64:
        return ""
    if torch.compiler.is_compiling():
        return "a compiled call cannot tell whether products of float32 matrices are rounded"
    rounded = rounded_to(images.device)
    return f"products of float32 matrices are rounded to {rounded}" if rounded else ""


def warped_view(
    images: Tensor, matrix: Tensor, size: Size, level: Tensor, last: int, mode: Mode, padding_mode: PaddingMode
) -> Tensor:
    """Warp images (B, C, H, W) by unit-frame matrices (B, 3, 3) from their levels (B,), 0 to ``last``."""
    source = (images.shape[-2], images.shape[-1])
    matrix = matrix.to(torch.promote_types(images.dtype, torch.float32))
    scale = 1 / 255 if images.dtype == torch.uint8 else 1.0
    to_view = pixel_matrix(matrix, source, size)
    covered, places = torch.ones_like(matrix[:, :1, :1, None]), matrix
    if padding_mode == "zeros" and last > 0:
        # Zeros begin at the border of the source. At a level, half a pixel would reach far into the picture. So views
        # of a level continue its border, and are multiplied by the warp of a white picture of the source's size.
        white = covered.expand(-1, 1, *source)
        covered = warp_affine(white, to_view[:, :2], size, mode, "zeros", align_corners=False)
    if padding_mode == "reflection" and last > 1:
        places = reflected(grid(extent_matrix(matrix, source, size), size), source)
    views = images
    for k in range(last + 1):
        picture = sums(images, k)
        if k > 1 and padding_mode == "reflection":  # about the source's outermost pixels, which a level lacks
            x, y = apply(between_pixels(source, 2 ** (k - 1)), places).unbind(-1)
            warped = remap(picture, x, y, mode, "border", align_corners=False, normalized_coordinates=True)
        else:
            # Level 1 reflects half a pixel beyond its outermost places, which is at the source's outermost pixels.
            padding = "border" if k > 0 and padding_mode == "zeros" else padding_mode
            corners = k == 0 and padding_mode == "reflection"  # with True, a single pixel has no extent
            from_level = to_view if k == 0 else before(to_view, pixel_from_level(2 ** (k - 1)))
            warped = warp_affine(picture, from_level[:, :2], size, mode, padding, align_corners=corners)
        if k > 0:
            warped = warped * (covered * (scale / 4**k))
        elif scale != 1:
            warped = warped * scale
        views = warped if k == 0 else torch.where(level[:, None, None, None] == k, warped, views)
    return views
