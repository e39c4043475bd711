from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_device import Copies
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import equicon as eq
from equicon.hands import Pose, Pose25D, SyntheticHands, pose_frame, predict_two_pass, project

GOLDEN = Path(__file__).parents[2] / "data" / "peclr_official_pose_head.npz"
SIZE = (224, 224)


def pose_at(xy: Tensor) -> Pose:
    zeros = xy[..., 0] * 0
    return Pose(xy, zeros, zeros[:, 0], torch.cat([xy, zeros[..., None]], -1))


class Knows:
    """Projects joints that it knows by the intrinsics that it is given, and keeps what it was shown."""

    def __init__(self, xyz: Tensor) -> None:
        self.xyz = xyz
        self.views: list[Tensor] = []

    def __call__(self, views: Tensor, K: Tensor) -> Pose:
        self.views.append(views)
        return pose_at(project(self.xyz, K))


def test_crops_are_the_official_program_s():
    with np.load(GOLDEN) as data:
        boxes, expected = torch.from_numpy(data["bbox"]), torch.from_numpy(data["crop_matrix"])
    torch.testing.assert_close(pose_frame(boxes, SIZE).pixels(SIZE, SIZE).double(), expected, atol=1e-4, rtol=0)
    exact = pose_frame(boxes.double(), SIZE).pixels(SIZE, SIZE)
    assert (exact - expected).abs().max() < 1e-4


@given(
    x=st.floats(-50, 300), y=st.floats(-50, 300), width=st.floats(1, 300), height=st.floats(1, 300),
    size=st.sampled_from([(224, 224), (480, 640), (640, 480)]), out=st.sampled_from([(224, 224), (96, 160)]),
    fill=st.floats(0.1, 2),
)  # fmt: skip
def test_the_box_fills_its_part_about_the_centre(x, y, width, height, size, out, fill):
    box = torch.tensor([[x, y, x + width, y + height]], dtype=torch.float64)
    x1, y1, x2, y2 = pose_frame(box, size, out, fill).boxes(box, size, out)[0].tolist()
    assert (x1 + x2) / 2 == pytest.approx(out[1] / 2)
    assert (y1 + y2) / 2 == pytest.approx(out[0] / 2)
    assert max(x2 - x1, y2 - y1) == pytest.approx(fill * min(out))


def test_a_box_without_extent_counts_as_one_pixel():
    frame = pose_frame(torch.tensor([[10.0, 20.0, 10.0, 20.0]]), SIZE)
    wide = pose_frame(torch.tensor([[9.5, 20.0, 10.5, 20.0]]), SIZE)
    torch.testing.assert_close(frame.matrix, wide.matrix)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_it_looks_in_the_middle_and_then_where_the_hand_is(dtype):
    hands = SyntheticHands(4, size=160, seed=3).render(range(4))
    images = hands.image if dtype == torch.uint8 else hands.image / 255
    model = Knows(hands.xyz)
    pose, frame = predict_two_pass(model, images, hands.K, size=96, normalize=lambda views: views - 0.5)
    first, second = model.views
    third = torch.tensor([[0.335, 0.335, 0.665, 0.665]]).repeat(4, 1) * 160
    expected = pose_frame(third, (160, 160), (96, 96)).warp(images, (96, 96)) - 0.5
    torch.testing.assert_close(first, expected)
    torch.testing.assert_close(second, frame.warp(images, (96, 96)) - 0.5)
    torch.testing.assert_close(frame.inverse().points(pose.xy, (96, 96), (160, 160)), hands.xy, atol=1e-3, rtol=0)
    low, high = pose.xy.amin(1), pose.xy.amax(1)
    zoom = frame.linear[:, 0, 0] / pose_frame(third, (160, 160), (96, 96)).linear[:, 0, 0]
    # Each end of the box was truncated by less than a pixel of the first view, zoom pixels of the second.
    assert bool((((low + high) / 2 - 48).abs() <= zoom[:, None] + 1e-3).all())
    assert bool((((high - low).amax(-1) - 0.7 * 96).abs() <= 2 * zoom + 1e-3).all())


@pytest.mark.parametrize("part", [0.2, 0.65, 1.0])
def test_the_first_box_is_as_large_as_asked(part):
    hands = SyntheticHands(2, size=80).render(range(2))
    model = Knows(hands.xyz)
    pose, frame = predict_two_pass(model, hands.image, hands.K, size=48, first=part)
    middle = torch.tensor([[1 - part, 1 - part, 1 + part, 1 + part]]).repeat(2, 1) * 40
    torch.testing.assert_close(model.views[0], pose_frame(middle, (80, 80), (48, 48)).warp(hands.image, (48, 48)))
    torch.testing.assert_close(frame.inverse().points(pose.xy, (48, 48), (80, 80)), hands.xy, atol=1e-3, rtol=0)


def test_it_is_the_official_program_s_loop_in_pixels():
    torch.manual_seed(0)
    model = Pose25D(nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 32)), width=32).eval()
    images = torch.rand(3, 3, 120, 160)
    K = torch.tensor([[300.0, 0.0, 80.0], [0.0, 300.0, 60.0], [0.0, 0.0, 1.0]]).repeat(3, 1, 1)
    got, frame = predict_two_pass(model, images, K, size=64)
    for i in range(3):
        x1, y1, x2, y2 = 80 - 0.33 * 80, 60 - 0.33 * 60, 80 + 0.33 * 80, 60 + 0.33 * 60
        for _ in range(2):
            s = 0.7 * 64 / max(x2 - x1, y2 - y1)
            A = torch.tensor([[s, 0, 32 - s * (x1 + x2) / 2], [0, s, 32 - s * (y1 + y2) / 2], [0, 0, 1]])
            crop = eq.Affine.from_pixels(A[None], (120, 160), (64, 64))
            pose = model(crop.warp(images[i : i + 1], (64, 64)), (A @ K[i])[None])
            corners = torch.tensor([[int(v) for v in end] + [1] for end in (pose.xy[0].amin(0), pose.xy[0].amax(0))])
            (x1, y1, _), (x2, y2, _) = (corners.float() @ torch.linalg.inv(A).T).tolist()
        torch.testing.assert_close(frame.pixels((120, 160), (64, 64))[i], A, atol=1e-3, rtol=1e-4)
        for name in ("xy", "depth", "root", "xyz"):
            torch.testing.assert_close(getattr(got, name)[i], getattr(pose, name)[0], atol=1e-2, rtol=1e-4)


def test_a_prediction_of_one_point_gives_numbers():
    K = torch.eye(3).repeat(2, 1, 1)
    pose, frame = predict_two_pass(lambda views, K: pose_at(torch.full((2, 21, 2), 7.3)), torch.rand(2, 3, 32, 32), K)
    assert bool(frame.matrix.isfinite().all())
    assert bool(pose.xy.isfinite().all())


@pytest.mark.skipif(not torch.backends.cuda.is_built(), reason="fakes CUDA tensors, which a CPU build has not")
def test_nothing_waits_for_the_device(monkeypatch):
    monkeypatch.setenv("EQUICON_BACKEND", "kornia")  # kernels do not run on what is not there
    with FakeTensorMode(allow_non_fake_inputs=True), Copies() as copies:
        with torch.device("cuda"):
            model = Pose25D(nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten()), width=48).eval()
        copies.waiting.clear()
        images, K = (torch.empty(shape, device="cuda") for shape in ((2, 3, 60, 80), (2, 3, 3)))
        pose, frame = predict_two_pass(model, images, K, size=32)
        assert pose.joints(torch.empty(2, device="cuda")).device.type == frame.device.type == "cuda"
        model.train()(images, K).xyz.sum()
        assert not copies.waiting, copies.waiting[0]


def test_wrong_boxes_and_batches_raise():
    box = torch.tensor([[10.0, 10.0, 20.0, 20.0]])
    with pytest.raises(ValueError, match=r"boxes: expected a tensor of shape \(B, 4\)"):
        pose_frame(box[0], SIZE)
    with pytest.raises(ValueError, match=r"boxes: expected finite x1 <= x2 .*, got \[20.*\] at index 1"):
        pose_frame(torch.cat([box, box[:, [2, 1, 0, 3]]]), SIZE)
    with pytest.raises(ValueError, match="boxes: expected finite x1"):
        pose_frame(box * float("nan"), SIZE)
    with pytest.raises(ValueError, match="fill: expected a number above 0"):
        pose_frame(box, SIZE, fill=0)
    with pytest.raises(TypeError, match=r"view: expected a pair \(height, width\)"):
        pose_frame(box, SIZE, 224)  # type: ignore[arg-type]
    images, K = torch.rand(2, 3, 32, 32), torch.eye(3).repeat(2, 1, 1)
    model = Knows(torch.rand(2, 21, 3) + 1)
    with pytest.raises(ValueError, match="K: expected a batch of 2, like images, got a batch of 1"):
        predict_two_pass(model, images, K[:1])
    with pytest.raises(ValueError, match="images: expected a batch of shape"):
        predict_two_pass(model, images[0], K)
    with pytest.raises(ValueError, match="size: expected a whole number of at least 1"):
        predict_two_pass(model, images, K, size=0)
    with pytest.raises(ValueError, match="first: expected a number above 0"):
        predict_two_pass(model, images, K, first=0)
    with pytest.raises(ValueError, match="boxes: expected finite x1"):
        predict_two_pass(lambda views, K: pose_at(torch.full((2, 21, 2), float("nan"))), images, K)
