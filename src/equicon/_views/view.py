"""A whole view: interpolation, colour, normalisation, type and memory format, and the backend that makes it.

Three backends make the same views, up to rounding: ``triton``, kernels on a CUDA GPU; ``torch``, our own grid and
``grid_sample``, on a CPU a few images at a time while they are in the cache; and ``kornia``, the reference, Kornia's
``warp_affine``, for whatever those two do not serve. ``choose`` says which.
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
"""What makes a view; see ``Action.backend``."""


@cache
def has_triton() -> bool:
    """Tell whether Triton is installed: it comes with the CUDA builds of torch alone."""
    return find_spec("triton") is not None


def is_recent(device: torch.device) -> bool:
    """Tell whether the kernels compile for a GPU."""
    return torch.cuda.get_device_capability(device) >= (7, 5)


def why_not_triton(images: Tensor, matrix: Tensor, color: ColorMap | None, mode: Mode) -> str:
    """Tell why the Triton kernel cannot make a view of these images, nothing where it can."""
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
    """Choose what makes a view.

    Triton where it can; torch on a CPU where values may be looked at, which is the quicker there, gradients included;
    else Kornia, and torch again where Kornia would be inexact (``why_not_kornia``). ``EQUICON_BACKEND`` overrides this.

    Raises:
        ValueError: if ``EQUICON_BACKEND`` is none of the three, or one that cannot make this view; it says why.
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
        fix = "Unset the variable: then what can make a view is chosen for each."
        raise value_error("EQUICON_BACKEND", "a backend that can make this view", f"{asked}: {reason}", fix)
    return "triton" if asked == "triton" else "torch" if asked == "torch" else "kornia"


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
