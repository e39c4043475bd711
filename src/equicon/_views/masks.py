"""Masks, of which a view shows the nearest pixels: their numbers are copied, and never rounded.

A warp computes in floating types. Above 2²⁴, float32 does not hold every whole number; above 2⁵³, float64 does not. So
the warp moves the numbers of the pixels, once for all channels, and then the values are looked up.
"""

import torch
from torch import Tensor

from equicon._checks import Size, readable
from equicon._views.view import make_view
from equicon._views.warp import PaddingMode

_AT_A_TIME = 4  # pictures whose numbers of pixels a CPU looks up at a time, so that these stay in its cache


def nearest_view(masks: Tensor, matrix: Tensor, size: Size, padding_mode: PaddingMode, fill: float) -> Tensor:
    """Make views (B, C, h, w) of masks (B, C, H, W), of any type, with ``fill`` where there is no pixel."""
    if readable(matrix) and len(masks) > _AT_A_TIME:
        views = masks.new_empty(*masks.shape[:2], *size)  # torch.cat would take new memory twice
        for start in range(0, len(masks), _AT_A_TIME):
            rows = slice(start, start + _AT_A_TIME)
            views[rows] = nearest_view(masks[rows], matrix[rows], size, padding_mode, fill)
        return views
    height, width = masks.shape[-2:]
    dtype = torch.promote_types(masks.dtype if masks.is_floating_point() else torch.uint8, torch.float32)
    if height * width >= 2**24:
        dtype = torch.float64
    count = torch.arange(1, height * width + 1, device=masks.device, dtype=dtype)
    pixels = count.view(1, 1, height, width).expand(masks.shape[0], -1, -1, -1)
    found = make_view(pixels, matrix, size, dtype=dtype, mode="nearest", padding_mode=padding_mode).long()
    kept = masks.dtype
    if kept in (torch.uint16, torch.uint32, torch.uint64):  # torch lacks most operations for them; int64 holds the bits
        masks, fill = masks.long(), int(fill) - 2**64 if fill >= 2**63 else int(fill)
    # Number 0 is what lies outside.
    known = torch.cat([torch.full_like(masks[..., :1, 0], fill), masks.flatten(2)], 2)
    chosen = known.gather(2, found.flatten(2).expand(-1, masks.shape[1], -1))
    return chosen.reshape(*masks.shape[:2], *size).to(kept)
