import csv
import json
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.keypoints.running import evaluate_keypoints, result

from equicon.data import CocoKeypoints
from equicon.keypoints import read_keypoint_model
from equicon.metrics import coco_keypoint_ap
from equicon.recipes.keypoints import mean_pose


@pytest.fixture(scope="module")
def evaluated(whole, coco, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluated")
    evaluate_keypoints.main([str(whole / "best.pt"), "--data", str(coco), "--batch-size", "7", "--out", str(out)])
    return out


def test_its_numbers_are_those_of_a_loop_over_its_predictions(evaluated, coco, whole):
    data, found = CocoKeypoints(coco, 32), result(evaluated, "evaluation.json")
    predicted = {row["image_id"]: row["keypoints"] for row in json.loads((evaluated / "predictions.json").read_text())}
    far, relative, near, squares = [], [], [], []
    for i in range(len(data)):
        side = float((data.boxes[i, 2:] - data.boxes[i, :2]).max())
        for k in range(6):
            if data.visible[i, k]:
                x, y = predicted[int(data.image_ids[i])][3 * k : 3 * k + 2]
                miss = float(torch.dist(torch.tensor([x, y]), data.xy[i, k]))
                far.append(miss)
                squares.append(miss**2)
                relative.append(miss / side)
                near.append(miss <= 0.2 * side)
    mean = [sum(values) / len(values) for values in (far, relative, near, squares)]
    assert found["count"] == len(data) == 24
    assert [found["model"][name] for name in ("pixels", "nme", "pck")] == pytest.approx(mean[:3], rel=1e-4)
    assert found["model"]["rmse"] == pytest.approx(mean[3] ** 0.5, rel=1e-4)
    assert set(found["mean pose"]) == set(found["model"])
    assert list(found["pixels of each"]) == list(data.names)


def test_the_mean_pose_is_that_of_the_training_data_in_the_box(evaluated, coco, whole):
    data, found = CocoKeypoints(coco, 32), result(evaluated, "evaluation.json")
    task = read_keypoint_model(whole / "best.pt").task
    # All boxes are the same here, so the pose lies at the same place in all pictures.
    side = 1.25 * float(data.boxes[0, 2] - data.boxes[0, 0])
    pose = torch.tensor(task.mean_pose) * side / 2 + (data.boxes[0, :2] + data.boxes[0, 2:]) / 2
    far = (data.xy - pose).norm(dim=-1)[data.visible > 0].mean()
    assert found["mean pose"]["pixels"] == pytest.approx(float(far), rel=1e-3)


def test_cocos_average_precision_is_measured_for_cocos_labels(evaluated, coco):
    pytest.importorskip("pycocotools", reason="OKS-AP needs pycocotools")
    found = result(evaluated, "evaluation.json")["oks"]
    expected = coco_keypoint_ap(coco / "annotations.json", evaluated / "predictions.json")
    assert {name: value for name, value in found.items() if value is not None} == {
        name: pytest.approx(value) for name, value in expected.items() if value == value
    }
    assert found.keys() == expected.keys()


def test_a_sheet_shows_the_worst_items_first(evaluated, whole, coco, tmp_path, monkeypatch):
    assert (evaluated / "worst.png").read_bytes().startswith(b"\x89PNG")
    titles = []
    monkeypatch.setattr(
        evaluate_keypoints, "write_figure", lambda _, figure: titles.extend(axis.get_title() for axis in figure.axes)
    )
    evaluate_keypoints.main([str(whole / "best.pt"), "--data", str(coco), "--out", str(tmp_path)])
    far = [float(title.split(": ")[1].removesuffix(" px")) for title in titles if title]
    assert len(far) == 24
    assert far == sorted(far, reverse=True)  # all boxes are of one size here
    assert titles[0].startswith("images/")


def test_the_mean_pose_leaves_out_what_has_no_label_and_pictures_that_have_no_box():
    xy, visible = 30 * torch.rand(5, 2, 2), torch.tensor([[2, 0], [1, 2], [2, 2], [0, 2], [2, 2]])
    boxes = torch.tensor([[0.0, 0, 20, 30], [5, 5, 25, 20], [1, 2, 40, 30], [0, 0, 10, 10], [torch.nan] * 4])
    data = SimpleNamespace(xy=xy, visible=visible, boxes=boxes)
    found = mean_pose(data, 1.25)
    for k in range(2):
        places = []
        for i in range(4):
            if visible[i, k]:
                x1, y1, x2, y2 = boxes[i].tolist()
                half = 1.25 * max(x2 - x1, y2 - y1) / 2
                places.append(
                    [(float(xy[i, k, 0]) - (x1 + x2) / 2) / half, (float(xy[i, k, 1]) - (y1 + y2) / 2) / half]
                )
        assert found[k].tolist() == pytest.approx(torch.tensor(places).mean(0).tolist(), rel=1e-4)


def test_predictions_of_a_table_are_a_table(whole, mouse, tmp_path):
    evaluate_keypoints.main([str(whole / "best.pt"), "--data", str(mouse), "--out", str(tmp_path)])
    rows = list(csv.reader((tmp_path / "predictions.csv").read_text().splitlines()))
    assert rows[1][:4] == ["bodyparts", "wrist", "wrist", "wrist"]
    assert len(rows) == 3 + 24


def test_several_views_are_averaged_and_written_down(evaluated, whole, coco, tmp_path):
    words = [str(whole / "best.pt"), "--data", str(coco), "--device", "cpu", "--batch-size", "7", "--views"]
    found = []
    for name, views in (("one", 1), ("three", 3), ("again", 3)):
        evaluate_keypoints.main([*words, str(views), "--out", str(tmp_path / name)])
        found.append(result(tmp_path / name, "evaluation.json"))
    assert [each["views"] for each in found] == [1, 3, 3]
    assert found[0] == result(evaluated, "evaluation.json")
    assert found[1] == found[2]
    assert found[1]["model"] != found[0]["model"]
    assert found[1]["mean pose"] == found[0]["mean pose"]


def test_other_keypoints_are_refused(whole, tmp_path, hands):
    from equicon.data import write_deeplabcut

    write_deeplabcut(tmp_path, hands[0], hands[1][:, :2], hands[2][:, :2], names=["nose", "tail"])
    with pytest.raises(
        SystemExit, match=r"--data: expected the keypoints of the model, 6 \(wrist, .*got 2 \(nose, tail"
    ):
        evaluate_keypoints.main([str(whole / "best.pt"), "--data", str(tmp_path)])


def test_a_file_that_is_no_model_is_named(coco, tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "best.pt")
    with pytest.raises(SystemExit, match=r"best.pt: expected a keypoint model"):
        evaluate_keypoints.main([str(tmp_path / "best.pt"), "--data", str(coco)])
    with pytest.raises(SystemExit, match=r"gone.pt"):
        evaluate_keypoints.main([str(tmp_path / "gone.pt"), "--data", str(coco)])
