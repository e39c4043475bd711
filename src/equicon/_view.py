"""A whole view: interpolation, colour, normalisation, type and memory format.

Three ways make the same views: a Triton kernel on a GPU; on a CPU a few images at a time, each from its own level,
while they are in the cache; and where levels may not be looked at (compiled, or on a GPU without Triton), all of them.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from equicon._checks import Size, readable, type_error, value_error
from equicon._color import ColorMap, Normalization
from equicon._warp import Mode, PaddingMode, last_level, levels, read, read_all

# Numbers of the source that a CPU's thread works on at a time: 2 MB stay in its cache, and below glibc's limit of 32 MB
# memory is used again, where a larger piece costs the system's page faults each time.
_AT_A_TIME = 2**19


@cache
def has_triton() -> bool:
    """Tell whether Triton is installed: it comes with the CUDA builds of torch alone."""
    return find_spec("triton") is not None


def why_not_triton(images: Tensor, matrix: Tensor, color: ColorMap | None) -> str:
    """Tell why the Triton kernel cannot make a view of these images, nothing where it can."""
    inputs = [images, matrix] if color is None else [images, matrix, color.matrix]
    if torch.compiler.is_compiling():
        return "torch.compile fuses by itself"
    if images.device.type != "cuda":
        return f"images are on {images.device.type}"
    if not has_triton():
        return "Triton is not installed"
    if images.shape[1] != 3:
        return f"images have {images.shape[1]} channels, and not 3"
    if images.dtype == torch.float64:
        return "images are float64"
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        return "a gradient is asked for"
    return ""


def check_output(dtype: torch.dtype, memory_format: torch.memory_format) -> torch.dtype:
    """Check what views are to be written as."""
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise type_error("dtype", "a floating type of torch", repr(dtype))
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
    source, last = (images.shape[-2], images.shape[-1]), 0
    if antialias and mode == "bilinear":
        last = last_level(source, size)
        if padding_mode == "zeros" and not why_not_triton(images, matrix, color):
            from equicon._triton import fused_view

            return fused_view(
                images, matrix, size, dtype=dtype, color=color, normalization=normalization, memory_format=memory_format
            )

    def finished(views: Tensor, color: ColorMap | None) -> Tensor:
        if color is not None:
            views = color.apply(views)
        if normalization is not None:
            views = normalization.apply(views)
        return views.to(dtype, memory_format=memory_format)

    level = levels(matrix, source, size, last)
    if len(images) == 0 or not readable(matrix):
        return finished(read_all(images, matrix, size, level, last, mode, padding_mode), color)
    at_a_time = torch.get_num_threads() * max(1, _AT_A_TIME // math.prod(images.shape[1:]))
    known = level.tolist()
    by_image: dict[int, Tensor] = {}
    for k in sorted(set(known)):
        alike = [i for i, other in enumerate(known) if other == k]
        for start in range(0, len(alike), at_a_time):
            rows = alike[start : start + at_a_time]
            views = read(_rows(images, rows), _rows(matrix, rows), size, k, mode, padding_mode)
            of_rows = None if color is None else replace(color, matrix=_rows(color.matrix, rows))
            by_image.update(zip(rows, finished(views, of_rows).split(1), strict=True))
    return torch.cat([by_image[i] for i in range(len(images))])


def _rows(batch: Tensor, rows: Sequence[int]) -> Tensor:
    """Take some of a batch: a view of it where they follow one another."""
    if rows[-1] - rows[0] + 1 == len(rows):
        return batch[rows[0] : rows[-1] + 1]
    return torch.cat([batch[i : i + 1] for i in rows])  # a fifth of the time of index_select
