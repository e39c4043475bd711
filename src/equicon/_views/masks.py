"""Masks of whole numbers, split into words that a warp by ``nearest`` moves without rounding.

A warp computes in floating types. Above 2²⁴, float32 does not hold every whole number; above 2⁵³, float64 does not. But
both hold 16 bits. So wider masks are warped as several channels of 16 bits, which all read the same pixel.
"""

import torch
from torch import Tensor


def to_words(masks: Tensor) -> Tensor:
    """Split masks (B, C, H, W) of whole numbers or bool into words of 16 bits (B, k·C, H, W)."""
    if masks.dtype.itemsize == 1:
        return masks.to(torch.int16)
    wide = masks.long()  # by arithmetic, since vmap of torch 2.11 cannot view bits as another type
    return torch.cat([(wide >> bits & 0xFFFF).int() for bits in _bits(masks.dtype)], 1)


def from_words(words: Tensor, dtype: torch.dtype) -> Tensor:
    """Join words (B, k·C, h, w) to masks (B, C, h, w) of the type that they were split from."""
    if dtype.itemsize == 1:
        return words.to(dtype)
    parts = words.long().chunk(dtype.itemsize // 2, 1)
    return torch.stack([part << bits for part, bits in zip(parts, _bits(dtype), strict=True)]).sum(0).to(dtype)


def _bits(dtype: torch.dtype) -> range:
    return range(0, 8 * dtype.itemsize, 16)
