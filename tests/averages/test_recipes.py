"""What --views does in the programs: poses and keypoints that are averaged over views."""

import pytest
import torch

pytest.importorskip("torchvision", reason="the programs need torchvision")

import tiny_encoder
from torch.testing import assert_close

import equicon as eq
from equicon.hands import Pose as HandPose
from equicon.hands import Pose25D, SyntheticHands, bone_length, lift, palm_from_wrist, predict_two_pass, project
from equicon.keypoints import KeypointPredictor, KeypointTask
from equicon.recipes import MILD, average_pose, views_generator
from equicon.recipes.keypoints import average_keypoints

NORMALIZE = eq.Normalize.imagenet()
GIVEN = {"size": 32, "first": 0.65, "normalize": NORMALIZE}


@pytest.fixture(scope="module")
def hand():
    return SyntheticHands(4, 40, seed=3, side="right").render(range(4))


@pytest.fixture(scope="module")
def pose_model():
    torch.manual_seed(0)
    model = Pose25D(*tiny_encoder.build_tiny_encoder()).eval()
    torch.nn.init.normal_(model.head.weight, std=0.05)
    return model


@pytest.fixture(scope="module", params=["heatmap", "regression"])
def predictor(request):
    names = ("nose", "left_ear", "right_ear")
    task = KeypointTask("quarter_resnet18", request.param, 32, 1.25, names, ((0, 1),), (0, 2, 1))
    torch.manual_seed(0)
    return KeypointPredictor(task.build().eval(), task)


# --- poses


def test_a_model_that_knows_has_no_spread_and_makes_no_error(hand):
    scale = bone_length(hand.xyz)
    xyz = palm_from_wrist(hand.xyz) / scale[:, None, None]
    views = []

    def knows(images: torch.Tensor, K: torch.Tensor) -> HandPose:
        views.append(images)
        depth = xyz[..., 2]
        return HandPose(project(xyz, K), depth - depth[:, :1], depth[:, 0], xyz)

    with torch.inference_mode():
        found = average_pose(knows, hand.image, hand.K, views=4, generator=views_generator(), **GIVEN)
    assert len(views) == 5
    assert all(not torch.equal(views[1], other) for other in views[2:])
    assert float(found.spread.max()) < 1e-3
    assert_close(found.pose.joints(scale), hand.xyz, atol=1e-5, rtol=0)


def test_one_view_is_what_two_passes_give_to_the_bit(hand, pose_model):
    expected, frame = predict_two_pass(
        pose_model, hand.image, hand.K, size=32, first=0.65, normalize=lambda views: NORMALIZE(views)[0]
    )
    generator = views_generator()
    found = average_pose(pose_model, hand.image, hand.K, views=1, generator=generator, **GIVEN)
    assert all(one.equal(other) for one, other in zip(found.pose, expected, strict=True))
    assert found.frame.matrix.equal(frame.matrix)
    assert not found.spread.any()
    assert generator.get_state().equal(views_generator().get_state())


@torch.no_grad()
def test_a_pose_is_the_mean_that_a_loop_gives(hand, pose_model):
    plain, frame = predict_two_pass(
        pose_model, hand.image, hand.K, size=32, first=0.65, normalize=lambda views: NORMALIZE(views)[0]
    )
    poses, generator = [plain], views_generator()
    for _ in range(2):
        action = eq.Compose([MILD, NORMALIZE]).sample(4, generator=generator)
        total = action.affine @ frame
        view = NORMALIZE(total.warp(hand.image, (32, 32)))[0]
        moved = pose_model(view, total.intrinsics(hand.K, (40, 40), (32, 32)))
        poses.append(moved._replace(xy=action.affine.inverse().points(moved.xy, (32, 32))))
    found = average_pose(pose_model, hand.image, hand.K, views=3, generator=views_generator(), **GIVEN)
    xy, depth, root = (torch.stack([pose[i] for pose in poses]) for i in range(3))
    assert_close(found.pose.xy, xy.mean(0), atol=1e-4, rtol=0)
    assert_close(found.pose.depth, depth.mean(0), atol=1e-5, rtol=0)
    assert_close(found.pose.root, root.mean(0), atol=1e-4, rtol=0)
    assert_close(found.spread, xy.std(0, correction=0), atol=1e-4, rtol=0)
    K = frame.intrinsics(hand.K, (40, 40), (32, 32))
    assert_close(found.pose.xyz, lift(xy.mean(0), depth.mean(0), root.mean(0), K), atol=1e-3, rtol=0)


# --- keypoints


def test_one_view_is_what_the_predictor_gives_to_the_bit(hand, predictor):
    boxes = torch.tensor([[4.0, 6.0, 30.0, 36.0]]).repeat(4, 1)
    generator = views_generator()
    found, expected = average_keypoints(predictor, hand.image, boxes, 1, generator), predictor(hand.image, boxes)
    assert found.xy.equal(expected.xy)
    assert found.confidence.equal(expected.confidence)
    assert generator.get_state().equal(views_generator().get_state())


@torch.no_grad()
def test_keypoints_are_the_mean_that_a_loop_gives(hand, predictor):
    boxes = torch.tensor([[4.0, 6.0, 30.0, 36.0]]).repeat(4, 1)
    frame, normalize = eq.Affine.from_boxes(boxes, (40, 40), 1.25), predictor.task.normalize
    plain = predictor(hand.image, boxes)
    xy, confidence, generator = [plain.xy], [plain.confidence], views_generator()
    for _ in range(2):
        total = eq.Compose([MILD, normalize]).sample(4, generator=generator).affine @ frame
        moved = predictor.model(normalize(total.warp(hand.image, (32, 32)))[0])
        xy.append(total.inverse().points(moved.xy, (32, 32), (40, 40)))
        confidence.append(moved.confidence)
    found = average_keypoints(predictor, hand.image, boxes, 3, views_generator())
    assert_close(found.xy, torch.stack(xy).mean(0), atol=1e-4, rtol=0)
    assert_close(found.confidence, torch.stack(confidence).mean(0), atol=1e-5, rtol=0)
    assert float((found.xy - plain.xy).abs().max()) > 1e-3
