"""Labelled pictures on disk, in the layouts of COCO and DeepLabCut."""

import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from kornia.io import write_image
from numpy.typing import ArrayLike
from torch import Tensor

from equicon._checks import describe, type_error, value_error
from equicon.data._files import write_text
from equicon.data._labels import check_boxes, check_names, check_skeleton, floats, whole_numbers

SCORER = "equicon"


def write_coco_keypoints(
    folder: str | os.PathLike[str],
    images: Iterable[Tensor],
    xy: ArrayLike | Tensor,
    visible: ArrayLike | Tensor,
    *,
    names: Sequence[str],
    skeleton: Iterable[tuple[int, int]] = (),
    boxes: ArrayLike | Tensor | None = None,
    groups: ArrayLike | Tensor | None = None,
) -> None:
    """Write labelled pictures, one item to each, in COCO's layout: ``annotations.json`` and ``images/00000000.png``.

    ``CocoKeypoints`` reads back what was written, without loss. The annotations are written last, whole or not at all.

    Args:
        folder: The folder to write to; it is made where it does not exist.
        images: Pictures (n), (3, H, W) uint8 of any sizes.
        xy: (n, K, 2), in pixels with integer pixel centres.
        visible: (n, K): 0 without a label, 1 labelled but hidden, 2 labelled and seen.
        names: The names (K) of the points.
        skeleton: Pairs of points to draw lines between, counted from 0. The file counts from 1.
        boxes: (n, 4) x1, y1, x2, y2 in integer pixel centres. A row of NaN is left out. None leaves out all.
        groups: The group of each picture (n,), whole numbers, such as videos. They are written as ``group``.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If shapes do not fit each other, or the folder already holds annotations.

    Examples:
        >>> import tempfile
        >>> root = tempfile.mkdtemp()
        >>> pictures, xy = torch.zeros(2, 3, 48, 64, dtype=torch.uint8), torch.full((2, 1, 2), 20.5)
        >>> write_coco_keypoints(root, pictures, xy, torch.full((2, 1), 2), names=["tip"], groups=[0, 1])
        >>> CocoKeypoints(root, 32).groups
        tensor([0, 1])
    """
    root, labels = Path(folder), _Labels(xy, visible, names, groups)
    lines = [[a + 1, b + 1] for a, b in check_skeleton(skeleton, len(labels.names))]
    found = None if boxes is None else check_boxes(boxes, len(labels.xy)).double()
    _check_free(root, "annotations.json")
    pictures: list[dict[str, object]] = []
    people: list[dict[str, object]] = []
    for i, (file, image) in enumerate(_write_pictures(root, images, [f"images/{i:08d}.png" for i in labels.range])):
        picture: dict[str, object] = {"id": i + 1, "file_name": file, "height": image.shape[1], "width": image.shape[2]}
        pictures.append(picture if labels.groups is None else {**picture, "group": int(labels.groups[i])})
        points = torch.cat([labels.xy[i].double(), labels.visible[i, :, None].double()], 1).flatten().tolist()
        points[2::3] = map(int, points[2::3])
        person: dict[str, object] = {"id": i + 1, "image_id": i + 1, "category_id": 1, "iscrowd": 0}
        person |= {"num_keypoints": int((labels.visible[i] > 0).sum()), "keypoints": points}
        if found is not None and not bool(found[i].isnan().any()):
            x1, y1, x2, y2 = found[i].tolist()
            person |= {"bbox": [x1 + 0.5, y1 + 0.5, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
        people.append(person)
    category = {"id": 1, "name": "object", "keypoints": labels.names, "skeleton": lines}
    whole = {"images": pictures, "annotations": people, "categories": [category]}
    write_text(root / "annotations.json", json.dumps(whole))


def write_deeplabcut(
    folder: str | os.PathLike[str],
    images: Iterable[Tensor],
    xy: ArrayLike | Tensor,
    visible: ArrayLike | Tensor,
    *,
    names: Sequence[str],
    groups: ArrayLike | Tensor | None = None,
) -> None:
    """Write labelled pictures in the layout of DeepLabCut and Lightning Pose.

    That is ``CollectedData.csv`` with three header rows, and ``labeled-data/video0/img00000000.png``.
    ``DeepLabCutKeypoints`` reads back what was written, but for ``visible``: the layout only knows labelled or not, and
    hidden points come back as 2. The table is written last, whole or not at all.

    Args:
        folder: The folder to write to; it is made where it does not exist.
        images: Pictures (n), (3, H, W) uint8 of any sizes.
        xy: (n, K, 2), in pixels with integer pixel centres.
        visible: (n, K): 0 without a label, 1 or 2 with one.
        names: The names (K) of the points.
        groups: The group of each picture (n,), whole numbers. Each is a folder, as for a video.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If shapes do not fit each other, or the folder already holds a table.

    Examples:
        >>> import tempfile
        >>> root = tempfile.mkdtemp()
        >>> pictures, xy = torch.zeros(2, 3, 48, 64, dtype=torch.uint8), torch.full((2, 1, 2), 20.5)
        >>> write_deeplabcut(root, pictures, xy, torch.full((2, 1), 2), names=["tip"], groups=[0, 1])
        >>> DeepLabCutKeypoints(root, 32).path(1).relative_to(root).as_posix()
        'labeled-data/video1/img00000001.png'
    """
    root, labels = Path(folder), _Labels(xy, visible, names, groups)
    _check_free(root, "CollectedData*.csv")
    videos = [0 if labels.groups is None else int(labels.groups[i]) for i in labels.range]
    files = [f"labeled-data/video{video}/img{i:08d}.png" for i, video in enumerate(videos)]
    for _ in _write_pictures(root, images, files):
        pass
    header = [
        ["scorer", *[SCORER] * (2 * len(labels.names))],
        ["bodyparts", *(name for name in labels.names for _ in "xy")],
        ["coords", *["x", "y"] * len(labels.names)],
    ]
    cells = [
        [file, *(repr(value) if seen else "" for point, seen in zip(xy, known, strict=True) for value in point)]
        for file, xy, known in zip(files, labels.xy.tolist(), labels.visible.tolist(), strict=True)
    ]
    write_text(root / "CollectedData.csv", table_text([*header, *cells]))


def table_text(rows: Iterable[Sequence[object]]) -> str:
    """Write rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


class _Labels:
    """Labels that were checked."""

    def __init__(
        self,
        xy: ArrayLike | Tensor,
        visible: ArrayLike | Tensor,
        names: Sequence[str],
        groups: ArrayLike | Tensor | None,
    ) -> None:
        self.names = check_names(names)
        count = len(torch.as_tensor(visible, device="cpu"))
        self.range = range(count)
        self.visible = whole_numbers("visible", visible, (count, len(self.names)))
        if not bool(((self.visible >= 0) & (self.visible <= 2)).all()):
            raise value_error("visible", "0, 1 or 2", f"{self.visible.min()} to {self.visible.max()}")
        found = floats("xy", xy, (count, len(self.names), 2)).masked_fill(self.visible[..., None] == 0, 0.0)
        if not bool(found.isfinite().all()):
            raise value_error("xy", "finite numbers where visible is not 0", "others")
        self.xy = found
        self.groups = None if groups is None else whole_numbers("groups", groups, (count,))


def _check_free(root: Path, pattern: str) -> None:
    there = next(iter(root.glob(pattern)), None)
    if there is not None:
        got = f"{root}, which already holds {there.name}"
        raise value_error("folder", "a folder without such a set", got, "Choose or make an empty folder.")


def _write_pictures(root: Path, images: Iterable[Tensor], files: Sequence[str]) -> Iterable[tuple[str, Tensor]]:
    """Write the pictures one by one, each whole or not at all, and yield them with their names."""
    count = 0
    for image in images:
        if count == len(files):
            break
        if not isinstance(image, Tensor) or image.dtype != torch.uint8 or image.ndim != 3 or len(image) != 3:
            raise type_error(f"images: {count}", "a tensor (3, H, W) of uint8", describe(image))
        path = root / files[count]
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}")  # the format follows the ending
        write_image(part, image.cpu().contiguous())
        part.replace(path)
        yield files[count], image
        count += 1
    else:
        if count == len(files):
            return
    raise value_error(
        "images", f"{len(files)} pictures, as many as labels", "more" if count == len(files) else f"{count}"
    )
