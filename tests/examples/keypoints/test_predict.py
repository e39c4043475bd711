import csv
import json

import kornia
import pytest
import torch

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.keypoints.running import predict_keypoints

from equicon.data import VideoFrames, write_video
from equicon.keypoints import read_keypoint_model
from equicon.recipes.keypoints import overlay


def table(path):
    rows = list(csv.reader(path.read_text().splitlines()))
    assert rows[2][1:4] == ["x", "y", "likelihood"]
    return {row[0]: [float(value) for value in row[1:]] for row in rows[3:]}


def test_pictures_get_a_table_and_a_sheet(whole, hands, tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(5):  # they need not be of one size
        kornia.io.write_image(tmp_path / "in" / f"{i}.png", hands[0][i, :, :, : 40 + i].contiguous())
    predict_keypoints.main(
        [str(whole / "best.pt"), str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    )
    found = table(tmp_path / "out" / "predictions.csv")
    assert list(found) == [f"{i}.png" for i in range(5)]
    assert all(len(row) == 18 for row in found.values())
    assert (tmp_path / "out" / "predicted.png").read_bytes().startswith(b"\x89PNG")


def test_one_picture_will_do_and_none_is_named(whole, hands, tmp_path):
    kornia.io.write_image(tmp_path / "a.png", hands[0][0])
    predict_keypoints.main([str(whole / "best.pt"), str(tmp_path / "a.png"), "--out", str(tmp_path), "--device", "cpu"])
    assert list(table(tmp_path / "predictions.csv")) == ["a.png"]
    with pytest.raises(SystemExit, match=r"SOURCE: expected a picture, a folder of pictures, or a video, got gone.png"):
        predict_keypoints.main([str(whole / "best.pt"), "gone.png"])


def test_boxes_say_where_things_are(whole, hands, tmp_path):
    (tmp_path / "in").mkdir()
    wide = torch.zeros(3, 100, 160, dtype=torch.uint8)
    wide[:, 20:68, 50:98] = hands[0][0]
    kornia.io.write_image(tmp_path / "in" / "wide.png", wide)
    (tmp_path / "boxes.json").write_text(json.dumps({"wide.png": [[54, 24, 93, 63], [4, 4, 43, 43]]}))
    words = [str(whole / "best.pt"), str(tmp_path / "in"), "--boxes", str(tmp_path / "boxes.json"), "--device", "cpu"]
    predict_keypoints.main([*words, "--out", str(tmp_path / "out")])
    rows = list(csv.reader((tmp_path / "out" / "predictions.csv").read_text().splitlines()))
    assert rows[1][0] == "individuals"
    values = [float(value) for value in rows[4][1:]]
    predictor = read_keypoint_model(whole / "best.pt")
    direct = predictor(wide[None], torch.tensor([[54.0, 24, 93, 63]])).xy[0]
    assert torch.allclose(torch.tensor(values[:18]).view(6, 3)[:, :2], direct, atol=1.0)


def test_a_video_gets_a_table_and_a_video(whole, hands, tmp_path):
    pytest.importorskip("av", reason="videos need PyAV")
    write_video(tmp_path / "a.mp4", hands[0][:7], rate=10)
    predict_keypoints.main(
        [
            str(whole / "best.pt"),
            str(tmp_path / "a.mp4"),
            "--batch-size",
            "3",
            "--out",
            str(tmp_path),
            "--device",
            "cpu",
        ]
    )
    found = table(tmp_path / "predictions.csv")
    assert list(found) == [str(i) for i in range(7)]
    painted = VideoFrames(tmp_path / "predicted.mp4", 48)
    assert len(painted) == 7
    assert painted.frame_rate == 10
    plain = VideoFrames(tmp_path / "a.mp4", 48)
    assert (painted[3].image.float() - plain[3].image.float()).abs().max() > 60


def test_a_video_may_be_seen_in_several_views(whole, hands, tmp_path):
    pytest.importorskip("av", reason="videos need PyAV")
    write_video(tmp_path / "a.mp4", hands[0][:3], rate=10)
    found = []
    for views in (1, 3):
        words = [str(whole / "best.pt"), str(tmp_path / "a.mp4"), "--views", str(views), "--device", "cpu"]
        predict_keypoints.main([*words, "--out", str(tmp_path / str(views))])
        found.append(torch.tensor(list(table(tmp_path / str(views) / "predictions.csv").values())))
    assert found[0].shape == found[1].shape == (3, 18)
    assert 0 < float((found[0] - found[1]).abs().max()) < 24  # less than half of the picture


def test_painting_covers_keypoints_and_little_else():
    picture = torch.zeros(3, 60, 80, dtype=torch.uint8)
    xy = torch.tensor([[20.0, 30.0], [50.0, 30.0], [500.0, -70.0]])
    painted = overlay(picture, xy, [(0, 1)], torch.tensor([1.0, 1.0, 1.0]))
    lit = painted.amax(0) > 0
    assert lit[30, 20:51].all()
    assert lit.sum() < 31 + 2 * 25
    assert not lit[28, 18]  # dots are round
    assert not picture.any()
    faint = overlay(picture, xy, [], torch.tensor([0.5, 0.0, 1.0])).amax(0)
    assert (faint[30, 20], faint[30, 50]) == (127, 0)


def test_boxes_do_not_go_with_a_video(whole, tmp_path):
    pytest.importorskip("av", reason="videos need PyAV")
    write_video(tmp_path / "a.mp4", torch.zeros(2, 3, 32, 32, dtype=torch.uint8), rate=10)
    with pytest.raises(SystemExit, match=r"--boxes: expected a folder of pictures"):
        predict_keypoints.main([str(whole / "best.pt"), str(tmp_path / "a.mp4"), "--boxes", "b.json"])


def test_a_folder_without_pictures_is_named(whole, tmp_path):
    with pytest.raises(SystemExit, match=r"root: expected a folder with .jpg, .jpeg or .png images"):
        predict_keypoints.main([str(whole / "best.pt"), str(tmp_path)])
