from dataclasses import replace

import pytest
import torch

from equicon.hands._rendered.cones import OTHER_SKIN, THING, Cones, join
from equicon.hands._rendered.domain import STUDIO, WILD
from equicon.hands._rendered.draws import Draws, to_device
from equicon.hands._rendered.flesh import HAND, clothe
from equicon.hands._rendered.kinematics import pose_hands
from equicon.hands._rendered.render import gather, trace
from equicon.hands._rendered.things import draw_arm, draw_occluder, hidden_share

COUNT, SIZE = 250, 64


@pytest.fixture(scope="module")
def scene():
    hands = pose_hands(Draws.of(0, range(COUNT), 0, 200), SIZE)
    return hands, clothe(hands, torch.zeros(COUNT))


def seen_of_the_hand(cones: Cones) -> torch.Tensor:
    """How many pixels of each image show skin of the hand."""
    surface = trace(to_device(cones, None), SIZE)
    skin = ((surface.paint <= 0) & (surface.seen > 0)).float()
    return gather(skin[None], surface, len(cones.start), SIZE).sum((1, 2, 3))


def without_arm(cones: Cones) -> Cones:
    kept = (torch.arange(cones.start.shape[1]) < HAND).double()
    return replace(cones, start_radius=cones.start_radius * kept, end_radius=cones.end_radius * kept)


def test_things_hide_at_most_a_quarter_of_a_hand(scene):
    hands, cones = scene
    thing = draw_occluder(Draws.of(0, range(COUNT), 7, 100), replace(WILD, occluder=1.0), hands, cones)
    there = (thing.start_radius > 0).any(1)
    hand = without_arm(cones)
    hidden = 1 - seen_of_the_hand(join(hand, thing)) / seen_of_the_hand(hand)
    assert hidden.max() < 0.26
    assert hidden[~there].max() == 0
    assert (hidden[there] > 0.01).float().mean() > 0.5


def test_about_a_third_of_wild_hands_has_a_thing_and_no_studio_hand(scene):
    hands, cones = scene
    for domain, low, high in ((WILD, 0.25, 0.42), (STUDIO, 0.0, 0.0)):
        thing = draw_occluder(Draws.of(0, range(COUNT), 7, 100), domain, hands, cones)
        assert low <= (thing.start_radius > 0).any(1).double().mean() <= high
        assert set(thing.paint) == {THING}


def test_hidden_share_by_hand(scene):
    _, cones = scene
    centre = cones.start[:, :HAND].mean(1, keepdim=True)
    before, behind = centre.clone(), centre.clone()
    before[..., 2] -= 1000.0
    behind[..., 2] += 1000.0
    flat, none = torch.zeros(COUNT, 1).double(), ((False,), (False,), (THING,))
    for at, radius, share in ((before, 1e4, 1.0), (before, 0.0, 0.0), (behind, 500.0, 0.0)):
        thing = Cones(at, at, flat + radius, flat + radius, at, flat, *none)
        assert (hidden_share(cones, thing) == share).all()


def test_another_arm_lies_behind_and_comes_from_outside(scene):
    hands, cones = scene
    arm = draw_arm(Draws.of(0, range(COUNT), 7, 100), replace(WILD, limb=1.0), hands, cones, SIZE, SIZE)
    assert set(arm.paint) == {OTHER_SKIN}
    hand = without_arm(cones)
    assert torch.equal(seen_of_the_hand(join(hand, arm)), seen_of_the_hand(hand))
    elbow = arm.start[:, 0, :2] - (SIZE - 1) / 2
    assert (elbow.norm(dim=-1) > 0.7 * SIZE).all()
    surface = trace(to_device(arm, None), SIZE)
    share = gather(surface.seen[None], surface, COUNT, SIZE).mean((1, 2, 3))
    assert (share > 0.005).float().mean() > 0.5
    assert share.max() < 0.5


def test_arms_are_as_frequent_as_the_domain_says(scene):
    hands, cones = scene
    for domain in (STUDIO, WILD):
        arm = draw_arm(Draws.of(0, range(COUNT), 7, 100), domain, hands, cones, SIZE, SIZE)
        assert abs((arm.start_radius > 0).all(1).double().mean() - domain.limb) < 0.1
