"""Check labels that came as arrays, and find the boxes of items that have none."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from equicon._checks import describe, first_bad, plain, type_error, value_error
from equicon._hints import FIX_BOXES
from equicon.data._picture_size import picture_size


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """Check the names of keypoints: at least one, all different."""
    several = plain(names)
    if not isinstance(several, tuple) or not all(isinstance(name, str) for name in several):
        raise type_error("names", "the names of the keypoints", describe(names), "Write a list of texts.")
    twice = sorted({name for name in several if several.count(name) > 1})
    if twice or not several:
        raise value_error("names", "at least one name, all different", f"{twice[0]!r} twice" if twice else "none")
    return several


def check_skeleton(skeleton: Iterable[tuple[int, int]], points: int) -> tuple[tuple[int, int], ...]:
    """Check pairs of keypoints, counted from 0."""
    pairs = plain(list(skeleton))
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(type(end) is int for end in pair):
            raise type_error("skeleton", "pairs of whole numbers", describe(pair))
        if not all(0 <= end < points for end in pair):
            fix = "COCO's files count from 1: subtract 1." if max(pair) == points else ""
            raise value_error("skeleton", f"pairs of points in [0, {points - 1}]", pair, fix)
    return tuple(pairs)


def whole_numbers(argument: str, values: ArrayLike | Tensor, shape: tuple[int, ...]) -> Tensor:
    """Check for whole numbers of a shape, and return them as a tensor of int64 on the CPU that shares no memory."""
    array = _array(argument, values, shape)
    if array.dtype.kind not in "iub":
        raise type_error(argument, "whole numbers", f"{array.dtype}")
    return torch.from_numpy(array.astype(np.int64))


def floats(argument: str, values: ArrayLike | Tensor, shape: tuple[int, ...]) -> Tensor:
    """Check for numbers of a shape, and return them as a tensor of float32 on the CPU that shares no memory."""
    array = _array(argument, values, shape)
    if array.dtype.kind not in "iuf":
        raise type_error(argument, "numbers", f"{array.dtype}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, which is refused
        return torch.from_numpy(array.astype(np.float32))


def _array(argument: str, values: ArrayLike | Tensor, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    try:
        if isinstance(values, Tensor):
            values = values.detach().cpu()
            values = values.float() if values.dtype == torch.bfloat16 else values  # which numpy does not know
        array = np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise value_error(argument, f"numbers of shape {shape}", describe(values)) from error
    if array.shape != shape:
        raise value_error(argument, f"numbers of shape {shape}", f"shape {array.shape}")
    return array


def check_boxes(boxes: ArrayLike | Tensor, count: int) -> Tensor:
    """Check boxes (n, 4), of which a row of NaN stands for the whole picture."""
    found = floats("boxes", boxes, (count, 4))
    good = (found.isfinite().all(1) & (found[:, :2] < found[:, 2:]).all(1)) | found.isnan().all(1)
    if (bad := first_bad(good)) is not None:
        wanted = "finite boxes with x1 < x2 and y1 < y2, or NaN for the whole picture"
        raise value_error(f"boxes: item {bad}", wanted, f"{found[bad].tolist()}", FIX_BOXES)
    return found


def fill_boxes(boxes: Tensor, paths: Sequence[Path], picture: Tensor) -> Tensor:
    """Put the extent of the whole picture where a box (n, 4) is NaN. It stays NaN if the picture cannot be read.

    Args:
        boxes: (n, 4).
        paths: The pictures.
        picture: (n,), the picture of each item.

    Raises:
        ValueError: If no picture that is needed can be read.
    """
    missing = boxes.isnan().any(1)
    if not bool(missing.any()):
        return boxes
    needed = picture[missing].unique().tolist()
    sizes = {number: picture_size(paths[number]) for number in needed}
    if not any(sizes.values()):
        raise value_error("files", "pictures", f"none that can be read, the first being {paths[needed[0]]}")
    whole = torch.full((len(paths), 4), torch.nan, dtype=torch.float32, device="cpu")
    for number, size in sizes.items():
        if size is not None:
            whole[number] = torch.tensor([-0.5, -0.5, size[1] - 0.5, size[0] - 0.5], device="cpu")
    return torch.where(missing[:, None], whole[picture], boxes)


def extent(xy: Tensor, known: Tensor) -> Tensor:
    """Return boxes (n, 4) around the known points (n, K, 2) of items; NaN if no item has two points apart.

    A box that is far smaller than those of other items, such as that of one point, grows to a quarter of the median.

    Args:
        xy: (n, K, 2) float32.
        known: (n, K) bool, with at least one point of each item.
    """
    there = known[..., None]
    low, high = xy.masked_fill(~there, torch.inf).amin(1), xy.masked_fill(~there, -torch.inf).amax(1)
    longer = (high - low).amax(-1, keepdim=True)
    usual = longer[longer > 0]
    if not len(usual):
        return torch.full((len(xy), 4), torch.nan, dtype=torch.float32, device="cpu")
    side = (usual.median() / 4).clamp(min=1)
    # A box needs an extent on both axes, however small: points may lie on one line.
    floor = torch.where(longer < side, side, torch.tensor(1.0, dtype=torch.float32, device="cpu"))
    grow = (floor - (high - low)).clamp(min=0) / 2
    return torch.cat([low - grow, high + grow], 1)


def turns(picture: Tensor) -> Tensor:
    """Count the items of each picture (n,) from 0, in order."""
    order = picture.argsort(stable=True)
    place = torch.arange(len(picture), device="cpu")
    first = torch.searchsorted(picture[order].contiguous(), picture[order].contiguous())
    counted = torch.empty_like(picture)
    counted[order] = place - first
    return counted
