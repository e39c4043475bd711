"""A view in one pass: interpolation, colour, normalisation, type and memory format, by Triton where it can be."""

from importlib.util import find_spec

import torch
from torch import Tensor

from equicon._checks import Size, type_error, value_error
from equicon._color import ColorMap, Normalization
from equicon._warp import warp


def why_not_triton(images: Tensor, matrix: Tensor, color: ColorMap | None) -> str:
    """Tell why the Triton kernel cannot make a view of these images, nothing where it can."""
    inputs = [images, matrix] if color is None else [images, matrix, color.matrix]
    if torch.compiler.is_compiling():
        return "torch.compile fuses by itself"
    if images.device.type != "cuda":
        return f"images are on {images.device.type}"
    if find_spec("triton") is None:
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
    color: ColorMap | None,
    normalization: Normalization | None,
    dtype: torch.dtype,
    memory_format: torch.memory_format,
) -> Tensor:
    """Make views (B, C, h, w) of images by unit-frame matrices (B, 3, 3), zeros beyond the source."""
    if color is not None:
        color.check(images)
    if normalization is not None:
        normalization.check(images)
    if not why_not_triton(images, matrix, color):
        from equicon._triton import fused_view  # not before it is needed: it is installed with torch for CUDA alone

        return fused_view(
            images, matrix, size, color=color, normalization=normalization, dtype=dtype, memory_format=memory_format
        )
    views = warp(images, matrix, size, antialias=True, mode="bilinear", padding_mode="zeros")
    if color is not None:
        views = color.apply(views)
    if normalization is not None:
        views = normalization.apply(views)
    return views.to(dtype, memory_format=memory_format)
