"""Views on a CPU: a few images at a time, so that they stay in the cache, each read from its own pyramid level."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from equicon._checks import Size
from equicon._views.color import ColorMap, Normalization, finish
from equicon._views.warp import Mode, PaddingMode, read

# How many numbers of the source a CPU works on at a time: for each thread, and in all. For a thread they are 2 MB, to
# stay in its cache. In all they are small beside the views, so that the allocator has memory for them at hand. New
# memory costs a page fault for each 4 kB, which takes longer than the work on it.
_AT_A_TIME, _AT_MOST = 2**19, 2**22


def cached_view(
    images: Tensor,
    matrix: Tensor,
    size: Size,
    level: Tensor,
    color: ColorMap | None,
    normalization: Normalization | None,
    dtype: torch.dtype,
    memory_format: torch.memory_format,
    mode: Mode,
    padding_mode: PaddingMode,
) -> Tensor:
    """Make views (B, C, h, w) of images by unit-frame matrices (B, 3, 3), each from its pyramid level (B,).

    The values of ``level`` are read.
    """
    views = torch.empty(*images.shape[:2], *size, dtype=dtype, device=images.device, memory_format=memory_format)
    numbers = math.prod(images.shape[1:])
    at_a_time = max(1, min(torch.get_num_threads() * max(1, _AT_A_TIME // numbers), _AT_MOST // numbers))
    known = level.tolist()
    for k in sorted(set(known)):
        alike = [i for i, other in enumerate(known) if other == k]
        for start in range(0, len(alike), at_a_time):
            rows = alike[start : start + at_a_time]
            part = read(_rows(images, rows), _rows(matrix, rows), size, k, mode, padding_mode)
            colors = None if color is None else replace(color, matrix=_rows(color.matrix, rows))
            part = finish(part, colors, normalization)
            if _follow(rows):
                views[rows[0] : rows[-1] + 1] = part
            else:
                for i, view in zip(rows, part, strict=True):
                    views[i] = view
    return views


def _follow(rows: Sequence[int]) -> bool:
    """Tell whether ascending row numbers are consecutive."""
    return rows[-1] - rows[0] + 1 == len(rows)


def _rows(batch: Tensor, rows: Sequence[int]) -> Tensor:
    """Select rows of a batch. Consecutive rows come as a view, without a copy."""
    if _follow(rows):
        return batch[rows[0] : rows[-1] + 1]
    return torch.cat([batch[i : i + 1] for i in rows])  # takes a fifth of the time of index_select
