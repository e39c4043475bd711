"""The annotation files of YouTube3DHands: an object of two lists, of which little is kept."""

from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from equicon._checks import describe, value_error
from equicon.data._json import stream_lists
from equicon.data._records import numbers
from equicon.hands._skeleton import VERTICES

_Id: TypeAlias = int | str


class Frame(NamedTuple):
    """An image as the annotations list it: its path under the root, and its size in pixels."""

    name: str
    width: int
    height: int


class Hands(NamedTuple):
    """The hands (n) of a file and the frames that it lists.

    Args:
        frames: Frames by their ids.
        frame_ids: The frame of each hand.
        boxes: n × 4 float32 as bytes: x1, y1, x2, y2 of the square around the mean of a hand's vertices that reaches to
            the farthest vertex, in pixels of the annotated size. A box has no extent if the vertices have none in x or
            in y.
        left: A byte for each hand, 1 for a left hand.
    """

    frames: dict[_Id, Frame]
    frame_ids: list[_Id]
    boxes: bytearray
    left: bytearray


def read_hands(path: Path, progress: Callable[[Iterable[Any]], Iterable[Any]] | None = None) -> Hands:
    """Read a file record by record: the training set is about 1 GB of text, of which 1 MB of boxes is kept.

    Raises:
        ValueError: If the file is damaged, or a record lacks something or has it of another type.
    """
    hands = Hands({}, [], bytearray(), bytearray())
    records = stream_lists(path)
    for name, index, record in records if progress is None else progress(records):
        where = f"{path} ({name} {index})"
        if name == "images":
            _add_frame(hands, where, record)
        elif name == "annotations":
            _add_hand(hands, where, record)
    for name, found in (("images", hands.frames), ("annotations", hands.frame_ids)):
        if not found:
            raise value_error(str(path), f"a list of records '{name}'", "none")
    return hands


def _add_frame(hands: Hands, where: str, record: Any) -> None:
    frame_id = _field(where, record, "id", _is_id, "a whole number or a text")
    if frame_id in hands.frames:
        raise value_error(where, "an id that no earlier image has", describe(frame_id))
    name = _field(where, record, "name", _is_path, "a path such as youtube/VIDEO_ID/video/frames/FRAME_ID.png")
    width, height = (_field(where, record, side, _is_side, "a number of pixels") for side in ("width", "height"))
    hands.frames[frame_id] = Frame(name, width, height)


def _add_hand(hands: Hands, where: str, record: Any) -> None:
    frame_id = _field(where, record, "image_id", _is_id, "a whole number or a text")
    left = _field(where, record, "is_left", _is_binary, "true, false, 1 or 0")
    vertices = numbers(f"{where}: vertices", _field(where, record, "vertices"), (VERTICES, 3))
    hands.frame_ids.append(frame_id)
    hands.left.append(int(left))
    hands.boxes.extend(_square(vertices[:, :2]).tobytes())


def _square(xy: NDArray[np.float32]) -> NDArray[np.float32]:
    # As Affine.from_points frames joints, so that hands of all data sets are of one size in a view.
    center = xy.mean(0, dtype=np.float64)
    flat = (xy.min(0) == xy.max(0)).any()
    reach = 0.0 if flat else np.linalg.norm(xy - center, axis=1).max()
    return np.concatenate([center - reach, center + reach]).astype(np.float32)


def _field(where: str, record: Any, name: str, good: Callable[[Any], bool] = lambda _: True, expected: str = "") -> Any:
    if not isinstance(record, dict):
        raise value_error(where, "an object", describe(record))
    if name not in record:
        raise value_error(where, f"an object with '{name}'", f"one with {', '.join(record) or 'nothing'}")
    if not good(record[name]):
        raise value_error(f"{where}: {name}", expected, describe(record[name]))
    return record[name]


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_path(value: Any) -> bool:
    # Nothing outside of the data set is opened.
    return isinstance(value, str) and bool(PurePosixPath(value).name) and _stays_inside(PurePosixPath(value))


def _stays_inside(path: PurePosixPath) -> bool:
    return not path.is_absolute() and ".." not in path.parts


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**31


def _is_binary(value: Any) -> bool:
    return isinstance(value, int) and value in (0, 1)
