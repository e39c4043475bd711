"""A whole view: interpolation, colour, normalisation, type and memory format, and the backend that makes it.

Three backends make the same views, up to rounding:

- ``triton``: kernels on a CUDA GPU.
- ``torch``: our own grid and ``grid_sample``; on a CPU for a few images at a time, so that they stay in the cache.
- ``kornia``: Kornia's ``warp_affine``, the reference, for whatever the other two do not serve.

``choose`` selects one of them.
"""

import os
from functools import cache
from importlib.util import find_spec
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from equicon._checks import Size, concrete, readable, type_error, value_error
from equicon._torch import has_tangent
from equicon._views.color import ColorMap, Normalization, finish
from equicon._views.cpu import cached_view
from equicon._views.kornia import warped_view, why_not_kornia
from equicon._views.warp import Mode, PaddingMode, last_level, levels, read_all

Backend: TypeAlias = Literal["triton", "torch", "kornia"]
"""The name of a backend, which makes views; see ``Action.backend``."""


@cache
def has_triton() -> bool:
    """Tell whether Triton is installed. Of torch's builds, only those for CUDA bring it."""
    return find_spec("triton") is not None


def is_recent(device: torch.device) -> bool:
    """Tell whether a GPU is recent enough for the kernels to compile."""
    return torch.cuda.get_device_capability(device) >= (7, 5)


def why_not_triton(images: Tensor, matrix: Tensor, color: ColorMap | None, mode: Mode) -> str:
    """Say why the Triton kernel cannot make a view of these images; "" if it can."""
    inputs = [images, matrix] if color is None else [images, matrix, color.matrix]
    if not (concrete(matrix) or matrix.is_meta):
        return "the call is compiled, traced or transformed"
    if images.device.type != "cuda":
        return f"images are on {images.device.type}"
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
    if any(has_tangent(tensor) for tensor in inputs):
        return "a forward gradient is asked for"
    if mode != "bilinear":
        return f"mode is {mode}, and not bilinear"
    return ""


def choose(images: Tensor, matrix: Tensor, color: ColorMap | None, mode: Mode = "bilinear") -> Backend:
    """Choose the backend for a view.

    The choice is Triton if it can make the view. Else it is torch on a CPU whose values are ``readable``: torch is the
    fastest there, also with gradients. Else it is Kornia, or torch again if Kornia would be inexact
    (``why_not_kornia``). The environment variable ``EQUICON_BACKEND`` overrides the choice.

    Raises:
        ValueError: If ``EQUICON_BACKEND`` is none of the three, or a backend that cannot make this view. The message
            says why.
    """
    asked = os.environ.get("EQUICON_BACKEND", "")
    if asked == "":
        if not why_not_triton(images, matrix, color, mode):
            return "triton"
        return "torch" if readable(matrix) or why_not_kornia(images) else "kornia"
    if asked not in get_args(Backend):
        raise value_error("EQUICON_BACKEND", f"one of {', '.join(get_args(Backend))}", repr(asked))
    reason = ""
    if asked == "triton":
        reason = why_not_triton(images, matrix, color, mode)
    elif asked == "kornia":
        reason = why_not_kornia(images)
    if reason:
        fix = "Unset the variable, so that each view gets a backend that can make it."
        raise value_error("EQUICON_BACKEND", "a backend that can make this view", f"{asked}: {reason}", fix)
    return "triton" if asked == "triton" else "torch" if asked == "torch" else "kornia"


def check_output(dtype: torch.dtype, memory_format: torch.memory_format) -> torch.dtype:
    """Check the type and the memory format that views are to have."""
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
    """Make views (B, C, h, w) of images by unit-frame matrices (B, 3, 3).

    The caller has checked that colour and normalisation suit the number of channels.
    """
    source = (images.shape[-2], images.shape[-1])
    last = last_level(source, size) if antialias and mode == "bilinear" else 0
    backend = choose(images, matrix, color, mode)
    if backend == "triton":
        from equicon._views.triton import fused_view

        return fused_view(images, matrix, size, last, color, normalization, dtype, memory_format, padding_mode)
    level = levels(matrix, source, size, last)
    if backend == "torch" and readable(matrix):
        return cached_view(images, matrix, size, level, color, normalization, dtype, memory_format, mode, padding_mode)
    read = warped_view if backend == "kornia" else read_all
    views = finish(read(images, matrix, size, level, last, mode, padding_mode), color, normalization)
    return views.to(dtype, memory_format=memory_format)
