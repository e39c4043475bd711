"""COCO's similarity and average precision, beside the official program."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from equicon.metrics import coco_keypoint_ap, oks

pytest.importorskip("pycocotools", reason="the official program of COCO")
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

seeds = st.integers(0, 2**31 - 1)


def scene(seed: int, n: int = 12, count: int = 17, noise: float = 6.0) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Several objects to an image, and what was found of them: some twice, some not, some that are not there."""
    rng = np.random.default_rng(seed)
    truth: dict[str, Any] = {"images": [{"id": 10 + i} for i in range(4)], "categories": [{"id": 3}], "annotations": []}
    found = []
    for i in range(n):
        corner, size = rng.uniform(0, 300, 2), rng.uniform(30, 200, 2)
        xy, v = corner + size * rng.random((count, 2)), rng.integers(0, 3, count)
        v[rng.integers(count)] = 2
        flat = np.column_stack([xy, v]).ravel().tolist()
        where = {"image_id": 10 + int(rng.integers(4)), "category_id": 3}
        area = float(0.6 * size.prod())
        truth["annotations"].append(
            {"id": i + 1, "bbox": [*corner, *size], "area": area, "iscrowd": 0, "keypoints": flat, **where}
        )
        for _ in range(int(rng.integers(3))):
            moved = np.column_stack([xy + rng.normal(0, noise, xy.shape), np.ones(count)])
            found.append({"keypoints": moved.ravel().tolist(), "score": float(rng.random()), **where})
    found.append({"keypoints": rng.uniform(0, 300, 3 * count).tolist(), "score": 0.5, "image_id": 11, "category_id": 3})
    return truth, found


def official(truth: dict[str, Any], found: list[dict[str, Any]], sigmas: list[float] | None) -> COCOeval:
    data = COCO()
    data.dataset = copy.deepcopy(truth)
    for record in data.dataset["annotations"]:
        record["num_keypoints"] = sum(v > 0 for v in record["keypoints"][2::3])
    data.createIndex()
    run = COCOeval(data, data.loadRes(copy.deepcopy(found)), "keypoints")
    if sigmas is not None:
        run.params.kpt_oks_sigmas = np.array(sigmas)
    run.evaluate()
    return run


def tensors(records: list[dict[str, Any]]) -> tuple[Tensor, Tensor]:
    flat = torch.tensor([record["keypoints"] for record in records], dtype=torch.float64).unflatten(1, (-1, 3))
    return flat[..., :2], flat[..., 2].int()


@settings(max_examples=10, deadline=None)
@given(seed=seeds, count=st.sampled_from([1, 2, 17]), noise=st.sampled_from([0.0, 1.0, 20.0]))
def test_similarities_are_those_of_the_official_program(seed: int, count: int, noise: float) -> None:
    truth, found = scene(seed, count=count, noise=noise)
    sigmas = None if count == 17 else [0.025 + 0.05 * k for k in range(count)]
    run = official(truth, found, sigmas)
    compared = 0
    for image in truth["images"]:
        there = [record for record in truth["annotations"] if record["image_id"] == image["id"]]
        seen = sorted((r for r in found if r["image_id"] == image["id"]), key=lambda record: -record["score"])
        if not there or not seen:
            continue
        wanted = run.computeOks(image["id"], 3)
        (xy, visible), (pred, _) = tensors(there), tensors(seen)
        area = torch.tensor([record["area"] for record in there], dtype=torch.float64)
        for j in range(len(there)):
            every = [value[j].expand(len(seen), *value[j].shape) for value in (xy, visible, area)]
            got = oks(pred, every[0], every[2], sigmas, visible=every[1])
            np.testing.assert_allclose(got, wanted[:, j], rtol=1e-12, atol=1e-300)
            compared += len(seen)
    assert compared


def test_similarities_of_other_numbers_of_keypoints_take_one_sigma() -> None:
    (xy, _), area = tensors(scene(0, count=5)[0]["annotations"]), torch.full((12,), 900.0, dtype=torch.float64)
    found = oks(xy + torch.tensor([3.0, 4.0]), xy, area)
    torch.testing.assert_close(found, torch.full_like(area, float(np.exp(-25 / (2 * 900 * 0.05**2)))))
    assert torch.equal(oks(xy + 1, xy, area, torch.full((5,), 0.07)), oks(xy + 1, xy, area, 5 * [np.float32(0.07)]))


def test_ids_have_no_influence() -> None:
    truth, found = scene(3)
    expected = coco_keypoint_ap(truth, found)
    for ids in (range(len(truth["annotations"])), [7] * len(truth["annotations"])):
        for record, number in zip(truth["annotations"], ids, strict=True):
            record["id"] = number
        assert coco_keypoint_ap(truth, found) == expected


def test_a_prediction_that_is_not_finite_is_like_nothing() -> None:
    target = torch.rand(2, 4, 2)
    pred = target.clone()
    pred[1, 2] = float("nan")
    assert oks(pred, target, torch.full((2,), 100.0)).tolist() == [1.0, 0.75]


def test_an_object_without_labels_has_no_similarity() -> None:
    xy, known = torch.rand(3, 4, 2), torch.ones(3, 4, dtype=torch.bool)
    known[1] = False
    assert oks(xy, xy, torch.ones(3), visible=known).isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [2, 17])
def test_precision_is_that_of_the_official_program(
    seed: int, count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, found = scene(seed, 40, count)
    truth["annotations"][0]["iscrowd"] = 1
    truth["annotations"][1]["keypoints"] = 3 * count * [0]
    sigmas = None if count == 17 else [0.05, 0.1]
    run = official(truth, found, sigmas)
    run.accumulate()
    run.summarize()
    capsys.readouterr()
    names = [kind + at for kind in ("AP", "AR") for at in ("", "50", "75", "m", "l")]
    wanted = dict(zip(names, run.stats.tolist(), strict=True))
    given, before = copy.deepcopy((truth, found)), (truth, found)
    got = coco_keypoint_ap(*given, sigmas=sigmas)
    assert got == wanted
    assert 0 < got["AP"] < got["AP50"] <= 1
    assert given == before
    assert capsys.readouterr() == ("", "")
    paths = [tmp_path / "truth.json", tmp_path / "found.json"]
    for path, value in zip(paths, given, strict=True):
        path.write_text(json.dumps(value))
    assert coco_keypoint_ap(*paths, sigmas=sigmas) == coco_keypoint_ap(*map(str, paths), sigmas=sigmas) == wanted


def test_what_others_leave_out_is_filled_in_and_sizes_that_are_not_there_are_nan() -> None:
    truth, _ = scene(0, 1)
    perfect = [
        {"score": 1.0, **{key: truth["annotations"][0][key] for key in ("image_id", "category_id", "keypoints")}}
    ]
    truth["annotations"][0] |= {"area": 100.0**2}
    truth["annotations"].append({"id": 2, "image_id": 10, "category_id": 3, "bbox": [0, 0, 9, 9], "area": 81.0})
    del truth["annotations"][0]["iscrowd"]
    found = coco_keypoint_ap(truth, perfect)
    assert [found[name] for name in ("AP", "APl", "AR")] == pytest.approx([1, 1, 1])
    assert np.isnan(found["APm"])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t, r: (t, []), ValueError, "results: expected at least one record, got none"),
        (lambda t, r: ([], r), TypeError, "annotations: expected a file, or a dictionary with images"),
        (lambda t, r: (t, 3), TypeError, "results: expected a file, or a list of records, got int 3"),
        (lambda t, r: (t | {"images": []}, r), ValueError, "annotations: expected at least one entry in 'images'"),
        (
            lambda t, r: (t, [r[0] | {"image_id": 7}]),
            ValueError,
            "results: record 0: image_id: expected an image of the",
        ),
        (lambda t, r: (t, [r[0] | {"category_id": 8}]), ValueError, "record 0: category_id: expected a category of"),
        (lambda t, r: (t, [r[0] | {"score": float("nan")}]), ValueError, "record 0: expected finite keypoints and a"),
        (
            lambda t, r: (t, [r[0] | {"score": "high"}]),
            ValueError,
            "record 0: expected numbers for keypoints and score",
        ),
        (
            lambda t, r: (t | {"annotations": [t["annotations"][0] | {"image_id": 99}]}, r),
            ValueError,
            "annotations: record 0: image_id: expected an image of the annotations",
        ),
        (lambda t, r: (t, [r[0], "x"]), TypeError, "results: record 1: expected a dictionary, got str 'x'"),
        (lambda t, r: (t, [r[0] | {"keypoints": [1, 2, 3]}]), ValueError, "record 0: keypoints: expected 51 numbers"),
        (
            lambda t, r: (t, [{"image_id": 1}]),
            ValueError,
            "record 0: expected the fields image_id, category_id, keypoint",
        ),
        (
            lambda t, r: (t | {"annotations": [{"id": 1, "image_id": 10, "category_id": 3, "bbox": [0, 0, 1, 1]}]}, r),
            ValueError,
            "record 0: expected the fields id, image_id, category_id, bbox, area, got none of the name area",
        ),
    ],
)
def test_refuses_records_that_do_not_fit(change: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        coco_keypoint_ap(*change(*scene(0)))


def test_refuses_damaged_files_and_sigmas_that_do_not_fit(tmp_path: Path) -> None:
    truth, found = scene(0)
    (tmp_path / "half.json").write_text('[{"image_id": ')
    with pytest.raises(ValueError, match=r"results: expected a JSON file, got .*half\.json, which is damaged: "):
        coco_keypoint_ap(truth, tmp_path / "half.json")
    with pytest.raises(FileNotFoundError, match=r"gone\.json"):
        coco_keypoint_ap(tmp_path / "gone.json", found)
    xy, area = torch.rand(2, 3, 2), torch.ones(2)
    for sigmas, message in (([0.1], "expected 3, one for each keypoint"), ([0.1, 0.0, 1], "above 0, got 0 at index 1")):
        with pytest.raises(ValueError, match=f"sigmas: .*{message}"):
            oks(xy, xy, area, sigmas)
    with pytest.raises(ValueError, match="sigmas: expected 17, one for each keypoint"):
        coco_keypoint_ap(truth, found, sigmas=[0.1])
    with pytest.raises(ValueError, match=r"pred: expected keypoints \(N, K, 2\)"):
        oks(torch.rand(2, 3, 3), torch.rand(2, 3, 3), area)
