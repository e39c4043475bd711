"""Predicted keypoints on disk: COCO's results, and DeepLabCut's table with a likelihood."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from equicon.data._deeplabcut import DeepLabCutKeypoints
from equicon.data._files import write_text
from equicon.data._keypoints import KeypointDataset
from equicon.data._labels import check_names, floats
from equicon.data._write_keypoints import SCORER, table_text


def write_coco_results(path: str | os.PathLike[str], data: KeypointDataset, xy: Tensor, confidence: Tensor) -> None:
    """Write predictions as COCO's results, which pycocotools and the evaluation servers read.

    It is a list of ``{"image_id", "category_id", "keypoints", "score"}``. Each keypoint is x, y and its confidence. The
    score is the mean confidence.

    Args:
        path: The JSON file to write, whole or not at all.
        data: The data set (n) that was predicted. Its ``image_ids`` and ``category_ids`` are written.
        xy: (n, K, 2) in pixels of the source pictures, as ``KeypointDataset.to_source`` gives them.
        confidence: (n, K).

    Raises:
        ValueError: If shapes do not fit the data set.
        OSError: If the file cannot be written.

    Examples:
        >>> import json, kornia, pathlib, tempfile
        >>> root = pathlib.Path(tempfile.mkdtemp())
        >>> kornia.io.write_image(root / "a.png", torch.zeros(3, 90, 120, dtype=torch.uint8))
        >>> data = KeypointDataset(["a.png"], [[[20, 30]]], [[2]], size=60, names=["tip"], root=root)
        >>> write_coco_results(root / "results.json", data, torch.full((1, 1, 2), 21.5), torch.full((1, 1), 0.5))
        >>> json.loads((root / "results.json").read_text())
        [{'image_id': 1, 'category_id': 1, 'keypoints': [21.5, 21.5, 0.5], 'score': 0.5}]
    """
    points, sure = _check(data, xy, confidence)
    ids = zip(data.image_ids.tolist(), data.category_ids.tolist(), points, sure, strict=True)
    results = [
        {
            "image_id": image,
            "category_id": category,
            "keypoints": _numbers(placed, known),
            "score": sum(known) / len(known),
        }
        for image, category, placed, known in ids
    ]
    write_text(Path(path), json.dumps(results))


def write_deeplabcut_predictions(
    path: str | os.PathLike[str], data: KeypointDataset, xy: Tensor, confidence: Tensor
) -> None:
    """Write predictions as DeepLabCut's table: x, y and likelihood of each point, a row for each picture.

    If a picture has several items, the table has a row ``individuals`` too. These are the animals of
    ``DeepLabCutKeypoints``, or else ``individual1``, ``individual2``, and so on. What a picture lacks stays empty.

    Args:
        path: The CSV file to write, whole or not at all.
        data: The data set (n) that was predicted.
        xy: (n, K, 2) in pixels of the source pictures, as ``KeypointDataset.to_source`` gives them.
        confidence: (n, K), written as the likelihood.

    Raises:
        ValueError: If shapes do not fit the data set.
        OSError: If the file cannot be written.

    Examples:
        >>> import kornia, pathlib, tempfile
        >>> root = pathlib.Path(tempfile.mkdtemp())
        >>> kornia.io.write_image(root / "a.png", torch.zeros(3, 90, 120, dtype=torch.uint8))
        >>> data = KeypointDataset(["a.png"], [[[20, 30]]], [[2]], size=60, names=["tip"], root=root)
        >>> path = root / "predictions.csv"
        >>> write_deeplabcut_predictions(path, data, torch.full((1, 1, 2), 21.5), torch.full((1, 1), 0.5))
        >>> print(path.read_text().strip())
        scorer,equicon,equicon,equicon
        bodyparts,tip,tip,tip
        coords,x,y,likelihood
        a.png,21.5,21.5,0.5
    """
    points, sure = _check(data, xy, confidence)
    animals = [f"individual{i + 1}" for i in range(int(data.instances.max()) + 1)]
    if isinstance(data, DeepLabCutKeypoints) and len(data.individuals) > 1:
        animals = list(data.individuals)
    width = 3 * len(data.names)
    blank: list[object] = [""] * (width * len(animals))
    rows: dict[str, list[object]] = {}
    for i, (instance, placed, known) in enumerate(zip(data.instances.tolist(), points, sure, strict=True)):
        row = rows.setdefault(data.path(i).relative_to(data.root).as_posix(), blank.copy())
        row[instance * width : (instance + 1) * width] = _numbers(placed, known)
    write_text(Path(path), _table(animals, data.names, rows))


def write_video_predictions(path: str | os.PathLike[str], names: Sequence[str], xy: Tensor, confidence: Tensor) -> None:
    """Write predictions for the frames of a video as DeepLabCut's table: a row for each frame, counted from 0.

    Args:
        path: The CSV file to write, whole or not at all.
        names: Names of the K keypoints.
        xy: (n, K, 2) in pixels of the frames, as ``VideoFrames.to_source`` gives them.
        confidence: (n, K), written as the likelihood.

    Raises:
        ValueError: If shapes do not fit.
        OSError: If the file cannot be written.

    Examples:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "predictions.csv"
        >>> write_video_predictions(path, ["tip"], torch.full((2, 1, 2), 21.5), torch.full((2, 1), 0.5))
        >>> print(path.read_text().strip())
        scorer,equicon,equicon,equicon
        bodyparts,tip,tip,tip
        coords,x,y,likelihood
        0,21.5,21.5,0.5
        1,21.5,21.5,0.5
    """
    shape = (len(xy), len(check_names(names)))
    points, sure = floats("xy", xy, (*shape, 2)).tolist(), floats("confidence", confidence, shape).tolist()
    rows = {str(i): _numbers(*row) for i, row in enumerate(zip(points, sure, strict=True))}
    write_text(Path(path), _table([""], names, rows))


def _numbers(placed: list[list[float]], known: list[float]) -> list[object]:
    return [number for (x, y), p in zip(placed, known, strict=True) for number in (x, y, p)]


def _table(animals: Sequence[str], names: Sequence[str], rows: Mapping[str, Sequence[object]]) -> str:
    keys = [(animal, part, axis) for animal in animals for part in names for axis in ("x", "y", "likelihood")]
    header: list[list[object]] = [["scorer", *[SCORER] * len(keys)]]
    if len(animals) > 1:
        header.append(["individuals", *(animal for animal, _, _ in keys)])
    header += [["bodyparts", *(part for _, part, _ in keys)], ["coords", *(axis for _, _, axis in keys)]]
    return table_text([*header, *([name, *row] for name, row in rows.items())])


def _check(data: KeypointDataset, xy: Tensor, confidence: Tensor) -> tuple[list[list[list[float]]], list[list[float]]]:
    shape = (len(data), len(data.names))
    return floats("xy", xy, (*shape, 2)).tolist(), floats("confidence", confidence, shape).tolist()
