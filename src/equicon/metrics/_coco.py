"""COCO's object keypoint similarity, and the average precision that rests on it."""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equicon._checks import check_positive_values, describe, plain, type_error, value_error
from equicon._extra import need
from equicon.metrics._inputs import check_scale, distances_of

# Of nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles: https://cocodataset.org/#keypoints-eval.
_PERSON = (0.026, *(sigma for sigma in (0.025, 0.035, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089) for _ in range(2)))
_UNKNOWN = 0.025
_NAMES = ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl")


def oks(
    pred: Tensor,
    target: Tensor,
    area: Tensor,
    sigmas: Tensor | Sequence[float] | None = None,
    *,
    visible: Tensor | None = None,
) -> Tensor:
    """Measure COCO's object keypoint similarity of each object, which is 1 for a perfect prediction.

    It is the mean of exp(-d² / (2 · area · (2σ)²)) over the keypoints with a label, with the distance d from the truth.

    Args:
        pred: Predicted keypoints (N, K, 2) in pixels.
        target: True keypoints, of the same shape.
        area: The area (N,) of each object in square pixels, above 0. COCO takes that of the mask, others that of the
            box, or a share of it.
        sigmas: How far the labels of each keypoint scatter (K,), as a share of the root of the area, above 0. By
            default they are COCO's if K is 17, which are of persons, and else 0.025 for all.
            That is what SLEAP takes, and the strictest of COCO's.
        visible: Which keypoints have a label, as in ``epe``.

    Returns:
        The similarities (N,), in [0, 1]; NaN for an object without any label.

    Raises:
        TypeError: As in ``epe``.
        ValueError: As in ``epe``, or if an area or a sigma is not a finite number above 0, or sigmas are not K.

    Examples:
        >>> target, area = torch.rand(8, 17, 2), torch.full((8,), 5000.0)
        >>> oks(target, target, area).mean(), oks(target + 5, target, area).mean()
        (tensor(1.), tensor(0.6470))

    Source: https://cocodataset.org/#keypoints-eval.
    """
    distances, labelled = distances_of(pred, target, visible)
    if pred.shape[-1] != 2:
        raise value_error("pred", "keypoints (N, K, 2)", pred, "The similarity is defined in pixels.")
    spread = 2 * _sigmas(sigmas, pred.shape[1]).to(distances.device, distances.dtype)
    alike = (-distances.square() / (2 * spread.square() * check_scale("area", area, distances))).exp()
    alike = alike.nan_to_num(0.0)  # a prediction that is not finite is as far off as can be
    if labelled is None:
        return alike.mean(dim=1)
    return alike.masked_fill(~labelled, 0.0).sum(dim=1) / labelled.sum(dim=1)


def coco_keypoint_ap(
    annotations: str | Path | Mapping[str, Any],
    results: str | Path | Sequence[Mapping[str, Any]],
    *,
    sigmas: Sequence[float] | None = None,
) -> dict[str, float]:
    """Measure the average precision and recall of COCO's keypoint evaluation. Nothing is printed.

    pycocotools computes them, which is the official program, of the extra ``coco``. All images of the annotations
    count. So leave out those for which nothing was predicted on purpose. Crowds, and objects without any labelled
    keypoint, are neither found nor missed.

    Args:
        annotations: COCO's annotations: a JSON file, or what stands in one. Each annotation has ``id``, ``image_id``,
            ``category_id``, ``bbox``, ``area`` and ``keypoints``. Without ``keypoints``, nothing of it is labelled.
        results: COCO's results: a JSON file, or a list of at least one record. Each has ``image_id``, ``category_id``,
            ``keypoints`` and ``score``.
        sigmas: How far the labels of each of the K keypoints scatter, as in ``oks``.

    Returns:
        ``AP`` (the mean over similarities from 0.5 to 0.95), ``AP50``, ``AP75``, ``APm`` and ``APl`` (of objects of
        32² to 96² square pixels, and of larger ones), and ``AR``, ``AR50``, ``AR75``, ``ARm`` and ``ARl``. Each is in
        [0, 1], and NaN where there is no object to find.

    Raises:
        ModuleNotFoundError: If pycocotools is not installed.
        OSError: If a file cannot be read.
        TypeError: If an argument is of the wrong type.
        ValueError: If a file or a record is damaged, records differ in their number of keypoints, a result is of an
            image that the annotations do not have, there is no result, or sigmas do not fit.

    Examples:
        >>> thing = {"image_id": 1, "category_id": 1, "keypoints": [10, 10, 2, 30, 40, 2]}
        >>> truth = {"images": [{"id": 1}], "categories": [{"id": 1}], "annotations": [
        ...     {"id": 1, "bbox": [0, 0, 40, 50], "area": 2000, **thing}]}
        >>> round(coco_keypoint_ap(truth, [{"score": 0.9, **thing}])["AP"], 3)
        1.0

    Source: https://cocodataset.org/#keypoints-eval.
    """
    need("pycocotools", extra="coco")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, found = _read("annotations", annotations), _read("results", results)
    if not isinstance(truth, Mapping):
        raise type_error("annotations", "a file, or a dictionary with images, annotations and categories", truth)
    if not isinstance(found, Sequence):
        raise type_error("results", "a file, or a list of records", describe(found))
    truth = _check_truth(truth)
    count = len(truth["annotations"][0]["keypoints"]) // 3
    images = {image["id"] for image in truth["images"]}
    categories = {category["id"] for category in truth["categories"]}
    found = [_check_result(i, record, count, images, categories) for i, record in enumerate(found)]
    if not found:
        raise value_error("results", "at least one record", "none")
    with redirect_stdout(StringIO()):
        data = COCO()
        data.dataset = truth
        data.createIndex()
        run = COCOeval(data, data.loadRes(found), "keypoints")
        run.params.kpt_oks_sigmas = _sigmas(sigmas, count).numpy()
        run.evaluate()
        run.accumulate()
        run.summarize()
    stats = (float(value) for value in run.stats)
    return {name: value if value >= 0 else float("nan") for name, value in zip(_NAMES, stats, strict=True)}


def _sigmas(sigmas: Any, count: int) -> Tensor:
    if sigmas is None:
        sigmas = _PERSON if count == len(_PERSON) else count * [_UNKNOWN]
    values = torch.as_tensor(sigmas if isinstance(sigmas, Tensor) else plain(sigmas), dtype=torch.float64, device="cpu")
    if tuple(values.shape) != (count,):
        raise value_error("sigmas", f"{count}, one for each keypoint", values)
    check_positive_values("sigmas", values)
    return values


def _read(argument: str, given: Any) -> Any:
    if not isinstance(given, str | Path):
        return given
    try:
        return json.loads(Path(given).read_text(encoding="utf-8"))
    except ValueError as error:
        raise value_error(argument, "a JSON file", f"{given}, which is damaged: {error}") from error


def _check_truth(truth: Mapping[str, Any]) -> dict[str, Any]:
    """Check annotations, and copy them with what pycocotools wants and others leave out."""
    for part in ("images", "annotations", "categories"):
        if not truth.get(part):
            raise value_error("annotations", f"at least one entry in {part!r}", "none")
    count = next((len(record["keypoints"]) for record in truth["annotations"] if record.get("keypoints")), 0)
    copied = []
    images, categories = ({entry["id"] for entry in truth[part]} for part in ("images", "categories"))
    for i, record in enumerate(truth["annotations"]):
        where = f"annotations: record {i}"
        _check_record(where, record, ("id", "image_id", "category_id", "bbox", "area"))
        _check_places(where, record, images, categories)
        keypoints = record.get("keypoints") or count * [0]
        _check_keypoints(where, keypoints, count // 3)
        copied.append(
            {
                "iscrowd": 0,
                **record,
                "id": i + 1,  # pycocotools takes the id 0 for no match, and equal ids for one object
                "keypoints": keypoints,
                "num_keypoints": sum(value > 0 for value in keypoints[2::3]),
            }
        )
    return {**truth, "annotations": copied}


def _check_result(i: int, record: Any, count: int, images: set[Any], categories: set[Any]) -> dict[str, Any]:
    """Check a result, and copy it, since pycocotools writes into it."""
    where = f"results: record {i}"
    _check_record(where, record, ("image_id", "category_id", "keypoints", "score"))
    _check_keypoints(where, record["keypoints"], count)
    _check_places(where, record, images, categories)
    try:
        finite = all(math.isfinite(value) for value in (*record["keypoints"], record["score"]))
    except TypeError as error:
        raise value_error(where, "numbers for keypoints and score", describe(record["score"])) from error
    if not finite:
        raise value_error(where, "finite keypoints and a finite score", "NaN or infinity", "Has the model diverged?")
    return dict(record)


def _check_places(where: str, record: Mapping[str, Any], images: set[Any], categories: set[Any]) -> None:
    for field, known in (("image_id", images), ("category_id", categories)):
        if record[field] not in known:
            what = "an image" if field == "image_id" else "a category"
            raise value_error(f"{where}: {field}", f"{what} of the annotations", describe(record[field]))


def _check_record(where: str, record: Any, fields: Sequence[str]) -> None:
    if not isinstance(record, Mapping):
        raise type_error(where, "a dictionary", describe(record))
    if missing := [field for field in fields if field not in record]:
        raise value_error(where, f"the fields {', '.join(fields)}", f"none of the name {missing[0]}")


def _check_keypoints(where: str, keypoints: Any, count: int) -> None:
    if count == 0 or len(keypoints) != 3 * count:
        raise value_error(f"{where}: keypoints", f"{3 * max(count, 1)} numbers, x, y, v of each", f"{len(keypoints)}")
