from dataclasses import replace

import pytest
import torch

pytest.importorskip("torchvision", reason="the encoders come from torchvision")

from equicon.keypoints import KeypointPredictor, KeypointTask, read_keypoint_model, write_keypoint_model

TASK = KeypointTask(
    arch="quarter_resnet18",
    head="heatmap",
    size=64,
    margin=1.25,
    names=("nose", "left_ear", "right_ear"),
    skeleton=((0, 1), (0, 2)),
    flip=(0, 2, 1),
    mean=(0.4, 0.5, 0.6),
    std=(0.2, 0.2, 0.3),
    mean_pose=((0.0, 0.0), (-0.5, 0.25), (1.0, -1.0)),
)


def test_a_file_gives_back_the_model_and_all_that_one_needs_to_use_it(tmp_path):
    model = TASK.build().eval()
    write_keypoint_model(tmp_path / "best.pt", model.state_dict(), TASK)
    state = torch.random.get_rng_state()
    found = read_keypoint_model(tmp_path / "best.pt")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert found.task == TASK
    assert not found.model.training
    images = torch.rand(2, 3, 50, 80)
    assert torch.equal(found(images).xy, KeypointPredictor(model, TASK)(images).xy)


def test_a_prediction_is_in_pixels_of_the_picture_and_follows_the_box():
    predictor = KeypointPredictor(TASK.build().eval(), TASK)
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    box = torch.tensor([[10.0, 12.0, 41.0, 43.0]])
    wide = torch.zeros(1, 3, 100, 164, dtype=torch.uint8)
    wide[..., 20:84, 50:114] = image
    inside = predictor(image, box).xy
    moved = predictor(wide, box + torch.tensor([50.0, 20, 50, 20])).xy
    assert torch.allclose(moved, inside + torch.tensor([50.0, 20.0]), atol=0.2)  # the pyramids are cut elsewhere


def test_the_mean_pose_lies_in_the_box():
    predictor = KeypointPredictor(TASK.build().eval(), TASK)
    image = torch.rand(1, 3, 100, 200)
    box = torch.tensor([[20.0, 30.0, 100.0, 70.0]])  # the square has a side of 100, about (60, 50)
    pose = predictor.mean_pose(image, box)
    assert torch.allclose(pose, torch.tensor([[[60.0, 50.0], [35.0, 62.5], [110.0, 0.0]]]), atol=1e-3)
    whole = predictor.mean_pose(image)  # the square has a side of 250, about (99.5, 49.5)
    assert torch.allclose(whole, torch.tensor([[[99.5, 49.5], [37.0, 80.75], [224.5, -75.5]]]), atol=1e-3)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    (tmp_path / "best.pt").mkdir()
    with pytest.raises(OSError, match=r"best.pt could not be written"):
        write_keypoint_model(tmp_path / "best.pt", TASK.build().state_dict(), TASK)
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]


def test_another_file_is_refused_with_what_it_should_be(tmp_path):
    path = tmp_path / "best.pt"
    with pytest.raises(FileNotFoundError):
        read_keypoint_model(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"best.pt: expected a keypoint model.*torch.load cannot read"):
        read_keypoint_model(path)
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"expected a keypoint model, as finetune_keypoints.py writes it, got another"):
        read_keypoint_model(path)
    write_keypoint_model(path, TASK.build().state_dict(), TASK)
    kept = torch.load(path, weights_only=True)
    torch.save({**kept, "equicon": {**kept["equicon"], "format": 2}}, path)
    with pytest.raises(ValueError, match=r"expected format 1, got format 2. A newer equicon reads it"):
        read_keypoint_model(path)
    write_keypoint_model(
        path, replace(TASK, names=("a", "b"), skeleton=(), flip=(0, 1), mean_pose=()).build().state_dict(), TASK
    )
    with pytest.raises(ValueError, match=r"best.pt holds another network: .* 2 of another shape"):
        read_keypoint_model(path)


def test_a_file_whose_description_is_damaged_is_named(tmp_path):
    path = tmp_path / "best.pt"
    write_keypoint_model(path, TASK.build().state_dict(), TASK)
    kept = torch.load(path, weights_only=True)
    for about in ({"kind": "keypoint model", "format": 1}, kept["equicon"] | {"task": {"arch": "resnet18"}}):
        torch.save({**kept, "equicon": about}, path)
        with pytest.raises(ValueError, match=r"best.pt: expected a keypoint model.*damaged description"):
            read_keypoint_model(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head": "heatmaps"}, "head: expected one of"),
        ({"size": 0}, "size: expected"),
        ({"margin": 0.0}, "margin: expected"),
        ({"names": ()}, "names: expected"),
        ({"skeleton": ((0, 3),)}, r"skeleton: expected pairs of points in \[0, 2\]"),
        ({"flip": (0, 1, 1)}, "flip: expected each of the keypoints 0 to 2 once"),
        ({"mean_pose": ((0.0, 0.0),)}, "mean_pose: expected 3 places"),
    ],
)
def test_a_task_that_cannot_be_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(TASK, **change)


def test_a_task_without_a_mean_pose_says_so():
    task = replace(TASK, mean_pose=())
    with pytest.raises(ValueError, match=r"task: expected a task with a mean pose"):
        KeypointPredictor(task.build().eval(), task).mean_pose(torch.rand(1, 3, 64, 64))


def test_boxes_of_another_shape_are_named():
    predictor = KeypointPredictor(TASK.build().eval(), TASK)
    with pytest.raises(ValueError, match=r"boxes: expected .*\(B, 4\)"):
        predictor(torch.rand(1, 3, 64, 64), torch.rand(4))
