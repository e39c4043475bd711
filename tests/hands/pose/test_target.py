from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import equicon as eq
from equicon.hands import (
    Hand,
    PoseTarget,
    SyntheticHands,
    bone_length,
    palm_from_wrist,
    pose_crop,
    pose_target,
    project,
    wrist_from_palm,
)

SIZE = 48


@pytest.fixture(scope="module")
def hand() -> Hand:
    return SyntheticHands(6, size=64, seed=1).render(range(6))


def views_of(hand: Hand, seed: int, size: tuple[int, int] = (SIZE, SIZE)) -> tuple[PoseTarget, eq.Affine]:
    augment = eq.Compose([eq.RandomScale((0.6, 1.5)), eq.RandomRotation(180), eq.RandomTranslate(0.2)])
    frame = pose_crop(hand, SIZE)
    generator = torch.Generator().manual_seed(seed)
    images, g = augment(hand.image, size=size, frame=frame, generator=generator)
    return pose_target(hand, images, g @ frame), g @ frame


@given(seed=st.integers(0, 2**31 - 1), size=st.sampled_from([(SIZE, SIZE), (40, 56)]))
def test_joints_camera_and_map_agree(hand, seed, size):
    target, g = views_of(hand, seed, size)
    seen = g.points(hand.xy, (64, 64), size)
    metres = target.xyz * target.scale[:, None, None]
    torch.testing.assert_close(project(wrist_from_palm(metres), target.K), seen, atol=2e-3, rtol=1e-4)
    torch.testing.assert_close(target.xy[:, 1:], seen[:, 1:], atol=2e-3, rtol=1e-4)
    torch.testing.assert_close(target.xy, project(metres, target.K), atol=1e-3, rtol=1e-4)
    # In space nothing moved, the palm is in the middle, and the bone that everything is measured by is 1 long.
    torch.testing.assert_close(metres, palm_from_wrist(hand.xyz))
    torch.testing.assert_close(bone_length(target.xyz), torch.ones(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(target.scale, bone_length(hand.xyz))


def test_the_picture_moves_with_the_joints(hand):
    # Dots are painted on single joints, and found in the views where the view says that the joints are.
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    for joint in (9, 12):
        at = hand.xy[:, joint]
        dots = 255 * torch.exp(-((x - at[:, :1, None]) ** 2 + (y - at[:, 1:, None]) ** 2) / 8)
        painted = hand._replace(image=dots.round().to(torch.uint8)[:, None].expand(-1, 3, -1, -1))
        target, _ = views_of(painted, 7)
        weights = target.images[:, 0] - target.images[:, 0].amin((1, 2), keepdim=True)
        total = weights.sum((1, 2))
        rows, columns = torch.meshgrid(torch.arange(float(SIZE)), torch.arange(float(SIZE)), indexing="ij")
        found = torch.stack([(weights * axis).sum((1, 2)) / total for axis in (columns, rows)], -1)
        inside = ((target.xy[:, joint] > 9) & (target.xy[:, joint] < SIZE - 10)).all(-1)
        assert int(inside.sum()) >= 2
        torch.testing.assert_close(found[inside], target.xy[inside, joint], atol=0.2, rtol=0)


def test_a_crop_holds_the_hand(hand):
    seen = project(palm_from_wrist(hand.xyz), hand.K)  # what a model predicts, and the second pass sees
    xy = pose_crop(hand, SIZE).points(seen, (64, 64), (SIZE, SIZE))
    low, high = xy.amin(1), xy.amax(1)
    torch.testing.assert_close((high - low).amax(-1), torch.full((6,), 0.7 * SIZE))
    torch.testing.assert_close((high + low) / 2, torch.full((6, 2), SIZE / 2))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"images": torch.zeros(5, 3, 8, 8)},
            ValueError,
            "images: expected a batch of 6, like hand, got a batch of 5",
        ),
        ({"images": torch.zeros(3, 8, 8)}, ValueError, r"images: expected a batch of shape \(B, C, H, W\)"),
        ({"g": eq.Affine.identity(1)}, ValueError, "g: expected a batch of 6, like hand, got a batch of 1"),
        ({"xyz": torch.zeros(21, 3)}, ValueError, r"hand\.xyz: expected a tensor of shape \(B, 21, 3\)"),
        ({"K": torch.zeros(6, 3, 3).int()}, TypeError, r"hand\.K: expected a floating type"),
        ({"K": torch.zeros(6, 3, 3)}, ValueError, r"hand\.K: expected a last row of \(0, 0, 1\)"),
        ({"xyz": torch.zeros(6, 21, 3)}, ValueError, r"hand\.xyz: expected joints in front of the camera.*at index 0"),
        ({"xyz": torch.full((6, 21, 3), torch.nan)}, ValueError, r"hand\.xyz: expected joints in front of the camera"),
        (
            {"xyz": torch.ones(6, 21, 3)},
            ValueError,
            r"hand\.xyz, from joint 9 to joint 10: .* above 0, got 0 at index 0",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_arguments_are_named(hand: Hand, change: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"images": torch.zeros(6, 3, 8, 8), "g": eq.Affine.identity(6)} | change
    wrong = hand._replace(**{name: given.pop(name) for name in ("xyz", "K") if name in given})
    with pytest.raises(error, match=message):
        pose_target(wrong, given["images"], given["g"])


def test_a_size_that_is_no_side_is_named(hand: Hand) -> None:
    with pytest.raises(ValueError, match=r"hand\.xyz: expected joints in front of the camera: finite, z above 0"):
        pose_crop(hand._replace(xyz=-hand.xyz), 48)
    with pytest.raises(ValueError, match="size: expected a whole number of at least 1, got int 0"):
        pose_crop(hand, 0)
    with pytest.raises(TypeError, match="size: expected a whole number, got tuple"):
        pose_crop(hand, (48, 48))
