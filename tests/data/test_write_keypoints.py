import csv
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from equicon.data import (
    CocoKeypoints,
    DeepLabCutKeypoints,
    KeypointDataset,
    read_rgb,
    write_coco_keypoints,
    write_coco_results,
    write_deeplabcut,
    write_deeplabcut_predictions,
)

NAMES = ["nose", "left_eye", "right_eye"]
COUNT = 9
GROUPS = [i // 3 for i in range(COUNT)]


def labels() -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
    """Pictures of different sizes with random labels; the fifth has none."""
    draw = torch.Generator().manual_seed(0)
    images = [torch.randint(0, 256, (3, 40 + i, 50 - i), dtype=torch.uint8, generator=draw) for i in range(COUNT)]
    xy = torch.rand(COUNT, 3, 2, generator=draw) * 38
    visible = torch.randint(0, 3, (COUNT, 3), generator=draw)
    visible[:, 0], visible[4] = 2, 0
    boxes = torch.rand(COUNT, 4, generator=draw) * 10 + torch.tensor([0.0, 0, 20, 20])
    return images, xy, visible, boxes


KEPT = [i for i in range(COUNT) if i != 4]


def test_coco_is_read_back_equal(tmp_path):
    images, xy, visible, boxes = labels()
    boxes[2] = torch.nan
    write_coco_keypoints(
        tmp_path, iter(images), xy, visible, names=NAMES, skeleton=[(0, 2)], boxes=boxes, groups=GROUPS
    )
    data = CocoKeypoints(tmp_path, 32)
    assert (len(data), data.left_out, data.names, data.skeleton) == (8, 1, tuple(NAMES), ((0, 2),))
    assert torch.equal(data.visible, visible[KEPT].byte())
    assert torch.equal(data.xy, torch.where(visible[KEPT][..., None] > 0, xy[KEPT], 0.0))
    boxed = [i for i, kept in enumerate(KEPT) if kept != 2]
    assert torch.equal(data.boxes[boxed], boxes[[i for i in KEPT if i != 2]])
    assert torch.equal(data.groups, torch.tensor(GROUPS)[KEPT])
    assert all(torch.equal(read_rgb(data.path(i)), images[kept]) for i, kept in enumerate(KEPT))
    assert json.loads((tmp_path / "annotations.json").read_text())["categories"][0]["skeleton"] == [[1, 3]]
    plain = tmp_path / "plain"
    write_coco_keypoints(plain, images, xy, visible, names=NAMES)
    assert "bbox" not in json.loads((plain / "annotations.json").read_text())["annotations"][0]


def test_deeplabcut_is_read_back_equal(tmp_path):
    images, xy, visible, _ = labels()
    write_deeplabcut(tmp_path, images, xy, visible, names=NAMES, groups=GROUPS)
    data = DeepLabCutKeypoints(tmp_path, 32)
    assert (len(data), data.left_out, data.names) == (8, 1, tuple(NAMES))
    assert torch.equal(data.visible > 0, visible[KEPT] > 0)
    assert torch.equal(data.xy, torch.where(visible[KEPT][..., None] > 0, xy[KEPT], 0.0))
    assert torch.equal(data.groups, torch.tensor(GROUPS)[KEPT])
    assert all(torch.equal(read_rgb(data.path(i)), images[kept]) for i, kept in enumerate(KEPT))


def write_either(layout: str, root: Path, images: list[Tensor]) -> None:
    write = write_coco_keypoints if layout == "coco" else write_deeplabcut
    write(root, images, *labels()[1:3], names=NAMES)


@pytest.mark.parametrize("layout", ["coco", "deeplabcut"])
def test_labels_appear_whole_or_not_at_all(tmp_path, layout):
    images = labels()[0]
    for bad, error, message in (
        (images[:-1], ValueError, "images: expected 9 pictures, as many as labels, got 8"),
        ([*images, images[0]], ValueError, "images: expected 9 pictures, as many as labels, got more"),
        ([*images[:-1], images[0].float()], TypeError, r"images: 8: expected a tensor \(3, H, W\) of uint8"),
    ):
        with pytest.raises(error, match=message):
            write_either(layout, tmp_path, bad)
        assert not [*tmp_path.glob("*.json"), *tmp_path.glob("*.csv"), *tmp_path.rglob(".*")]
    write_either(layout, tmp_path, images)
    with pytest.raises(ValueError, match=r"folder: expected a folder without such a set, got .*, which already holds"):
        write_either(layout, tmp_path, images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"xy": torch.zeros(9, 2, 2)}, r"xy: expected numbers of shape \(9, 3, 2\)"),
        ({"xy": torch.full((9, 3, 2), torch.nan)}, "xy: expected finite numbers where visible is not 0"),
        ({"visible": torch.full((9, 3), 3)}, "visible: expected 0, 1 or 2, got 3 to 3"),
        ({"groups": [1]}, r"groups: expected numbers of shape \(9,\)"),
    ],
)
@pytest.mark.parametrize("write", [write_coco_keypoints, write_deeplabcut])
def test_wrong_labels_are_named_before_anything_is_written(tmp_path, write, change, message):
    images, xy, visible, _ = labels()
    given = {"folder": tmp_path, "images": images, "xy": xy, "visible": visible, "names": NAMES}
    with pytest.raises(ValueError, match=message):
        write(**{**given, **change})
    assert not [*tmp_path.iterdir()]


# --- predictions


@pytest.fixture
def coco(tmp_path: Path) -> CocoKeypoints:
    images, xy, visible, boxes = labels()
    write_coco_keypoints(tmp_path / "coco", images, xy, visible, names=NAMES, boxes=boxes)
    return CocoKeypoints(tmp_path / "coco", 32)


def test_coco_results_are_what_its_evaluation_takes(coco, tmp_path, capsys):
    part = coco.select([6, 2, 0])
    confidence = torch.rand(3, 3, generator=torch.Generator().manual_seed(1))
    write_coco_results(tmp_path / "results.json", part, part.xy + 1, confidence)
    results = json.loads((tmp_path / "results.json").read_text())
    assert [result["image_id"] for result in results] == part.image_ids.tolist()
    assert torch.equal(
        torch.tensor(results[1]["keypoints"]).view(3, 3), torch.cat([part.xy[1] + 1, confidence[1, :, None]], 1)
    )
    assert results[1]["score"] == pytest.approx(float(confidence[1].mean()))
    # Exact predictions of all people are perfect.
    peer = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval").COCOeval
    write_coco_results(tmp_path / "exact.json", coco, coco.xy, torch.ones(len(coco), 3))
    truth = peer.COCO(coco.file)
    found = evaluation(truth, truth.loadRes(str(tmp_path / "exact.json")), "keypoints")
    found.params.kpt_oks_sigmas = found.params.kpt_oks_sigmas[:3]
    found.evaluate()
    found.accumulate()
    found.summarize()
    capsys.readouterr()
    assert found.stats[0] == pytest.approx(1)


def test_predicted_tables_are_read_as_labels(tmp_path):
    images, xy, visible, _ = labels()
    write_deeplabcut(tmp_path, images, xy, visible, names=NAMES, groups=GROUPS)
    data = DeepLabCutKeypoints(tmp_path, 32)
    found = torch.rand(len(data), 3, 2) * 30
    write_deeplabcut_predictions(tmp_path / "predictions.csv", data, found, torch.full((len(data), 3), 0.25))
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows[:3]] == ["scorer", "bodyparts", "coords"]
    assert rows[2][1:4] == ["x", "y", "likelihood"]
    assert {row[3] for row in rows[3:]} == {"0.25"}
    again = DeepLabCutKeypoints(tmp_path / "predictions.csv", 32)
    assert torch.equal(again.xy, found)
    assert [again.path(i) for i in range(len(again))] == [data.path(i) for i in range(len(data))]


def test_several_items_of_a_picture_share_a_row(tmp_path):
    files, boxes = ["a.png", "b.png", "a.png"], [[0, 0, 9, 9]] * 3
    data = KeypointDataset(files, torch.ones(3, 1, 2), [[2]] * 3, 8, names=["tip"], boxes=boxes)
    write_deeplabcut_predictions(
        tmp_path / "p.csv", data, torch.tensor([[[1.0, 2]], [[3, 4]], [[5, 6]]]), torch.ones(3, 1)
    )
    assert (tmp_path / "p.csv").read_text().splitlines()[1:] == [
        "individuals,individual1,individual1,individual1,individual2,individual2,individual2",
        "bodyparts,tip,tip,tip,tip,tip,tip",
        "coords,x,y,likelihood,x,y,likelihood",
        "a.png,1.0,2.0,1.0,5.0,6.0,1.0",
        "b.png,3.0,4.0,1.0,,,",
    ]


def test_predictions_must_fit_the_data(coco, tmp_path):
    for write in (write_coco_results, write_deeplabcut_predictions):
        with pytest.raises(ValueError, match=r"xy: expected numbers of shape \(8, 3, 2\), got shape \(7, 3, 2\)"):
            write(tmp_path / "a", coco, coco.xy[1:], torch.ones(8, 3))
        with pytest.raises(ValueError, match=r"confidence: expected numbers of shape \(8, 3\)"):
            write(tmp_path / "a", coco, coco.xy, torch.ones(8, 2))
    assert not (tmp_path / "a").exists()
