"""Hints for error messages: how to fix a tensor of the wrong shape, and boxes or matrices in another format."""

import torch
from torch import Tensor

FIX_MATRIX = (
    "Wrap a pixel matrix with Affine.from_pixels(matrix, source, view), a unit-frame matrix with Affine(matrix)."
)
FIX_BOXES = "If these are x, y, width and height, add the first two to the last two."


def fix_images(images: Tensor) -> str:
    """Suggest how to turn (H, W), (C, H, W), (H, W, C), (B, H, W) or (B, T, C, H, W) into (B, C, H, W)."""
    shape = images.shape
    if len(shape) == 2:
        return "Add the batch dimension and the channel dimension: images[None, None]."
    if len(shape) == 5:
        return "Flatten what comes before the channels: images.flatten(0, 1)."
    if len(shape) != 3:
        return ""
    whole = images.dtype != torch.uint8 and not images.is_floating_point()
    if shape[0] in (1, 3) and not whole:
        masks = "; if these are three masks, add the channel dimension: images[:, None]" if shape[0] == 3 else ""
        return f"Add the batch dimension: images[None]{masks}."
    if shape[-1] in (1, 3, 4) and not whole:
        return "Bring the channels to the front, and add the batch dimension: images.permute(2, 0, 1)[None]."
    return "Add the channel dimension: images[:, None]. For one image of several channels, add the batch: images[None]."


def fix_shape(argument: str, value: Tensor, last: tuple[int, ...], ndim: int | None) -> str:
    """Suggest how to get the expected shape, such as the first two coordinates of points (B, N, 3)."""
    shape, count = value.shape, len(last)
    more = len(shape) >= count and all(have >= want for have, want in zip(shape[-count:], last, strict=True))
    rank = ndim is None or len(shape) == ndim
    if shape[-count:] == last:
        return f"Add the batch dimension: {argument}[None]." if len(shape) + 1 == ndim else ""
    if last == (4,) and shape[-2:] == (2, 2):
        return f"Write each as x1, y1, x2, y2: {argument}.flatten(-2)."
    if last == (2,) and shape[-1:] == (4,):
        return "Pass boxes to Affine's boxes or from_boxes."
    if last == (3, 3) and shape[-2:] == (2, 3):
        return "Pass pixel matrices of two rows to Affine.from_pixels."
    if rank and more and len(shape) > count and all(want <= 4 for want in last):
        return f"Leave out the rest: {argument}[..., {', '.join(f':{want}' for want in last)}]."
    return ""
