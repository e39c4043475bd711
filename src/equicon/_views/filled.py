"""One interpolation of pictures, masks and clips, with a value for what lies outside the source."""

from typing import Any

import torch
from torch import Tensor

from equicon._checks import Size, check_number, plain, value_error
from equicon._devices import without_autocast
from equicon._plane.frames import covered, extent_matrix, grid
from equicon._views.masks import nearest_view
from equicon._views.view import choose, make_view
from equicon._views.warp import Mode, PaddingMode


def check_fill(fill: Any, images: Tensor, mode: Mode, padding_mode: PaddingMode = "zeros") -> float:
    """Check that the type of the views holds a value. For whole numbers and bool, it is returned as an int."""
    dtype, number = images.dtype, plain(fill)
    whole = mode == "nearest" and not dtype.is_floating_point
    if dtype == torch.bool and isinstance(number, bool):
        number = int(number)
    value = check_number("fill", number)
    if value != 0 and padding_mode != "zeros":
        raise value_error("fill", f"0 where padding_mode is {padding_mode}", number, "Leave out one of the two.")
    if whole:
        low, high = (0, 1) if dtype == torch.bool else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)
        if number != int(number) or not low <= number <= high:
            expected = f"a whole number in [{low}, {high}], which {str(dtype).removeprefix('torch.')} holds"
            raise value_error("fill", expected, number, "Convert to a type that holds it, such as .to(torch.int64).")
        return int(number)
    if dtype == torch.uint8:
        if not 0 <= value <= 1:
            raise value_error("fill", "a number in [0, 1], like the views of uint8 pictures", number, "Divide by 255.")
        return value
    return check_number("fill", value, low=-torch.finfo(dtype).max, high=torch.finfo(dtype).max)


def filled_view(
    images: Tensor,
    matrix: Tensor,
    size: Size,
    *,
    antialias: bool,
    mode: Mode,
    padding_mode: PaddingMode = "zeros",
    fill: float = 0,
) -> Tensor:
    """Move pictures (B, C, H, W) or clips (B, T, C, H, W) by unit-frame matrices (B, 3, 3), one for each clip.

    The type of the views is that of the images, but uint8 pictures give float32. With ``nearest``, whole numbers and
    bool stay as they are.
    """
    shape = images.shape[:-2]
    if images.ndim == 5 and images.shape[2] == 3 and choose(images.flatten(0, 1), matrix, None, mode) == "triton":
        matrix, images = matrix.repeat_interleave(images.shape[1], 0), images.flatten(0, 1)  # three channels at a time
    elif images.ndim == 5:
        images = images.flatten(1, 2)  # one grid for all frames
    with without_autocast(images.device):
        views = _view(images, matrix, size, antialias, mode, padding_mode, fill)
    return views.reshape(*shape, *size)


def _view(
    images: Tensor, matrix: Tensor, size: Size, antialias: bool, mode: Mode, padding_mode: PaddingMode, fill: float
) -> Tensor:
    whole = not images.is_floating_point()
    if mode == "nearest" and (whole or fill != 0):
        return nearest_view(images, matrix, size, padding_mode, fill)
    kept = torch.float32 if whole else images.dtype
    dtype = kept if fill == 0 else torch.promote_types(kept, torch.float32)
    views = make_view(images, matrix, size, dtype=dtype, antialias=antialias, mode=mode, padding_mode=padding_mode)
    if fill == 0:
        return views
    source = (images.shape[-2], images.shape[-1])
    shown = covered(grid(extent_matrix(matrix.to(dtype), source, size), size), source)[:, None]
    return (views + (1 - shown) * fill).to(kept)
