import torch

from equicon.hands import SyntheticHands
from equicon.hands._camera import project
from equicon.hands._rendered.cones import CLOTH
from equicon.hands._rendered.draws import Draws, to_device
from equicon.hands._rendered.flesh import clothe
from equicon.hands._rendered.kinematics import pose_hands
from equicon.hands._rendered.render import gather, trace


def test_every_joint_is_on_the_hand_that_is_seen():
    size, count = 128, 60
    posed = pose_hands(Draws.of(0, range(count), 0, 200), size)
    surface = trace(to_device(clothe(posed, torch.zeros(count)), None), size)
    seen, depth = gather(torch.stack([surface.seen, surface.depth]), surface, count, size).unbind(1)
    hands = SyntheticHands(count, size=size).render(range(count))
    torch.testing.assert_close(posed.xyz.float(), hands.xyz)
    x, y = hands.xy.round().long().unbind(-1)
    image = torch.arange(count)[:, None]
    # A tip lies so near the skin that rounding may miss it.
    tip = torch.tensor([joint > 0 and joint % 4 == 0 for joint in range(21)])
    assert (seen[image, y, x][:, ~tip] == 1).all()
    assert (seen[image, y, x][:, tip] > 0).float().mean() > 0.99
    # No joint lies before the skin, and most lie a finger's radius below it.
    below = (hands.xyz[..., 2] - (depth[image, y, x] / hands.K[:, 0, 0, None]).exp())[:, ~tip]
    assert below.min() > -0.001
    assert 0.004 < below.median() < 0.02


def test_a_sleeve_leaves_the_hand_free():
    size, count = 64, 150
    posed = pose_hands(Draws.of(0, range(count), 0, 200), size)
    cloth = []
    for sleeve in (torch.zeros(count), torch.ones(count)):
        surface = trace(to_device(clothe(posed, sleeve), None), size)
        cloth.append(gather(((surface.paint == CLOTH) * surface.seen)[None], surface, count, size)[:, 0])
    assert cloth[0].max() == 0
    assert (cloth[1].amax((1, 2)) == 1).float().mean() > 0.3
    x, y = project(posed.xyz, posed.K).round().long().unbind(-1)
    assert cloth[1][torch.arange(count)[:, None], y, x].mean(0).max() < 0.03
