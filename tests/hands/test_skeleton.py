from itertools import pairwise

import pytest
import torch
from torch.utils.data import default_collate

from equicon.hands import BONES, JOINT_NAMES, Hand, bone_length

FINGERS = ("thumb", "index", "middle", "ring", "little")


def make_hand(seed: int) -> Hand:
    generator = torch.Generator().manual_seed(seed)
    xyz = torch.rand(21, 3, generator=generator) + torch.tensor([0.0, 0.0, 1.0])
    K = torch.tensor([[90.0, 0.0, 31.0], [0.0, 80.0, 30.0], [0.0, 0.0, 1.0]])
    return Hand(torch.zeros(3, 64, 64, dtype=torch.uint8), xyz, K)


def test_joints_go_from_the_wrist_through_each_finger_to_its_tip():
    assert len(JOINT_NAMES) == len(set(JOINT_NAMES)) == 21
    assert JOINT_NAMES[0] == "wrist"
    for finger, first in zip(FINGERS, range(1, 21, 4), strict=True):
        assert all(name.startswith(finger + "_") for name in JOINT_NAMES[first : first + 4])
        assert JOINT_NAMES[first + 3] == finger + "_tip"
    assert JOINT_NAMES[9:11] == ("middle_mcp", "middle_pip")  # the bone that FreiHAND calls scale


def test_bones_are_five_chains_from_the_wrist():
    assert [child for _, child in BONES] == list(range(1, 21))
    for finger in FINGERS:
        chain = [(parent, child) for parent, child in BONES if JOINT_NAMES[child].startswith(finger)]
        assert chain[0][0] == 0
        assert all(before[1] == after[0] for before, after in pairwise(chain))


def test_hands_collate_to_a_hand():
    hands = [make_hand(0), make_hand(1)]
    batch = default_collate(hands)
    assert isinstance(batch, Hand)
    assert batch.image.shape == (2, 3, 64, 64)
    for i, hand in enumerate(hands):
        assert torch.equal(batch.xyz[i], hand.xyz)
        assert torch.equal(batch.xy[i], hand.xy)


def test_xy_is_where_the_camera_sees_the_joints():
    hand = make_hand(2)
    for (x, y, z), pixel in zip(hand.xyz.tolist(), hand.xy, strict=True):
        torch.testing.assert_close(pixel, torch.tensor([90.0 * x / z + 31.0, 80.0 * y / z + 30.0]))


def test_the_bone_that_hands_are_measured_by_is_the_first_phalanx_of_the_middle_finger():
    xyz = torch.zeros(2, 4, 21, 3)
    xyz[..., JOINT_NAMES.index("middle_mcp"), :] = torch.tensor([1.0, 2.0, 3.0])
    xyz[..., JOINT_NAMES.index("middle_pip"), :] = torch.tensor([1.0, 5.0, -1.0])
    assert torch.equal(bone_length(xyz), torch.full((2, 4), 5.0))
    assert bone_length(xyz[0, 0].double()).dtype == torch.float64


def test_what_is_no_hand_is_named():
    with pytest.raises(ValueError, match=r"xyz: expected a tensor of shape \(\.\.\., 21, 3\)"):
        bone_length(torch.zeros(2, 21, 2))
    with pytest.raises(TypeError, match="xyz: expected a floating type"):
        bone_length(torch.zeros(21, 3).int())
