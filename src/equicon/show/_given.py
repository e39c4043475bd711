"""What a user gives to be drawn: pictures and their labels, checked, as a list of one record for each picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from equicon._checks import (
    Size,
    check_batch,
    check_floating,
    check_images,
    describe,
    is_several,
    plain,
    type_error,
    value_error,
)
from equicon._plane.matrix import at_least_float32
from equicon._plane.values import check_upright
from equicon._transforms.looks import fault_of_shape, fault_of_values

Given: TypeAlias = Tensor | Sequence[Tensor]
"""A tensor with a batch dimension, a list of one tensor for each picture, or a tensor for a single picture."""

_FIX_PICTURE = (
    "Read a file with equicon.data.read_rgb(path). Write torch.from_numpy(array).permute(2, 0, 1) for an array."
)


@dataclass(frozen=True)
class Picture:
    """A picture, and its labels on the CPU.

    Args:
        image: (C, H, W), uint8 or float32 in [0, 1].
        points: (K, 2) in pixels, or None.
        boxes: (M, 4) as x1, y1, x2, y2 in pixels, or None.
        mask: (H, W) int64, 0 where there is none, or None.
    """

    image: Tensor
    points: Tensor | None
    boxes: Tensor | None
    mask: Tensor | None

    @property
    def size(self) -> Size:
        """Height and width."""
        return (self.image.shape[-2], self.image.shape[-1])


def read_pictures(
    images: Given, points: Given | None, boxes: Given | None, masks: Given | None, limit: int
) -> tuple[list[Picture], int]:
    """Check pictures and labels, and pair them.

    Args:
        images: (B, C, H, W), one picture (C, H, W), or a list of pictures.
        points: Points of each picture, (K, 2) each, or None.
        boxes: Boxes of each picture, (M, 4) each, or None.
        masks: Masks of each picture, (H, W) or (K, H, W) each, or None.
        limit: How many pictures are read. All are counted.

    Returns:
        The first pictures, and how many came.
    """
    alone = isinstance(images, Tensor) and images.ndim == 3
    if isinstance(images, Tensor) and not alone:
        check_images(images)
    pictures = _entries("images", images, alone)
    count = len(pictures)
    if not count:
        raise value_error("images", "at least one picture", "none")
    columns = [pictures]
    for argument, value in (("points", points), ("boxes", boxes), ("masks", masks)):
        column = [(argument, None)] * count if value is None else _entries(argument, value, alone)
        check_batch(argument, column, count, "images", f"Give {argument} of each picture.")
        columns.append(column)
    return [_read(*row) for row in list(zip(*columns, strict=True))[:limit]], count


def _entries(argument: str, value: Any, alone: bool) -> list[tuple[str, Any]]:
    """Give the value for each picture a name for errors."""
    if alone:
        return [(argument, value)]
    if not isinstance(value, Tensor | list | tuple) or (isinstance(value, Tensor) and value.ndim == 0):
        fix = _FIX_PICTURE if argument == "images" else "Write a list with one tensor for each picture."
        raise type_error(argument, "a tensor, or a list of tensors", describe(value), fix)
    return [(f"{argument}[{i}]", entry) for i, entry in enumerate(value)]


def _read(image: tuple[str, Any], points: tuple[str, Any], boxes: tuple[str, Any], masks: tuple[str, Any]) -> Picture:
    picture = _read_image(*image)
    labels: list[Tensor | None] = []
    for (name, value), last in ((points, 2), (boxes, 4)):
        if value is not None:
            letter = "K" if last == 2 else "M"
            value = check_floating(name, value, f"({letter}, {last})", last=(last,), ndim=2)
            value = at_least_float32(value).detach().cpu()
        labels.append(value)
    if labels[1] is not None:
        check_upright(boxes[0], labels[1])
    size = (picture.shape[-2], picture.shape[-1])
    return Picture(picture, labels[0], labels[1], None if masks[1] is None else _read_mask(*masks, size))


def _read_image(name: str, given: Any) -> Tensor:
    if not isinstance(given, Tensor):
        raise type_error(name, "a tensor (C, H, W)", describe(given), _FIX_PICTURE)
    image = given.detach()
    if image.ndim != 3:
        raise value_error(name, "one picture of shape (C, H, W)", image, "A list holds single pictures: list(images).")
    check_images(image[None])
    fault = fault_of_shape(image[None])
    if fault:
        fix = "The picture looks like channels last. Write .permute(2, 0, 1)."
        raise value_error(name, "one picture of shape (C, H, W)", image, fix)
    if image.is_floating_point():
        image = image.float()
        fault = fault_of_values(image[None])
        if fault:
            raise ValueError(f"{name}: {fault}")
    return image


def _read_mask(name: str, given: Any, size: Size) -> Tensor:
    """Turn masks (H, W) or (K, H, W) into one (H, W) of whole numbers. Later masks lie on earlier ones."""
    shape = f"(H, W) or (K, H, W) with {size[0]} × {size[1]} pixels, like the picture"
    if not isinstance(given, Tensor):
        raise type_error(name, f"a tensor {shape}", describe(given), "Convert it with torch.as_tensor.")
    masks: Tensor = given
    if masks.is_floating_point() or masks.is_complex():
        raise type_error(name, "bool or whole numbers", masks, "Make it bool: masks > 0.5.")
    if masks.ndim not in (2, 3) or masks.shape[-2:] != size:
        raise value_error(name, f"a tensor of shape {shape}", masks)
    masks = masks.cpu()
    if masks.ndim == 2:
        return masks.long()
    found = torch.zeros(size, dtype=torch.int64, device="cpu")
    for k, mask in enumerate(masks):
        found = found.masked_fill(mask != 0, k + 1)
    return found


def read_skeleton(skeleton: Any, pictures: Sequence[Picture]) -> tuple[tuple[int, int], ...]:
    """Check pairs of points to be joined by lines."""
    fewest = _fewest("skeleton", pictures)
    pairs = plain(skeleton.tolist() if isinstance(skeleton, Tensor) else skeleton)
    if not isinstance(pairs, tuple) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise type_error("skeleton", "pairs of points", describe(skeleton), "Write [(0, 1), (1, 2)].")
    for pair in pairs:
        if not all(type(end) is int and 0 <= end < fewest for end in pair):
            fix = "The first point has the number 0."
            raise value_error("skeleton", f"pairs of whole numbers in [0, {fewest - 1}]", describe(pair), fix)
    return pairs


def read_names(names: Any, pictures: Sequence[Picture]) -> tuple[str, ...]:
    """Check the names of points."""
    fewest = _fewest("names", pictures)
    if not is_several(names) or not all(isinstance(name, str) for name in names):
        raise type_error("names", "a list of texts, one for each point", describe(names))
    for picture in pictures:
        if picture.points is not None and len(picture.points) != len(names):
            raise value_error("names", f"{len(picture.points)} names, one for each point", f"{len(names)} names")
    return tuple(names) if fewest else ()


def _fewest(argument: str, pictures: Sequence[Picture]) -> int:
    counts = [len(picture.points) for picture in pictures if picture.points is not None]
    if not counts:
        raise value_error(argument, "None where points is None", "a value", "Give points too.")
    return min(counts)


def check_title(title: object) -> None:
    """Check for a text or None."""
    if title is not None and not isinstance(title, str):
        raise type_error("title", "a text or None", describe(title))
