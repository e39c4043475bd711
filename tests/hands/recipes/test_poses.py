import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib", reason="the examples need matplotlib")

import matplotlib as mpl

mpl.use("Agg")

from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from torch import Tensor

import equicon as eq
from equicon.hands import BONES, Hand, Pose, SyntheticHands, palm_from_wrist, project, wrist_from_palm
from equicon.hands.recipes._poses import View, draw_skeletons, frame_of, pose_errors, pose_loss, see
from equicon.metrics import auc, procrustes_align

SIZE = 48


@pytest.fixture(scope="module")
def hand() -> Hand:
    return SyntheticHands(6, size=64, seed=1).render(range(6))


def views_of(hand: Hand, seed: int, size: tuple[int, int] = (SIZE, SIZE)) -> tuple[View, eq.Affine]:
    augment = eq.Compose([eq.RandomScale((0.6, 1.5)), eq.RandomRotation(180), eq.RandomTranslate(0.2)])
    frame = frame_of(hand, SIZE)
    generator = torch.Generator().manual_seed(seed)
    images, g = augment(hand.image, size=size, frame=frame, generator=generator)
    return see(hand, images, g @ frame), g @ frame


@given(seed=st.integers(0, 2**31 - 1), size=st.sampled_from([(SIZE, SIZE), (40, 56)]))
def test_joints_camera_and_map_agree(hand, seed, size):
    view, g = views_of(hand, seed, size)
    seen = g.points(hand.xy, (64, 64), size)
    metres = view.xyz * view.scale[:, None, None]
    torch.testing.assert_close(project(wrist_from_palm(metres), view.K), seen, atol=2e-3, rtol=1e-4)
    torch.testing.assert_close(view.xy[:, 1:], seen[:, 1:], atol=2e-3, rtol=1e-4)
    torch.testing.assert_close(view.xy, project(metres, view.K), atol=1e-3, rtol=1e-4)
    # In space nothing moved, the palm is in the middle, and the bone that everything is measured by is 1 long.
    torch.testing.assert_close(metres, palm_from_wrist(hand.xyz))
    bones = (view.xyz[:, 10] - view.xyz[:, 9]).norm(dim=-1)
    torch.testing.assert_close(bones, torch.ones(len(bones)), atol=1e-4, rtol=0)
    torch.testing.assert_close(view.scale, (hand.xyz[:, 10] - hand.xyz[:, 9]).norm(dim=-1))


def test_the_picture_moves_with_the_joints(hand):
    # Dots are painted on single joints, and found in the views where the view says that the joints are.
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    for joint in (9, 12):
        at = hand.xy[:, joint]
        dots = 255 * torch.exp(-((x - at[:, :1, None]) ** 2 + (y - at[:, 1:, None]) ** 2) / 8)
        painted = hand._replace(image=dots.round().to(torch.uint8)[:, None].expand(-1, 3, -1, -1))
        view, _ = views_of(painted, 7)
        weights = view.images[:, 0] - view.images[:, 0].amin((1, 2), keepdim=True)
        total = weights.sum((1, 2))
        rows, columns = torch.meshgrid(torch.arange(float(SIZE)), torch.arange(float(SIZE)), indexing="ij")
        found = torch.stack([(weights * axis).sum((1, 2)) / total for axis in (columns, rows)], -1)
        inside = ((view.xy[:, joint] > 9) & (view.xy[:, joint] < SIZE - 10)).all(-1)
        assert int(inside.sum()) >= 2
        torch.testing.assert_close(found[inside], view.xy[inside, joint], atol=0.2, rtol=0)


def test_a_frame_holds_the_hand(hand):
    seen = project(palm_from_wrist(hand.xyz), hand.K)  # what a model predicts, and the second pass sees
    xy = frame_of(hand, SIZE).points(seen, (64, 64), (SIZE, SIZE))
    low, high = xy.amin(1), xy.amax(1)
    torch.testing.assert_close((high - low).amax(-1), torch.full((6,), 0.7 * SIZE))
    torch.testing.assert_close((high + low) / 2, torch.full((6, 2), SIZE / 2))


def perfect(view: View) -> Pose:
    depth = view.xyz[..., 2]
    return Pose(view.xy, depth - depth[:, :1], depth[:, 0], view.xyz)


def spoiled(pose: Pose, seed: int = 0) -> Pose:
    generator = torch.Generator().manual_seed(seed)
    return Pose(*(value + torch.randn(value.shape, generator=generator) for value in pose))


def test_a_perfect_prediction_costs_nothing_and_is_the_hand(hand):
    view, _ = views_of(hand, 3)
    pose = perfect(view)
    assert [loss.item() for loss in pose_loss(pose, view, (10.0, 1.0, 0.2)).values()] == [0, 0, 0]
    errors = pose_errors(pose.joints(view.scale), hand.xyz, hand.K)
    assert max(errors[:4]) < 1e-3
    assert min(errors[4:]) > 0.99  # all but the threshold 0


def loss_by_loop(pose: Pose, view: View, weights: tuple[float, float, float]) -> list[float]:
    sums, counts = [0.0, 0.0, 0.0], [0, 0, 0]
    for i in range(len(pose.xy)):
        for j in range(21):
            height, width = view.images.shape[-2:]
            miss_2d = [(pose.xy[i, j, k] - view.xy[i, j, k]) / (min(height, width) / 2) for k in range(2)]
            miss_depth = [pose.depth[i, j] - (view.xyz[i, j, 2] - view.xyz[i, 0, 2])]
            miss_3d = [pose.xyz[i, j, k] - view.xyz[i, j, k] for k in range(3)]
            for which, misses in enumerate((miss_2d, miss_depth, miss_3d)):
                sums[which] += sum(abs(float(miss)) for miss in misses)
                counts[which] += len(misses)
    return [weight * total / count for weight, total, count in zip(weights, sums, counts, strict=True)]


@pytest.mark.parametrize("size", [(SIZE, SIZE), (40, 56)])
def test_the_loss_agrees_with_a_loop(hand, size):
    view, _ = views_of(hand, 4, size)
    pose, weights = spoiled(perfect(view)), (10.0, 3.0, 0.2)
    got = pose_loss(pose, view, weights)
    assert list(got) == ["2D", "depth", "3D"]
    assert [loss.item() for loss in got.values()] == pytest.approx(loss_by_loop(pose, view, weights), rel=1e-5)


def test_errors_agree_with_a_loop(hand):
    generator = torch.Generator().manual_seed(2)
    joints = hand.xyz + 0.01 * torch.randn(hand.xyz.shape, generator=generator)
    got = pose_errors(joints, hand.xyz, hand.K)
    aligned = procrustes_align(joints.double(), hand.xyz.double()).numpy()
    found, true, K = (value.double().numpy() for value in (joints, hand.xyz, hand.K))
    px, mm, epe_mm, pa_mm = [], [], [], []
    for i in range(len(found)):
        for j in range(21):
            at = [(K[i] @ p)[:2] / (K[i] @ p)[2] for p in (found[i, j], true[i, j])]
            px.append(np.linalg.norm(at[0] - at[1]))
            mm.append(1000 * np.linalg.norm((found[i, j] - found[i, 0]) - (true[i, j] - true[i, 0])))
            epe_mm.append(1000 * np.linalg.norm(found[i, j] - true[i, j]))
            pa_mm.append(1000 * np.linalg.norm(aligned[i, j] - true[i, j]))
    expected = [float(np.mean(values)) for values in (px, mm, epe_mm, pa_mm)]
    assert list(got[:4]) == pytest.approx(expected, rel=1e-5)
    assert got.auc == pytest.approx(float(auc(joints.double(), hand.xyz.double())))
    assert got.pa_auc == pytest.approx(float(auc(torch.from_numpy(aligned), hand.xyz.double())))
    assert got.pa_mm < got.mm
    assert got.auc < got.pa_auc < 1


@pytest.mark.parametrize("count", [1, 3, 4, 6])
@pytest.mark.parametrize("labelled", [True, False])
def test_each_image_is_drawn_with_its_skeletons(hand, count, labelled):
    true = hand.xy[:count] if labelled else None
    figure = draw_skeletons(hand.image[:count] / 255, hand.xy[:count] + 3, true)
    drawn = [axis for axis in figure.axes if axis.images]
    assert len(drawn) == count
    assert not any(axis.axison for axis in figure.axes)  # those that are left over too
    for i, axis in enumerate(drawn):
        assert np.array_equal(axis.images[0].get_array(), (hand.image[i] / 255).permute(1, 2, 0))
        assert axis.get_ylim() == (63.5, -0.5)  # y down
        lines = [Tensor(np.asarray(line.get_xydata())) for line in axis.lines]
        bones = [hand.xy[i][list(bone)] for bone in BONES]
        expected = (bones if labelled else []) + [bone + 3 for bone in bones]
        torch.testing.assert_close(torch.stack(lines), torch.stack(expected))
        assert [line.get_linestyle() for line in axis.lines] == [":"] * (20 * labelled) + ["-"] * 20
        assert len({line.get_color() for line in axis.lines[-20:]}) == 5  # a finger, a colour
    assert ("true" in figure._suptitle.get_text()) == labelled
    plt.close(figure)
