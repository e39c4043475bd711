"""Keypoints in COCO's layout (Lin et al., ECCV 2014, arXiv 1405.0312)."""

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch

from equicon._checks import check_choice, describe, value_error
from equicon._views.warp import PaddingMode
from equicon.data._coco_records import Records
from equicon.data._keypoints import KeypointDataset
from equicon.data._labels import extent
from equicon.data._names import other_spelling

_TRIED = 100  # pictures that are looked for in each folder where they may be
_FIX = "Give the folder of the pictures: images=."


@final
class CocoKeypoints(KeypointDataset):
    """People, animals or things in COCO's layout, cut to squares of one size.

    A picture may show several; each is an item, in the order of the file. Left out and counted are those without a
    labelled point, and those that stand for a crowd (``iscrowd``). The file is read record by record, so that one of
    250,000 people takes little memory. Outlines (``segmentation``) are not kept.

    Pictures are of one group if their records have the same ``group``, ``video_id`` or ``vid_id``. If not all records
    have one of these, the folders of the pictures or blocks of consecutive pictures are the groups, as
    ``KeypointDataset`` says. The people of one picture are always of one group.

    Convention: a box of COCO, x, y, width and height from the outer edge of the first pixel, becomes x1, y1, x2, y2 in
    integer pixel centres: x1 = x − 0.5, x2 = x + width − 0.5. Points stay as they are written. A skeleton counts from
    1, or from 0 if it has a 0. Its lines to points that there are not are left out.

    Args:
        root: A folder with ``annotations.json``, or with one file in ``annotations/``; or the path of such a file.
        size: Side of the items in pixels, at least 1.
        images: The folder that names of pictures are relative to. With None, it is the folder of the file, its folder
            ``images``, or the same of the folder above: the first that has any of the pictures.
        category: The name of the category that is read. With None, all that have labels are read, and their keypoints
            must have the same names.
        margin: Side of the square divided by the longer side of the box, in [1e-4, 1e4]. With None it is 1.25, or 1 for
            whole pictures.
        padding_mode: What the square shows outside the picture: ``zeros``, which is black, ``border`` or
            ``reflection``.
        box: ``"bbox"`` is the box of the record, or around the labelled points where there is none. ``"points"`` is
            around the labelled points always, and ``"picture"`` is the whole picture.

    Attributes:
        file: The file of annotations.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, the file is missing or damaged, categories have different points, or
            none of the first pictures is there. The message names the record.
        CorruptImage: From an item whose picture cannot be read or has another size than is recorded, or whose box lies
            outside of it.

    Examples:
        >>> import tempfile
        >>> root = tempfile.mkdtemp()
        >>> xy, visible = torch.tensor([[[10.0, 20.0], [30.0, 40.0]]]), torch.tensor([[2, 1]])
        >>> pictures = torch.zeros(1, 3, 48, 64, dtype=torch.uint8)
        >>> write_coco_keypoints(root, pictures, xy, visible, names=["left_eye", "right_eye"], skeleton=[(0, 1)])
        >>> data = CocoKeypoints(root, 32)
        >>> len(data), data.names, data.skeleton, data.xy.tolist()
        (1, ('left_eye', 'right_eye'), ((0, 1),), [[[10.0, 20.0], [30.0, 40.0]]])
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        size: int,
        *,
        images: str | os.PathLike[str] | None = None,
        category: str | None = None,
        margin: float | None = None,
        padding_mode: PaddingMode = "zeros",
        box: Literal["bbox", "points", "picture"] = "bbox",
    ) -> None:
        check_choice("box", box, ("bbox", "points", "picture"))
        self.file = find_annotations(Path(root))
        records = Records(self.file)
        chosen = _choose(records, category)
        labels = records.labels(chosen)
        shown = records.categories[chosen[0]]
        visible = labels.points[..., 2].astype(np.int64)
        pictures = np.array([records.pictures[image] for image in labels.images.tolist()])
        some = [records.files[picture] for picture in islice(dict.fromkeys(pictures.tolist()), _TRIED)]
        groups = [records.groups[picture] for picture in pictures.tolist()]
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        xy, boxes = torch.from_numpy(labels.points[..., :2]), torch.from_numpy(labels.boxes)
        if box == "points":
            boxes = torch.full_like(boxes, torch.nan)
        if box != "picture":
            boxes = torch.where(boxes.isnan(), extent(xy, torch.from_numpy(visible > 0)), boxes)
        super().__init__(
            [records.files[picture] for picture in pictures.tolist()],
            xy,
            visible,
            size,
            names=shown.keypoints or [f"point_{i}" for i in range(visible.shape[1])],
            root=_find_images(self.file, images, some),
            skeleton=_from_zero(shown.skeleton, visible.shape[1]),
            boxes=None if box == "picture" else boxes,
            groups=None if None in numbers else [numbers[group] for group in groups],
            margin=margin,
            padding_mode=padding_mode,
        )
        sizes = torch.frombuffer(records.sizes, dtype=torch.int32).reshape(-1, 2)
        self._sizes = sizes[torch.from_numpy(pictures)]
        self.image_ids, self.category_ids = torch.from_numpy(labels.images), torch.from_numpy(labels.categories)
        self.left_out = sum(records.left_out[number] for number in chosen)


def find_annotations(path: Path) -> Path:
    """Return the file of annotations in a folder, or the file that is given itself."""
    if path.is_file():
        return path
    if (path / "annotations.json").is_file():
        return path / "annotations.json"
    several = sorted((path / "annotations").glob("*.json"))
    if len(several) == 1:
        return several[0]
    if several:
        listed = ", ".join(file.name for file in several)
        raise value_error("root", "one file of annotations", f"{path}/annotations with {listed}", "Give one of them.")
    fix = other_spelling(path) or "Give the folder that holds it, or the path of the file."
    raise value_error("root", "a folder with annotations.json, or such a file", f"{path}", fix)


def _choose(records: Records, category: str | None) -> list[int]:
    """Return the ids of the categories that are read, which have the same points."""
    names = {number: records.categories[number].name for number in records.people}
    listed = ", ".join(sorted(names.values()))
    if category is not None:
        chosen = [number for number, name in names.items() if name == category]
        if not chosen:
            raise value_error("category", f"one that has labels in {records.path}: {listed}", describe(category))
    else:
        chosen = list(names)
    kinds = {(records.people[number].points, *records.categories[number].keypoints) for number in chosen}
    if len(kinds) > 1:
        got = f"{', '.join(sorted(names[number] for number in chosen))}, whose points differ"
        fix = "Choose one: category=." if category is None else "Give each a name of its own."
        raise value_error(str(records.path), "categories with the same points", got, fix)
    return chosen


def _find_images(file: Path, images: str | os.PathLike[str] | None, some: Sequence[str]) -> Path:
    """Return the folder that has any of some pictures."""
    above = file.absolute().parents
    folders = [file.parent, file.parent / "images", *([above[1], above[1] / "images"] if len(above) > 1 else [])]
    if images is not None:
        folders = [Path(images)]
    near = []
    if images is None and file.parent.name == "annotations":  # COCO's own pictures lie in train2017 and so on beside it
        near = [path for path in sorted(above[1].iterdir()) if path.is_dir()]
    for folder in [*folders, *near]:
        if any(os.path.exists(folder / name) for name in some):  # noqa: PTH110  # also for names that are too long
            return folder
    looked = ", ".join(map(str, folders))
    fix = next(filter(None, (other_spelling(folder / some[0]) for folder in folders)), "")
    raise value_error("images", f"a folder with {some[0]}, as {file} names it", f"none in {looked}", fix or _FIX)


def _from_zero(skeleton: list[tuple[int, int]], points: int) -> list[tuple[int, int]]:
    first = 0 if any(0 in pair for pair in skeleton) else 1
    pairs = ((a - first, b - first) for a, b in skeleton)
    # CrowdPose's own file joins points that it does not have. Lines are drawn only, so the others still serve.
    return [pair for pair in pairs if all(0 <= point < points for point in pair)]
