"""Squares cut out of photographs."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from equicon._views.warp import PaddingMode
from equicon.data._boxes import Boxed
from equicon.data._corrupt import corrupt_image

_LONGEST = 4  # longest side of a box over that of its image; the square around a larger box would fill the memory


def cut_box(
    image: Tensor,
    box: Tensor,
    margin: float,
    size: int,
    *,
    path: Path,
    index: int,
    clip: bool = True,
    padding_mode: PaddingMode = "zeros",
) -> Boxed:
    """Cut out the square around a box, of side ``margin`` × the longer side of the box.

    The square consists of whole pixels, and is resized to ``size`` with anti-aliasing.

    Args:
        image: (3, H, W) uint8.
        box: (4,) x1, y1, x2, y2 in integer pixel centres.
        margin: Side of the square divided by the longer side of the box, above 0.
        size: Side of the result in pixels.
        path: Path of the image, for the error.
        index: Index of the item, for the error.
        clip: Whether to cut the box to the image first. If not, a box at the image's border keeps its centre.
        padding_mode: What lies outside the image.

    Raises:
        CorruptImage: If the box lies outside the image, or is more than four times as large.
    """
    height, width = image.shape[1:]
    # In edge coordinates, pixel 0 reaches from 0 to 1. So squares begin and end at whole numbers.
    edges = box + 0.5
    inside = edges.clamp(min=0).minimum(edges.new_tensor([width, height] * 2))
    kept = inside if clip else edges
    x1, y1, x2, y2 = kept.tolist()
    longer = max(x2 - x1, y2 - y1)
    if not bool((inside[:2] < inside[2:]).all()) or longer > _LONGEST * max(height, width):
        wanted = f"a box in the image of {width} × {height} pixels"
        raise corrupt_image(path, index, wanted, f"x1, y1, x2, y2 = {box.tolist()}")
    side = max(1, round(margin * longer))
    return _cut(image, kept, round((x1 + x2 - side) / 2), round((y1 + y2 - side) / 2), side, size, padding_mode)


def cut_middle(image: Tensor, size: int) -> Boxed:
    """Cut out the centred square and resize it. The box is the whole square."""
    height, width = image.shape[1:]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    edges = torch.tensor([left, top, left + side, top + side], dtype=torch.float32, device="cpu")
    return _cut(image, edges, left, top, side, size)


def _cut(
    image: Tensor, box: Tensor, left: int, top: int, side: int, size: int, padding_mode: PaddingMode = "zeros"
) -> Boxed:
    """Cut and resize a square. ``box`` is in edge coordinates of the image; the result's is in pixel centres."""
    height, width = image.shape[1:]
    if padding_mode == "zeros":
        square = F.pad(image, (-left, left + side - width, -top, top + side - height))
    else:
        rows, columns = _rows(top, side, height, padding_mode), _rows(left, side, width, padding_mode)
        square = image[:, rows[:, None], columns]
    resized = F.interpolate(square[None], (size, size), mode="bilinear", antialias=True)[0]
    return Boxed(resized, (box - box.new_tensor([left, top] * 2)) * (size / side) - 0.5)


def _rows(first: int, side: int, count: int, padding_mode: PaddingMode) -> Tensor:
    """Return which of ``count`` rows each row of a square shows, (side,), also beyond the first and the last."""
    rows = torch.arange(first, first + side, device="cpu")
    if padding_mode == "reflection":
        last = count - 1
        rows = last - (rows.remainder(max(2 * last, 1)) - last).abs()
    return rows.clamp(0, count - 1)
