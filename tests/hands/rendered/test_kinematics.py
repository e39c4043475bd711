import pytest
import torch

from equicon.hands import BONES, Hand, SyntheticHands
from equicon.hands._rendered.draws import Draws
from equicon.hands._rendered.kinematics import pose_hands

MANY = 1500


@pytest.fixture(scope="module")
def many() -> Hand:
    return SyntheticHands(MANY, size=16).render(range(MANY))


def test_joints_fill_the_image_and_lie_inside(many):
    xy = many.xy
    assert (xy >= 0).all()
    assert (xy <= 15).all()
    fill = (xy.amax(1) - xy.amin(1)).amax(-1) / 16
    assert (fill > 0.449).all()
    assert (fill < 0.801).all()
    assert fill.min() < 0.48
    assert fill.max() > 0.77


def test_hands_are_of_human_size(many):
    start, end = (many.xyz[:, list(joints)] for joints in zip(*BONES, strict=True))
    length = (end - start).norm(dim=-1)
    palm, phalanges = length[:, [4, 8, 12, 16]], length[:, [j for j in range(20) if j % 4]]
    assert 0.055 < palm.min() < palm.max() < 0.115
    assert 0.085 < palm[:, 1].mean() < 0.093
    assert 0.012 < phalanges.min() < phalanges.max() < 0.060
    assert palm[:, 1].std() > 0.004


def test_fingers_bend_towards_the_palm_only_and_spread_less_when_bent(many):
    out = normal(many) * torch.where(is_right(many), 1.0, -1.0)[:, None]
    joints = many.xyz[:, 5:].view(-1, 4, 4, 3)
    bones = joints.diff(dim=2)
    height = (bones[:, :, 0] * out[:, None]).sum(-1) / bones[:, :, 0].norm(dim=-1)
    assert height.min() > -0.45  # a little hyperextension at most
    assert height.max() > 0.95

    # The axis of a finger's hinges, laid into the palm, is turned as the finger is spread.
    axis = torch.linalg.cross(bones[:, :, 0], bones[:, :, 1])
    axis = axis - (axis * out[:, None]).sum(-1, keepdim=True) * out[:, None]
    gap = torch.rad2deg(torch.cosine_similarity(axis[:, :-1], axis[:, 1:], dim=-1).clamp(-1, 1).acos()).mean(1)
    flat, fist = (height < 0.4).all(1), (height > 0.8).all(1)
    assert flat.sum() > 50
    assert fist.sum() > 10
    assert gap[fist].mean() < 0.7 * gap[flat].mean()


def normal(hands: Hand) -> torch.Tensor:
    wrist, index, little = hands.xyz[:, 0], hands.xyz[:, 5], hands.xyz[:, 17]
    across = torch.linalg.cross(index - wrist, little - wrist)
    return across / across.norm(dim=-1, keepdim=True)


def is_right(hands: Hand) -> torch.Tensor:
    """Tell right hands by the thumb, which always lies on the palm's side."""
    return (normal(hands) * (hands.xyz[:, 2] - hands.xyz[:, 0])).sum(-1) > 0


def test_left_and_right_hands_in_every_direction(many):
    share = is_right(many).float().mean()
    assert 0.4 < share < 0.6
    up = many.xyz[:, 9] - many.xyz[:, 0]
    angle = torch.atan2(up[:, 1], up[:, 0])
    assert torch.histc(angle, 8, -torch.pi, torch.pi).min() > MANY / 16
    across = many.xyz[:, 5] - many.xyz[:, 17]
    facing = torch.linalg.cross(up, across)[:, 2]
    assert 0.4 < (facing > 0).float().mean() < 0.6


def test_cameras_vary(many):
    focal, centre = many.K[:, 0, 0] / 16, many.K[:, :2, 2]
    assert torch.equal(many.K[:, 0, 0], many.K[:, 1, 1])
    assert 1.5 <= focal.min() < 1.6 < 2.9 < focal.max() <= 3.0
    assert (centre - 7.5).abs().max() <= 0.8
    assert centre.std(0).min() > 0.2


def test_thumbs_do_not_go_through_fingers():
    hands = pose_hands(Draws.of(0, range(MANY), 0, 200), 64)
    spheres = {}
    for finger, joints in enumerate([(2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20)]):
        radii = [0.0105, 0.0092, 0.0080] if finger == 0 else [0.0100, 0.0092, 0.0080, 0.0067]
        spheres[finger] = [
            ((1 - t) * hands.xyz[:, a] + t * hands.xyz[:, b], (1 - t) * r + t * s)
            for a, b, r, s in zip(joints, joints[1:], radii, radii[1:], strict=False)
            for t in torch.linspace(0.4 if a in (2, 5, 9, 13, 17) else 0.1, 0.8 if b % 4 == 0 else 1.0, 6).tolist()
        ]
    deep = torch.zeros(MANY, dtype=torch.bool)
    for first in range(5):
        for second in range(first):
            for (a, r), (b, s) in ((x, y) for x in spheres[first] for y in spheres[second]):
                gap = (a - b).norm(dim=-1) / hands.scale
                deep |= r + s - gap > 0.3 * min(r, s)
    assert deep.float().mean() < 0.02  # without a choice of thumbs it is 0.08
