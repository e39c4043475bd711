"""Position embeddings for another grid of patches."""

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from equicon._checks import value_error


def resample_positions(embedding: Tensor, prefix: int, grid: tuple[int, int], source: str) -> Tensor:
    """Resample a position embedding from a square grid to another grid, by bicubic interpolation.

    Args:
        embedding: (1, prefix + side², D).
        prefix: How many of its first positions belong to no place; they stay as they are.
        grid: The height and width of the new grid.
        source: What to call the embedding in an error.

    Returns:
        (1, prefix + height · width, D), of the same type; the same values if the grid is the same.

    Raises:
        ValueError: If the old grid is not square.
    """
    count = embedding.shape[1] - prefix
    side = math.isqrt(max(count, 0))
    if (side, side) == grid:
        return embedding
    if side == 0 or side * side != count:
        raise value_error(source, f"{prefix} + a square number of positions", f"{embedding.shape[1]} positions")
    places = _resize(embedding[:, prefix:].mT.unflatten(2, (side, side)), grid).flatten(2).mT
    return torch.cat([embedding[:, :prefix], places], 1)


def resample_biases(table: Tensor, like: Tensor) -> Tensor:
    """Resample a table ((2w − 1)², heads) of relative positions in a window of side w to the size of another table."""
    old, new = math.isqrt(len(table)), math.isqrt(len(like))
    if table.shape[1:] != like.shape[1:] or old == new or old**2 != len(table) or new**2 != len(like):
        return table
    return _resize(table.mT.unflatten(1, (old, old))[None], (new, new))[0].flatten(1).mT.contiguous()


def _resize(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (1, D, h, w). Sampling fewer places needs a low-pass filter first."""
    found = interpolate(grid.float(), size, mode="bicubic", align_corners=False, antialias=True)
    return found.to(grid.dtype)
