"""A whole view: interpolation, colour, normalisation, type and memory format.

Three ways make the same views: a Triton kernel on a GPU; on a CPU a few images at a time, each from its own level,
while they are in the cache; and where the kernel does not serve and levels may not be looked at, torch's functions over
all levels: compiled, transformed, and on a GPU without Triton, with a gradient, or of other than three channels.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from equicon._checks import Size, concrete, readable, type_error, value_error
from equicon._views.color import ColorMap, Normalization
from equicon._views.warp import Mode, PaddingMode, last_level, levels, read, read_all

# Numbers of the source that a CPU works on at a time, for each thread and at most: 2 MB stay in a thread's cache, and
# what is small beside the views is memory that the allocator has at hand. New memory costs a page fault for each 4 kB,
# which takes longer than to work on it.
_AT_A_TIME, _AT_MOST = 2**19, 2**22


@cache
def has_triton() -> bool:
    """Tell whether Triton is installed: it comes with the CUDA builds of torch alone."""
    return find_spec("triton") is not None


def is_recent(device: torch.device) -> bool:
    """Tell whether the kernels compile for a GPU."""
    return torch.cuda.get_device_capability(device) >= (7, 5)


def why_not_triton(images: Tensor, matrix: Tensor, color: ColorMap | None) -> str:
    """Tell why the Triton kernel cannot make a view of these images, nothing where it can."""
    inputs = [images, matrix] if color is None else [images, matrix, color.matrix]
    if not concrete(matrix):
        return "the call is compiled, traced or transformed"
    if images.device.type != "cuda":
        return f"images are on {images.device.type}"
    if os.environ.get("EQUICON_TRITON") == "0":
        return "EQUICON_TRITON=0"
    if not has_triton():
        return "Triton is not installed"
    if not is_recent(images.device):
        return "the GPU is older than Turing"
    if images.shape[1] != 3:
        return f"images have {images.shape[1]} channels, and not 3"
    if images.dtype not in (torch.uint8, torch.float16, torch.bfloat16, torch.float32):
        return f"images are {str(images.dtype).removeprefix('torch.')}"
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        return "a gradient is asked for"
    if any(unpack_dual(tensor).tangent is not None for tensor in inputs):
        return "a forward gradient is asked for"
    return ""


def check_output(dtype: torch.dtype, memory_format: torch.memory_format) -> torch.dtype:
    """Check what views are to be written as."""
    if dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        raise type_error("dtype", "torch.float16, bfloat16, float32 or float64", repr(dtype))
    if memory_format not in (torch.contiguous_format, torch.channels_last):
        raise value_error("memory_format", "torch.contiguous_format or torch.channels_last", repr(memory_format))
    return dtype


def make_view(
    images: Tensor,
    matrix: Tensor,
    size: Size,
    *,
    dtype: torch.dtype,
    color: ColorMap | None = None,
    normalization: Normalization | None = None,
    memory_format: torch.memory_format = torch.contiguous_format,
    antialias: bool = True,
    mode: Mode = "bilinear",
    padding_mode: PaddingMode = "zeros",
) -> Tensor:
    """Make views (B, C, h, w) of images by unit-frame matrices (B, 3, 3)."""
    if color is not None:
        color.check(images)
    if normalization is not None:
        normalization.check(images)
    source = (images.shape[-2], images.shape[-1])
    last = last_level(source, size) if antialias and mode == "bilinear" else 0
    if mode == "bilinear" and padding_mode == "zeros" and not why_not_triton(images, matrix, color):
        from equicon._views.triton import fused_view

        return fused_view(images, matrix, size, last, color, normalization, dtype, memory_format)

    def coloured(views: Tensor, color: ColorMap | None) -> Tensor:
        views = views if color is None else color.apply(views)
        return views if normalization is None else normalization.apply(views)

    level = levels(matrix, source, size, last)
    if not readable(matrix):
        views = coloured(read_all(images, matrix, size, level, last, mode, padding_mode), color)
        return views.to(dtype, memory_format=memory_format)
    views = torch.empty(*images.shape[:2], *size, dtype=dtype, device=images.device, memory_format=memory_format)
    numbers = math.prod(images.shape[1:])
    at_a_time = max(1, min(torch.get_num_threads() * max(1, _AT_A_TIME // numbers), _AT_MOST // numbers))
    known = level.tolist()
    for k in sorted(set(known)):
        alike = [i for i, other in enumerate(known) if other == k]
        for start in range(0, len(alike), at_a_time):
            rows = alike[start : start + at_a_time]
            part = read(_rows(images, rows), _rows(matrix, rows), size, k, mode, padding_mode)
            part = coloured(part, None if color is None else replace(color, matrix=_rows(color.matrix, rows)))
            if _follow(rows):
                views[rows[0] : rows[-1] + 1] = part
            else:
                for i, view in zip(rows, part, strict=True):
                    views[i] = view
    return views


def _follow(rows: Sequence[int]) -> bool:
    """Tell whether ascending rows follow one another."""
    return rows[-1] - rows[0] + 1 == len(rows)


def _rows(batch: Tensor, rows: Sequence[int]) -> Tensor:
    """Take some of a batch: a view of it where they follow one another."""
    if _follow(rows):
        return batch[rows[0] : rows[-1] + 1]
    return torch.cat([batch[i : i + 1] for i in rows])  # a fifth of the time of index_select
