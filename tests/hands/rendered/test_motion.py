import pytest
import torch

from equicon.hands import BONES, project
from equicon.hands._rendered.draws import Draws
from equicon.hands._rendered.kinematics import Posed
from equicon.hands._rendered.motion import pose_clips
from equicon.hands._rendered.overlap import TOUCH, overlap
from equicon.hands._rendered.settings import Settings

CLIPS, FRAMES = 150, 8


@pytest.fixture(scope="module")
def clips() -> Posed:
    return pose_clips(range(CLIPS), Settings(64, 0, "wild", clip=FRAMES))


def in_frames(values: torch.Tensor) -> torch.Tensor:
    return values.unflatten(0, (CLIPS, FRAMES))


def test_frames_move_visibly_but_little(clips):
    from_wrist = in_frames(clips.xyz - clips.xyz[:, :1])
    in_image = in_frames(project(clips.xyz, clips.K))
    for joints, least, most, jerk in ((from_wrist, 0.05, 0.08, 0.2), (in_image, 0.06, 0.10, 0.5)):
        step = joints.diff(dim=1)
        between_hands = (joints[:-1] - joints[1:]).norm(dim=-1).mean()
        share = step.norm(dim=-1).mean((1, 2)) / between_hands
        assert least < share.mean() < most
        assert 0.02 < share.min() < share.max() < 0.25
        assert (step.norm(dim=-1).mean(-1).max() / between_hands) < 0.3  # no jump
        assert step.diff(dim=1).norm(dim=-1).mean() / step.norm(dim=-1).mean() < jerk


def test_a_clip_shows_one_hand(clips):
    start, end = (clips.xyz[:, list(joints)] for joints in zip(*BONES, strict=True))
    length = in_frames((end - start).norm(dim=-1))
    torch.testing.assert_close(length, length[:, :1].expand_as(length))
    for constant in (clips.K, clips.scale, clips.girth):
        assert torch.equal(in_frames(constant), in_frames(constant)[:, :1].expand_as(in_frames(constant)))
    assert len(length[:, 0].unique(dim=0)) == CLIPS


def test_frames_are_as_single_hands_are(clips):
    xy = project(clips.xyz, clips.K)
    assert (xy >= 0).all()
    assert (xy <= 63).all()
    fill = (xy.amax(1) - xy.amin(1)).amax(-1) / 64
    assert 0.449 < fill.min() < 0.48
    assert 0.77 < fill.max() < 0.801
    single = pose_clips(range(CLIPS * FRAMES), Settings(64, 1, "wild"))
    for hands in (clips, single):
        bones = hands.xyz[:, 5:].view(-1, 4, 4, 3).diff(dim=2)
        bend = torch.cosine_similarity(bones[:, :, :-1], bones[:, :, 1:], dim=-1)
        assert -0.3 < bend.min() < 0.0  # joints bend up to 105 degrees
        assert bend.max() > 0.99


def test_thumbs_of_a_clip_go_through_nothing(monkeypatch):
    deepest = []

    def record(thumbs, fingers):
        deepest.append(overlap(thumbs, fingers))
        return deepest[-1]

    monkeypatch.setattr("equicon.hands._rendered.kinematics.overlap", record)
    hands = pose_clips(range(400), Settings(64, 0, "wild", clip=FRAMES))
    free = deepest.pop().view(400, FRAMES, -1).amax(1) <= TOUCH
    assert free.any(1).double().mean() > 0.97
    # What was chosen is free wherever one is.
    wrist, scale = hands.xyz[:, :1], hands.scale[:, None, None]
    bones = (hands.xyz - wrist) / scale
    depth = overlap(bones[:, None, 1:5], bones[:, 5:].unflatten(1, (4, 4))).view(400, FRAMES).amax(1)
    assert (depth[free.any(1)] <= TOUCH + 1e-9).all()


def test_numbers_that_move_stay_even_and_turn_at_their_ends():
    draws = Draws.of(0, range(3000), 0, 3)
    sign = torch.arange(9000).view(3000, 3) % 2 * 2.0 - 1.0
    moving = draws.moving(0.23 * sign.double(), 10)
    values = moving.uniform(0.0, 1.0).unflatten(0, (3000, 10))
    assert torch.equal(values[:, 0], Draws.of(0, range(3000), 0, 3).uniform(0.0, 1.0))
    assert ((values >= 0) & (values <= 1)).all()
    assert values.diff(dim=1).abs().max() < 0.23 + 1e-9
    for frame in values.unbind(1):
        counts = torch.histc(frame.float(), 10, 0.0, 1.0)
        assert (counts / counts.mean() - 1).abs().max() < 0.2
    steps = moving.angle().unflatten(0, (3000, 10)).diff(dim=1)  # angles go on
    torch.testing.assert_close(steps, (0.46 * torch.pi * sign[:, 1:2].double()).expand(-1, 9))
    held = moving.chance(0.5).unflatten(0, (3000, 10))
    assert (held == held[:, :1]).all()
