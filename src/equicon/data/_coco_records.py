"""The records of COCO's keypoint annotations, read one by one, so that little of a large file is held."""

from array import array
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equicon._checks import describe, value_error
from equicon.data._json import stream_lists

_GROUPS = ("group", "video_id", "vid_id")  # that of this library's writer, of CocoVID, of PoseTrack
_NOTHING = (float("nan"),) * 4


class Category(NamedTuple):
    """A kind of thing: its name, the names of its keypoints, and the lines between these, counted as in the file."""

    name: str
    keypoints: list[str]
    skeleton: list[tuple[int, int]]


class People:
    """The labelled people of one category, column by column.

    Args:
        points: The number K of keypoints.

    Attributes:
        images: The id of each one's picture.
        places: The place of each one's record in the file.
        keypoints: K × 3 numbers of each.
        boxes: x1, y1, x2, y2 of each in pixel centres, NaN where there is no box with an extent.
    """

    def __init__(self, points: int) -> None:
        self.points = points
        self.images, self.places = array("q"), array("q")
        self.keypoints, self.boxes = array("f"), array("f")


class Labels(NamedTuple):
    """The labelled people (n) of some categories, in the order of the file.

    Args:
        points: (n, K, 3) float32, x, y and visibility.
        boxes: (n, 4) float32, x1, y1, x2, y2 in pixel centres; NaN where there is none.
        images: (n,) int64, the id of each one's picture.
        categories: (n,) int64, the id of each one's category.
    """

    points: NDArray[np.float32]
    boxes: NDArray[np.float32]
    images: NDArray[np.int64]
    categories: NDArray[np.int64]


class Records:
    """What a file of annotations holds.

    Args:
        path: The file.

    Attributes:
        categories: By id.
        people: By the id of their category.
        pictures: The place of each picture among ``files``, by id.
        files: The paths of the pictures.
        sizes: Height and width of each picture in turn, 0 where they are not recorded.
        groups: The group of each picture, None where none is recorded.
        left_out: By the id of their category, how many have no labelled point, or stand for a crowd.

    Raises:
        ValueError: If the file is damaged, or a record lacks something or has it of another type.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.categories: dict[int, Category] = {}
        self.people: dict[int, People] = {}
        self.pictures: dict[int, int] = {}
        self.files: list[str] = []
        self.sizes = array("i")
        self.groups: list[int | str | None] = []
        self.left_out: Counter[int] = Counter()
        add = {"categories": self._add_category, "images": self._add_picture, "annotations": self._add_person}
        for name, index, record in stream_lists(path):
            if name in add:
                where = f"{path} ({name} {index})"
                if not isinstance(record, dict):
                    raise value_error(where, "an object", describe(record))
                add[name](where, record, index)
        if not self.people:
            fix = "A file of keypoints is wanted, such as person_keypoints_train2017.json."
            raise value_error(str(path), "annotations with labelled keypoints", "none", fix)
        for category, people in self.people.items():
            self._check(people, self.categories.setdefault(category, Category(str(category), [], [])))

    def labels(self, categories: Sequence[int]) -> Labels:
        """Join the people of some categories, which must have the same number of points."""
        several = [self.people[number] for number in categories]
        order = np.argsort(np.concatenate([np.frombuffer(people.places, np.int64) for people in several]))
        return Labels(
            np.concatenate([np.frombuffer(people.keypoints, np.float32) for people in several]).reshape(
                len(order), -1, 3
            )[order],
            np.concatenate([np.frombuffer(people.boxes, np.float32) for people in several]).reshape(-1, 4)[order],
            np.concatenate([np.frombuffer(people.images, np.int64) for people in several])[order],
            np.repeat(np.array(categories, np.int64), [len(people.places) for people in several])[order],
        )

    def _add_category(self, where: str, record: dict[str, Any], _: int) -> None:
        names, skeleton = record.get("keypoints", []), record.get("skeleton", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise value_error(f"{where}: keypoints", "a list of names", describe(names))
        try:
            lines = [(int(a), int(b)) for a, b in skeleton]
        except (TypeError, ValueError, OverflowError) as error:
            raise value_error(f"{where}: skeleton", "pairs of whole numbers", describe(skeleton)) from error
        number = _whole(where, record, "id")
        if number in self.categories:
            raise value_error(f"{where}: id", "an id that no earlier category has", f"{number}")
        self.categories[number] = Category(str(record.get("name", number)), names, lines)

    def _add_picture(self, where: str, record: dict[str, Any], _: int) -> None:
        number, file = _whole(where, record, "id"), record.get("file_name")
        if number in self.pictures:
            raise value_error(f"{where}: id", "an id that no earlier image has", f"{number}")
        file = file.replace("\\", "/") if isinstance(file, str) else file
        if not isinstance(file, str) or not _stays_inside(PurePosixPath(file)):
            wanted = "a path in the folder of the images, such as 'images/a.jpg'"
            raise value_error(f"{where}: file_name", wanted, describe(file), "Name that folder by images=.")
        self.pictures[number] = len(self.files)
        self.files.append(file)
        sides = ("height", "width")
        known = all(record.get(side) is not None for side in sides)
        self.sizes.extend(_whole(where, record, side, low=1, high=2**31) if known else 0 for side in sides)
        self.groups.append(next((record[key] for key in _GROUPS if isinstance(record.get(key), int | str)), None))

    def _add_person(self, where: str, record: dict[str, Any], index: int) -> None:
        image, category = _whole(where, record, "image_id"), _whole(where, record, "category_id")
        values, box = record.get("keypoints") or [], record.get("bbox")
        if not isinstance(values, list) or len(values) % 3:
            raise value_error(f"{where}: keypoints", "x, y and visibility of each point", describe(values))
        if record.get("iscrowd", 0) == 1 or not any(values[2::3]):
            self.left_out[category] += 1
            return
        people = self.people.get(category)
        if people is None:
            people = self.people[category] = People(len(values) // 3)
        if len(values) != 3 * people.points:
            fix = "Earlier records of this category have so many."
            raise value_error(f"{where}: keypoints", f"{people.points} points", f"{len(values) // 3}", fix)
        people.images.append(image)
        people.places.append(index)
        try:
            people.keypoints.extend(values)
        except (TypeError, OverflowError) as error:
            raise value_error(f"{where}: keypoints", "numbers", describe(values)) from error
        try:
            x, y, width, height = box or _NOTHING
            flat = not (
                min(width, height) > 0 and max(width, height) >= 1
            )  # of less than a pixel: errors over its side would mean nothing
            # Boxes are in edge coordinates, of which pixel 0 has those from 0 to 1.
            people.boxes.extend(_NOTHING if flat else (x - 0.5, y - 0.5, x + width - 0.5, y + height - 0.5))
        except (TypeError, ValueError, OverflowError) as error:
            raise value_error(f"{where}: bbox", "x, y, width and height", describe(box)) from error

    def _check(self, people: People, category: Category) -> None:
        where = f"{self.path} (annotations {people.places[0]}): keypoints"
        if category.keypoints and len(category.keypoints) != people.points:
            wanted = f"{len(category.keypoints)} points, for which category {category.name!r} has names"
            raise value_error(where, wanted, f"{people.points}")
        strangers = (i for i, image in enumerate(people.images) if image not in self.pictures)
        if (bad := next(strangers, None)) is not None:
            where = f"{self.path} (annotations {people.places[bad]}): image_id"
            raise value_error(where, "the id of one of the images", f"{people.images[bad]}")
        points = np.frombuffer(people.keypoints, np.float32).reshape(-1, people.points, 3)
        seen = points[..., 2]
        checks = {
            "0, 1 or 2 for each visibility": ((seen == 0) | (seen == 1) | (seen == 2)).all(1),
            "finite numbers": (np.isfinite(points[..., :2]) | (seen == 0)[..., None]).all((1, 2)),
        }
        for wanted, good in checks.items():
            if not good.all():
                bad = int(np.flatnonzero(~good)[0])
                where = f"{self.path} (annotations {people.places[bad]}): keypoints"
                raise value_error(where, wanted, describe(points[bad].flatten().tolist()))
        boxes = np.frombuffer(people.boxes, np.float32).reshape(-1, 4)
        infinite = np.flatnonzero(np.isinf(boxes).any(1))
        if len(infinite):
            where = f"{self.path} (annotations {people.places[infinite[0]]}): bbox"
            raise value_error(where, "finite numbers", describe(boxes[infinite[0]].tolist()))


def _whole(where: str, record: dict[str, Any], name: str, *, low: int = 0, high: int = 2**63) -> int:
    value = record.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value < high:
        raise value_error(f"{where}: {name}", f"a whole number of at least {low}", describe(value))
    return value


def _stays_inside(path: PurePosixPath) -> bool:
    return bool(path.name) and not path.is_absolute() and ".." not in path.parts
