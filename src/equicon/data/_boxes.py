"""Boxes in photographs: an image with its box, and the file that lists the boxes of each image."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from equicon._checks import describe, value_error
from equicon._hints import FIX_BOXES
from equicon.data._json import remedy
from equicon.data._names import look_alike, other_spelling


class Boxed(NamedTuple):
    """A square image and a box in it, or a batch of them.

    It is a tuple of tensors, so the default ``collate_fn`` of a ``DataLoader`` turns a list of them into a batch.

    Convention: boxes are x1, y1, x2, y2 in integer pixel centres, as ``Affine.from_boxes`` takes them.

    Args:
        image: (3, size, size) uint8, RGB, or (B, 3, size, size).
        box: (4,) float32, in pixels of that image, or (B, 4).

    Examples:
        >>> from equicon import Affine
        >>> batch = Boxed(torch.zeros(2, 3, 64, 64, dtype=torch.uint8), torch.tensor([[16.0, 20, 40, 50]]).repeat(2, 1))
        >>> Affine.from_boxes(batch.box, (64, 64), margin=1.5).warp(batch.image, (32, 32)).shape
        torch.Size([2, 3, 32, 32])
    """

    image: Tensor
    box: Tensor


def read_boxes(path: Path, root: Path, names: list[str]) -> dict[str, NDArray[np.float32]]:
    """Read the boxes (n, 4) of each image that has any: a dictionary by name, sorted.

    Args:
        path: A JSON file: ``{"sub/a.jpg": [x1, y1, x2, y2], "b.png": [[x1, y1, x2, y2], ...]}``.
        root: The folder of the images, for errors.
        names: The names of the images in the folder, at least one. The file may name no others.

    Raises:
        ValueError: If the file is damaged, names an image twice or one that is not in the folder, or has a box that is
            not four finite numbers with x1 < x2 and y1 < y2.
    """
    try:
        records = json.loads(path.read_bytes(), object_pairs_hook=_named_once)
    except OSError as error:
        got = f"{path}, which cannot be read: {error}"
        raise value_error("boxes", "a JSON file", got, other_spelling(path)) from error
    except _NamedTwiceError as error:
        fix = "Give all boxes of an image in one list."
        raise value_error(f"boxes: {path}", "each image once", f"{error} several times", fix) from None
    except ValueError as error:
        raise value_error(f"boxes: {path}", "JSON", f"this: {error}", remedy(error)) from error
    if not isinstance(records, dict):
        raise value_error(f"boxes: {path}", "a dictionary of boxes by image", describe(records))
    strange = sorted(records.keys() - set(names))
    if strange:
        got = f"{len(strange)} that are not there, the first being {strange[0]!r}"
        fix = look_alike(strange, names) or f"Names are paths in that folder, such as {names[0]!r}."
        raise value_error(f"boxes: {path}", f"names of images in {root}", got, fix)
    named = sorted(records.items())
    found = {name: _one_image(f"boxes: {path} ({name})", value) for name, value in named if value != []}
    if not found:
        raise value_error(f"boxes: {path}", "at least one box", "none")
    return found


class _NamedTwiceError(Exception):
    """A name that a JSON object has twice. The parser would keep only the last of its boxes."""


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _NamedTwiceError(repr(next(name for name in names if names.count(name) > 1)))
    return found


def _one_image(where: str, value: Any) -> NDArray[np.float32]:
    wanted = "x1, y1, x2, y2 or a list of such boxes"
    try:
        boxes = np.atleast_2d(np.asarray(value))
    except ValueError as error:  # lists of different lengths
        raise value_error(where, wanted, describe(value)) from error
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "if":
        raise value_error(where, wanted, describe(value))
    with np.errstate(over="ignore"):
        boxes = boxes.astype(np.float32)  # rounding may give infinity, or no extent
    if not (np.isfinite(boxes).all() and (boxes[:, :2] < boxes[:, 2:]).all()):
        raise value_error(where, "finite boxes with x1 < x2 and y1 < y2", describe(value), FIX_BOXES)
    return boxes
