import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import equicon as eq
from equicon.hands import lift, palm_from_wrist, project, root_depth, wrist_from_palm

seeds = st.integers(0, 2**31 - 1)


def hands(seed: int, count: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Draw hands (B, 21, 3) with a bone of length 1 that is not seen from its end, roots (B,) and cameras."""
    generator = torch.Generator().manual_seed(seed)
    xyz = torch.randn(count, 21, 3, dtype=torch.float64, generator=generator)
    bone = torch.randn(count, 3, dtype=torch.float64, generator=generator)
    bone[:, :2] += bone[:, :2].sign()
    xyz[:, 10] = xyz[:, 9] + bone / bone.norm(dim=-1, keepdim=True)
    root = 8 + 20 * torch.rand(count, dtype=torch.float64, generator=generator)
    K = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
    K[:, 0, 0], K[:, 1, 1] = 300 + 300 * torch.rand(2, count, dtype=torch.float64, generator=generator)
    K[:, :2, 2] = 100 + 30 * torch.rand(count, 2, dtype=torch.float64, generator=generator)
    xyz[..., 2] += (root - xyz[:, 0, 2])[:, None]
    return xyz, root, K


def root_by_search(joints: Tensor, K: Tensor) -> float:
    """Come nearer from afar until the bone is as short as 1."""
    seen = [torch.linalg.inv(K) @ torch.cat([xy, xy.new_ones(1)]) for xy in project(joints, K)]

    def length(root: float) -> float:
        m, n = (seen[j] * (joints[j, 2] - joints[0, 2] + root) for j in (9, 10))
        return float((m - n).norm())

    root, step = 100.0, 0.1
    while step > 1e-10:
        while length(root - step) >= 1:
            root -= step
        step /= 2
    return root


@given(seed=seeds, dims=st.integers(1, 4))
def test_palm_and_wrist_undo_each_other(seed, dims):
    joints = torch.randn(3, 2, 21, dims, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    before = joints.clone()
    palm = palm_from_wrist(joints)
    torch.testing.assert_close(palm[..., 0, :], (joints[..., 0, :] + joints[..., 9, :]) / 2)
    torch.testing.assert_close(wrist_from_palm(palm), joints)
    torch.testing.assert_close(palm_from_wrist(wrist_from_palm(joints)), joints)
    assert torch.equal(palm[..., 1:, :], joints[..., 1:, :])
    assert torch.equal(joints, before)


@given(seed=seeds)
def test_the_root_and_the_hand_come_back_from_any_view(seed):
    xyz, root, K = hands(seed)
    depth = xyz[..., 2] - xyz[:, :1, 2]
    view = eq.Compose([eq.RandomAffine(180, 0.3, (0.5, 2.0), 30), eq.RandomHorizontalFlip(0.5)])
    g = view.sample(len(xyz), generator=torch.Generator().manual_seed(seed)).affine.to(dtype=torch.float64)
    for camera in (K, g.intrinsics(K, (224, 224), (128, 160))):
        xy = project(xyz, camera)
        found = root_depth(xy, depth, camera)
        torch.testing.assert_close(found, root, atol=1e-9, rtol=0)
        torch.testing.assert_close(lift(xy, depth, found, camera), xyz, atol=1e-9, rtol=0)


def test_the_root_is_what_a_search_finds():
    xyz, root, K = hands(3)
    xy, depth = project(xyz, K), xyz[..., 2] - xyz[:, :1, 2]
    depth[:, 9] += 0.1  # as a prediction is: not the truth
    predicted = lift(xy, depth, root, K)
    expected = [root_by_search(joints, camera) for joints, camera in zip(predicted, K, strict=True)]
    assert root_depth(xy, depth, K).tolist() == pytest.approx(expected, abs=1e-8)


def test_a_bone_that_points_at_the_camera_gives_finite_values_and_gradients():
    for dtype in (torch.float32, torch.float64):
        xyz, _, K = hands(0)
        xy, depth, K = project(xyz, K).to(dtype), (xyz[..., 2] - xyz[:, :1, 2]).to(dtype), K.to(dtype)
        xy[:, 10] = xy[:, 9]
        depth[1, 10] = depth[1, 9]  # no bone at all
        xy[2] = 0
        depth[3] = 100  # no solution
        xy.requires_grad_()
        depth.requires_grad_()
        with torch.autograd.set_detect_anomaly(True):
            root = root_depth(xy, depth, K)
            root.sum().backward()
        for value in (root, xy.grad, depth.grad):
            assert value is not None
            assert bool(value.isfinite().all())


def test_lifting_takes_any_number_of_points_and_any_unit():
    xyz, root, K = hands(1)
    points = 1000 * xyz[:, :5]
    again = lift(project(points, K), points[..., 2] - 1000 * root[:, None], 1000 * root, K)
    torch.testing.assert_close(again, points)


def test_wrong_points_raise():
    xyz, root, K = hands(0)
    xy, depth = project(xyz, K), xyz[..., 2]
    with pytest.raises(ValueError, match=r"joints: expected a tensor of shape \(\.\.\., 21, D\), got .*\(4, 20, 3\)"):
        palm_from_wrist(xyz[:, :20])
    with pytest.raises(ValueError, match=r"joints: expected a tensor of shape \(\.\.\., 21, D\)"):
        wrist_from_palm(xyz[0, :, 0])
    with pytest.raises(TypeError, match="joints: expected a tensor"):
        palm_from_wrist(xyz.tolist())
    with pytest.raises(ValueError, match=r"xy: expected a tensor of shape \(B, N, 2\)"):
        root_depth(xyz, depth, K)
    with pytest.raises(ValueError, match=r"xy: expected a tensor of shape \(\.\.\., 21, D\)"):
        root_depth(xy[:, :20], depth[:, :20], K)
    with pytest.raises(ValueError, match=r"depth: expected a tensor of shape \(B, N\)"):
        root_depth(xy, depth[:, :20], K)
    with pytest.raises(ValueError, match="depth: expected a batch of 4, like xy, got a batch of 2"):
        root_depth(xy, depth[:2], K)
    with pytest.raises(ValueError, match="K: expected a batch of 4, like the points"):
        root_depth(xy, depth, K[:1])
    with pytest.raises(ValueError, match=r"K: expected a last row of \(0, 0, 1\)"):
        root_depth(xy, depth, K.mT)
    with pytest.raises(ValueError, match="K: expected an invertible matrix"):
        lift(xy, depth, root, K * torch.tensor([1.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match=r"root: expected a tensor of shape \(4,\), one for each hand"):
        lift(xy, depth, root[:2], K)
    with pytest.raises(TypeError, match="root: expected a floating type"):
        lift(xy, depth, root.long(), K)
