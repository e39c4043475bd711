"""What ``context``, ``scenes``, ``clip`` and ``side`` do to sets and streams of hands."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from equicon.hands import BONES, Hand, SyntheticHands, SyntheticHandStream
from equicon.hands._rendered.cones import CLOTH, OTHER_SKIN, THING
from equicon.hands._rendered.pictures import draw_pictures
from equicon.hands._rendered.settings import Settings

OPTIONS = st.fixed_dictionaries(
    {
        "context": st.sampled_from([1.0, 1.3, 2.0]),
        "scenes": st.none() | st.integers(1, 4),
        "clip": st.integers(1, 4),
        "side": st.sampled_from(["both", "left", "right"]),
        "domain": st.sampled_from(["studio", "wild"]),
    }
)

MANY = {"context": 2.0, "scenes": 2, "clip": 3, "side": "right"}


def assert_same(hand: Hand, other: Hand) -> None:
    assert all(torch.equal(value, expected) for value, expected in zip(hand, other, strict=True))


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(options=OPTIONS, indices=st.lists(st.integers(0, 40), min_size=1, max_size=12))
def test_a_sample_is_the_same_in_any_batch(options, indices):
    together = SyntheticHands(50, 12, **options).render(indices)
    alone = SyntheticHands(indices[-1] + 1, 12, **options)[indices[-1]]
    assert_same(alone, Hand(*(value[-1] for value in together)))


@settings(max_examples=5, deadline=None)
@given(options=OPTIONS, first=st.integers(0, 9))
def test_a_stream_shows_the_same(options, first):
    hands, stream = SyntheticHands(20, 12, 3, **options), SyntheticHandStream(3, 12, 3, first=first, **options)
    for start, batch in zip((first, first + 3), itertools.islice(stream, 2), strict=True):
        assert_same(batch, hands.render(range(start, start + 3)))


def test_a_worker_process_makes_the_same_samples():
    hands = SyntheticHands(6, 12, context=2, scenes=2, clip=3, side="left")
    for batch, indices in zip(DataLoader(hands, batch_size=4, num_workers=1), ([0, 1, 2, 3], [4, 5]), strict=True):
        assert_same(batch, hands.render(indices))


RECORDS = [
    ("studio", {}, [102.5, 102.77, 126.27, 112.44, 164.16, 47.72], [3.37, 27.09, 18.73, 5.04, 24.77, 11.11]),
    ("wild", {}, [121.16, 79.75, 104.6, 57.58, 53.22, 91.98], [3.37, 27.09, 18.73, 5.04, 24.77, 11.11]),
    ("wild", MANY, [116.99, 116.68, 116.07, 91.63, 91.0, 90.22], [23.6, 43.2, 23.65, 43.25, 23.71, 43.3]),
]


@pytest.mark.parametrize(("domain", "options", "brightness", "tips"), RECORDS)
def test_samples_are_what_they_always_were(domain, options, brightness, tips):
    """Recorded with version 0.2, those of the defaults before there were others; between machines rounding differs."""
    hand = SyntheticHands(6, 32, 3, domain, **options).render(range(6))
    torch.testing.assert_close(hand.image.float().mean((1, 2, 3)), torch.tensor(brightness), atol=0.3, rtol=0)
    torch.testing.assert_close(hand.xy[:3, 8].flatten(), torch.tensor(tips), atol=0.01, rtol=0)


# --- context


@pytest.mark.parametrize("domain", ["studio", "wild"])
@pytest.mark.parametrize("context", [1.5, 3.0])
def test_context_shows_the_same_hand_with_more_around_it(domain, context):
    size, count = 32, 24
    narrow = SyntheticHands(count, size, domain=domain)
    wide = SyntheticHands(count, size, domain=domain, context=context)
    alone, around = narrow.render(range(count)), wide.render(range(count))
    width = round(context * size)
    assert around.image.shape == (count, 3, width, width)
    assert torch.equal(around.xyz, alone.xyz)
    frame = wide.frame(count)
    torch.testing.assert_close(frame.points(around.xy, (width, width), (size, size)), alone.xy, atol=1e-3, rtol=0)
    K = frame.intrinsics(around.K, (width, width), (size, size))
    torch.testing.assert_close(K, alone.K, atol=1e-3, rtol=0)
    square = frame.warp(around.image / 255, (size, size))
    apart = (square - alone.image / 255).abs().mean((1, 2, 3))
    assert apart.median() < 0.06  # noise, vignette and things that reach into it
    others = (square - (alone.image / 255).roll(1, 0)).abs().mean((1, 2, 3))
    assert apart.median() < 0.4 * others.median()


def test_a_background_goes_on_at_the_same_scale():
    """Its detail is as fine around the square as in it: a magnified one would be smoother."""
    size, count = 24, 80
    image = SyntheticHands(count, size, context=3.0).render(range(count)).image.float()
    step = image.diff(dim=-1).abs().mean(1)
    inner, outer = step[:, size:-size, size:-size].mean((1, 2)), step[:, :size, :size].mean((1, 2))
    assert 0.5 < (outer.median() / inner.median()) < 1.1


def test_things_lie_around_the_square_in_the_wild_only():
    counts = [
        draw_pictures(range(2), Settings(16, 0, domain, context=context)).scene.flats.sharp.shape[1]
        for domain in ("wild", "studio")
        for context in (1.0, 3.0)
    ]
    assert counts == [5, 21, 0, 0]


# --- scenes


def corners(hand: Hand, side: int) -> torch.Tensor:
    image = hand.image.float()
    return torch.stack([image[..., :side, :side], image[..., -side:, -side:]], 1).flatten(1)


def test_scenes_share_all_but_the_pose():
    count, scenes = 48, 4
    hands = SyntheticHands(count, 16, context=2.0, scenes=scenes)
    hand = hands.render(range(count))
    assert len(hand.xyz.flatten(1).unique(dim=0)) == count
    group = hands.groups
    start, end = (hand.xyz[:, list(joints)] for joints in zip(*BONES, strict=True))
    length = (end - start).norm(dim=-1)
    for scene in range(scenes):
        own = length[group == scene]
        torch.testing.assert_close(own, own[:1].expand_as(own), atol=1e-6, rtol=0)
    assert (length[:scenes, None] - length[None, :scenes]).abs().amax(-1).fill_diagonal_(1).min() > 1e-3
    assert torch.equal(hand.K, hand.K[group])
    # What lies in the corners is hidden by an arm in some; the noise differs, and the background does not.
    seen = corners(hand, 6)
    apart = (seen[:, None] - seen[None]).abs().mean(-1)
    same = group[:, None] == group
    itself = torch.eye(count, dtype=torch.bool)
    assert apart[same & ~itself].median() < 0.35 * apart[~same].median()
    assert apart[same & ~itself].min() > 0.3


def test_scenes_have_one_skin_each():
    hands = SyntheticHands(60, 32, domain="studio", scenes=3)
    hand = hands.render(range(60))
    x, y = hand.xy[:, [5, 9, 13]].round().long().unbind(-1)
    color = hand.image[torch.arange(60)[:, None], :, y, x].float().mean(1)
    color = color / color.sum(1, keepdim=True)
    group = hands.groups
    middle = torch.stack([color[group == scene].median(0).values for scene in range(3)])
    assert (torch.cdist(color, middle).argmin(1) == group).float().mean() > 0.9


def test_all_of_a_scene_wear_the_sleeve_or_none():
    wild = Settings(32, 0, "wild", scenes=8)
    cones = draw_pictures(range(240), wild).solids.cones
    sleeve = (cones.start_radius[:, cones.paint.index(CLOTH)] > 0).double().view(30, 8).mean(0)
    assert ((sleeve == 0) | (sleeve > 0.4)).all()  # not where the arm would hide the hand
    assert 0 < (sleeve == 0).sum() < 8


def test_things_and_other_arms_are_of_the_scene():
    alone, shared = (draw_pictures(range(60), Settings(32, 0, "wild", scenes=n)).solids.cones for n in (None, 3))
    for paint in (OTHER_SKIN, THING):
        there = [(cones.start_radius[:, cones.paint.index(paint)] > 0) for cones in (alone, shared)]
        assert 5 < there[0].sum() < 55
        assert not (paint == OTHER_SKIN and any(0 < part.sum() < 20 for part in there[1].view(20, 3).unbind(1)))
    # Seen from the hand's square, the other arm of a scene is at one place.
    there = shared.start_radius[:, shared.paint.index(OTHER_SKIN)] > 0
    wrist = shared.end[:, shared.paint.index(OTHER_SKIN), :2].view(20, 3, 2)
    assert there.any()
    assert (wrist - wrist[:1]).norm(dim=-1).max() < 4 < (wrist[0] - wrist[0].mean(0)).norm(dim=-1).max()


# --- clips


def test_a_clip_has_one_scene_and_one_side():
    hands = SyntheticHands(48, 16, context=2.0, clip=6)
    hand = hands.render(range(48))
    seen = corners(hand, 5).view(8, 6, -1)
    within, between = (seen[:, 0] - seen[:, 1]).abs().mean(-1), (seen[:-1, 0] - seen[1:, 0]).abs().mean(-1)
    assert within.median() < 0.35 * between.median()
    side = is_right(hand).view(8, 6)
    assert (side == side[:, :1]).all()
    assert 0 < side[:, 0].sum() < 8
    assert len(hand.xyz.flatten(1).unique(dim=0)) == 48


def test_things_are_in_all_frames_of_a_clip_or_in_none():
    cones = draw_pictures(range(800), Settings(32, 0, "wild", clip=8)).solids.cones
    for paint in (CLOTH, THING):
        kept = [at for at, own in enumerate(cones.paint) if own == paint]
        there = (cones.start_radius[:, kept] > 0).any(1).view(100, 8)
        assert (there == there[:, :1]).all()
        assert 5 < there[:, 0].sum() < 95


# --- sides


def is_right(hand: Hand) -> torch.Tensor:
    """Tell right hands by the thumb, which always lies on the palm's side."""
    wrist, index, little = hand.xyz[:, 0], hand.xyz[:, 5], hand.xyz[:, 17]
    return (torch.linalg.cross(index - wrist, little - wrist) * (hand.xyz[:, 2] - wrist)).sum(-1) > 0


def test_a_side_has_hands_of_that_side_only():
    both, left, right = (SyntheticHands(80, 12, side=side).render(range(80)) for side in ("both", "left", "right"))
    assert 20 < is_right(both).sum() < 60
    assert is_right(right).all()
    assert not is_right(left).any()
    kept = is_right(both)
    for own, hands in ((kept, right), (~kept, left)):
        assert_same(Hand(*(value[own] for value in both)), Hand(*(value[own] for value in hands)))
    start, end = (list(joints) for joints in zip(*BONES, strict=True))
    lengths = [(hands.xyz[:, end] - hands.xyz[:, start]).norm(dim=-1) for hands in (left, right)]
    torch.testing.assert_close(*lengths, atol=1e-6, rtol=0)
