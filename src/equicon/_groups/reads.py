"""Which pixels of its source a warp reads."""

import torch
from torch import Tensor

from equicon._checks import Size
from equicon._groups.polygons import box_around, cut, rectangle
from equicon._plane.frames import pixel_matrix
from equicon._plane.matrix import determinant, inverse_affine
from equicon._views.warp import PaddingMode, last_level, levels

_ROUNDING = 32 * torch.finfo(torch.float32).eps  # views of float32 images read by float32 places


def read_boxes(matrix: Tensor, source: Size, view: Size, antialias: bool, padding_mode: PaddingMode) -> Tensor:
    """Find the boxes (B, 4) int64 of the pixels that views read, by unit-frame matrices (B, 3, 3).

    A view reads at places p of the source. At level 0, it reads pixels ⌊p⌋ and ⌊p⌋ + 1 on each axis. At level k, a
    pixel stands for two cells of 2ᵏ⁻¹ pixels, and it reads two of those. The boxes consist of whole cells of the last
    level that ``warp`` may choose: then a crop has the same cells as the source.
    """
    last = last_level(source, view) if antialias else 0
    slack = _slack(matrix, source, view)
    (rows, columns), (height, width) = view, source
    places = rectangle(pixel_matrix(inverse_affine(matrix), view, source), 0, 0, columns - 1, rows - 1)
    if padding_mode == "zeros":  # what is read further out is multiplied by zero
        x, y = slack[:, None].unbind(-1)
        shown, some = cut(places, -1 - x, -1 - y, width + x, height + y)
        places = torch.where(some[:, None, None], shown, places.mean(1, keepdim=True))
    box = box_around(places)
    first, final = box[:, :2] - slack, box[:, 2:] + slack
    # A shrink that rounding may lift over a threshold counts as above it.
    level = levels(matrix * (1 - 1e-4), source, view, last)
    least = [_least_side(k, source, view) for k in range(last + 1)]
    sides = [_side(first[:, i], final[:, i], n, level, least, padding_mode) for i, n in enumerate((width, height))]
    return torch.stack([sides[0][0], sides[1][0], sides[0][1], sides[1][1]], -1)


def _slack(matrix: Tensor, source: Size, view: Size) -> Tensor:
    """Bound the rounding errors (B, 2) of the places at which views are read, in pixels of the source."""
    a, b, c, d = matrix[:, :2, :2].abs().flatten(1).unbind(-1)
    condition = (a * d + b * c) / determinant(matrix[:, :2, :2]).abs()
    inverse, x, y = inverse_affine(matrix)[:, :2, :2].abs(), *matrix[:, :2, 2].abs().unbind(-1)
    across, down = (n / min(view) for n in reversed(view))
    reach = inverse[:, :, 0] * (x + across)[:, None] + inverse[:, :, 1] * (y + down)[:, None]
    return _ROUNDING * condition[:, None] * (reach * (min(source) / 2) + max(source) / 2)


def _least_side(level: int, source: Size, view: Size) -> int:
    """Return the least number of rows and columns of a crop for which ``warp`` has a level that the source has."""
    low, high = 0, min(source)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if last_level((middle, middle), view) >= level else (middle, high)
    return high


def _side(
    first: Tensor, final: Tensor, n: int, level: Tensor, least: list[int], padding_mode: PaddingMode
) -> tuple[Tensor, Tensor]:
    """Find the ranges (B,) of pixels on an axis of n pixels, half open, that reads from first to final need."""
    known = first.isfinite() & final.isfinite()
    if padding_mode == "reflection":
        first, final = _folded(first, final, n)
    need = stride = torch.ones_like(first)
    for k, side in enumerate(least):
        need, stride = torch.where(level >= k, float(side), need), torch.where(level > k, 2.0**k, stride)
    pyramid, cell = level > 0, 2 ** max(len(least) - 2, 0)
    # Pixel j of a level k ≥ 1 is centred at (j + 1) · stride − 1/2, between cells j and j + 1.
    middle, size = torch.where(pyramid, stride - 0.5, 0.0), torch.where(pyramid, 2 * stride, 1.0)
    outermost = torch.where(pyramid, (n / stride).ceil() - 2, n - 1.0).clamp(min=0)
    begin = torch.minimum(((first - middle) / stride).floor().clamp(min=0), outermost) * stride
    end = torch.minimum((((final - middle) / stride).floor() + 1).clamp(min=0), outermost) * stride + size
    begin = torch.minimum(begin, n - need)
    begin = (begin / cell).floor() * cell
    end = (torch.maximum(end, begin + need) / cell).ceil() * cell
    begin, end = begin.masked_fill(~known, 0.0), end.masked_fill(~known, float(n))
    return begin.long(), end.long().clamp(max=n)


def _folded(first: Tensor, final: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Fold ranges (B,) of places at the centres of the outermost of n pixels, as often as they go beyond."""
    last = max(n - 1, 1)
    at_first = (final / (2 * last)).floor() >= (first / (2 * last)).ceil()
    at_last = ((final - last) / (2 * last)).floor() >= ((first - last) / (2 * last)).ceil()
    one, other = (last - (place.remainder(2 * last) - last).abs() for place in (first, final))
    least, most = torch.minimum(one, other), torch.maximum(one, other)
    return least.masked_fill(at_first, 0.0), most.masked_fill(at_last, float(last))
