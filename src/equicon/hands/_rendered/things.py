"""Solid things beside the hand: another arm behind it, and something in it or in front of it."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from equicon.hands._rendered.cones import OTHER_SKIN, THING, Cones, to_pixels
from equicon.hands._rendered.domain import Domain
from equicon.hands._rendered.draws import Draws, table
from equicon.hands._rendered.flesh import HAND
from equicon.hands._rendered.kinematics import Posed

_HIDDEN = 0.18  # largest estimated share of a hand that a thing may hide; a thing that hides more is left out
_RODS = 4  # side by side, molten into a slab

# Another arm, flat, in metres: x across it, y from its wrist to the fingers. Start and end of each cone, and radii.
_ARM = table(
    [
        [0.000, -0.400, 0.000, 0.000, 0.0400, 0.0240],
        [0.010, 0.000, 0.022, 0.085, 0.0190, 0.0130],
        [-0.010, 0.000, -0.022, 0.078, 0.0190, 0.0120],
        [0.018, 0.020, 0.048, 0.060, 0.0160, 0.0100],
        [0.048, 0.060, 0.055, 0.095, 0.0100, 0.0085],
    ],
)
_KNUCKLES = table([[0.026, 0.088], [0.009, 0.092], [-0.008, 0.088], [-0.024, 0.078]])
_LENGTHS = table([0.072, 0.082, 0.076, 0.058])
_FINGER_RADII = table([[0.0100, 0.0090], [0.0088, 0.0070]]).repeat_interleave(4, 0)
_MELTS = (False, True, True, True, *(False,) * 9)


def draw_arm(draws: Draws, domain: Domain, hands: Posed, cones: Cones, size: int, width: int) -> Cones:
    """Draw another arm that reaches from outside into the hand's square (``size`` of ``width`` pixels), behind it."""
    there = draws.chance(domain.limb, 1)
    metre = (hands.K[:, 0, 0] / hands.xyz[:, 0, 2] * draws.uniform(0.8, 1.2)).clamp(max=3.2 * size)[:, None]
    bearing, aim = draws.uniform(0.0, 2 * math.pi), draws.uniform(-0.7, 0.7)
    wrist = (width - 1) / 2 + _direction(bearing) * (size * draws.uniform(0.70, 0.95, 1))
    along = -_direction(bearing + aim)
    across = torch.stack([-along[:, 1], along[:, 0]], dim=-1) * (2.0 * draws.chance(0.5, 1) - 1.0)

    # A finger that curls towards or away from the camera looks short.
    curl = draws.uniform(0.0, 1.0, 1) * draws.uniform(0.5, 1.0, 4)
    splay = math.pi / 2 - _KNUCKLES[:, 0] * draws.uniform(0.0, 10.0, 1) + draws.uniform(-0.06, 0.06, 4)
    step = _direction(splay) * (_LENGTHS / 2)[:, None]
    middle = _KNUCKLES + step * (1.0 - 0.3 * curl)[..., None]
    tip = middle + step * (0.9 - 1.5 * curl)[..., None]
    arm = _ARM.expand(len(curl), -1, -1)
    start = torch.cat([arm[..., :2], _KNUCKLES.expand_as(middle), middle], dim=1)
    end = torch.cat([arm[..., 2:4], middle, tip], dim=1)
    radii = torch.cat([_ARM[:, 4:], _FINGER_RADII]) * (metre * there)[..., None]

    # The bones of its fingers lie 7 cm behind the deepest bone of the hand, so that the flesh of both stays apart.
    behind = torch.cat([cones.start[:, :HAND, 2], cones.end[:, :HAND, 2]], dim=1).amax(1, keepdim=True) + 0.07 * metre

    def place(flat: Tensor) -> Tensor:
        xy = wrist[:, None] + metre[..., None] * (flat[..., :1] * across[:, None] + flat[..., 1:] * along[:, None])
        return torch.cat([xy, behind[..., None].expand_as(xy[..., :1])], dim=-1)

    facing = table([0.0, 0.0, 1.0]) * (2.0 * draws.chance(0.5, 1, 1) - 1.0)
    return Cones(
        place(start),
        place(end),
        radii[..., 0],
        radii[..., 1],
        facing.expand_as(place(start)),
        0.012 * metre.expand(-1, len(_MELTS)),
        _MELTS,
        (False,) * len(_MELTS),
        (OTHER_SKIN,) * len(_MELTS),
    )


def draw_occluder(draws: Draws, domain: Domain, hands: Posed, cones: Cones, clip: int = 1) -> Cones:
    """Draw a rod, a ball or a slab, held in the hand or hovering in front of it, that hides only a part of it.

    ``clip`` hands in a row are frames of one hand. The thing is in all of them or in none.
    """
    there, held, kind = draws.chance(domain.occluder, 1), draws.chance(0.6, 1), draws.uniform(0.0, 1.0, 1)
    rod, slab = (kind < 0.45).double(), (kind >= 0.7).double()
    ball = 1.0 - rod - slab
    width = slab * draws.uniform(0.010, 0.030, 1)
    radius = rod * draws.uniform(0.004, 0.014, 1) + ball * draws.uniform(0.014, 0.034, 1)
    radius = radius + slab * (0.003 + 0.45 * width)
    half = rod * draws.uniform(0.05, 0.25, 1) + slab * draws.uniform(0.02, 0.07, 1)

    # A thing that is held lies on the palm, across the fingers.
    joints, palm = hands.xyz, hands.pads[:, 0]
    grip = 0.75 * joints[:, 5:18:4].mean(1) + 0.25 * joints[:, 0] + palm * (0.012 * hands.girth[:, None] + radius)
    grip_axis = (joints[:, 5] - joints[:, 17]) * 15.0 + draws.uniform(-0.5, 0.5, 3)
    low, high = joints.amin(1), joints.amax(1)
    ahead = low + (high - low) * draws.uniform(0.0, 1.0, 3)
    ahead[:, 2:] = low[:, 2:] - 0.012 - radius - draws.uniform(0.0, 0.03, 1)
    ahead_axis = torch.cat([_direction(draws.uniform(0.0, 2 * math.pi)), draws.uniform(-0.2, 0.2, 1)], dim=-1)
    ahead_out = table([0.0, 0.0, 1.0])
    axis = _unit(held * grip_axis + (1.0 - held) * ahead_axis)
    side = _unit(torch.linalg.cross(axis, held * palm + (1.0 - held) * ahead_out))
    centre = held * grip + (1.0 - held) * ahead + axis * half * draws.uniform(-0.6, 0.6, 1)

    row = torch.linspace(-1.0, 1.0, _RODS, dtype=torch.float64, device="cpu")
    rods = centre[:, None] + row[:, None] * (width * side)[:, None]
    radii = radius * there * torch.where(row == -1.0, 1.0, slab)
    start, start_radius = to_pixels(rods - (axis * half)[:, None], radii, hands.K)
    end, end_radius = to_pixels(rods + (axis * half)[:, None], radii, hands.K)
    thing = Cones(
        start,
        end,
        start_radius,
        end_radius,
        ahead_out.expand_as(start),
        1.5 * start_radius,
        (False, *(True,) * (_RODS - 1)),
        (False,) * _RODS,
        (THING,) * _RODS,
    )
    most = hidden_share(cones, thing).view(-1, clip).amax(1).repeat_interleave(clip)
    fits = (most <= _HIDDEN).double()[:, None]
    return replace(thing, start_radius=start_radius * fits, end_radius=end_radius * fits)


def hidden_share(hand: Cones, things: Cones) -> Tensor:
    """Estimate the share (B,) of each hand that things hide, by the ends and middles of its cones."""
    start, end = hand.start[:, :HAND], hand.end[:, :HAND]
    points = torch.cat([start, (start + end) / 2, end], dim=1)[:, :, None]
    first, last = hand.start_radius[:, :HAND], hand.end_radius[:, :HAND]
    size = torch.cat([first, (first + last) / 2, last], dim=1)

    away, along = points - things.start[:, None], (things.end - things.start)[:, None]
    square = along[..., :2].square().sum(-1).clamp(min=1e-9)
    t = ((away[..., :2] * along[..., :2]).sum(-1) / square).clamp(0.0, 1.0)
    radius = (1.0 - t) * things.start_radius[:, None] + t * things.end_radius[:, None]
    away = away - t[..., None] * along
    over = away[..., :2].square().sum(-1) < radius.square()
    before = away[..., 2] - size[..., None] + radius > 0
    return ((over & before).any(-1) * size).sum(-1) / size.sum(-1)


def _direction(angle: Tensor) -> Tensor:
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.square().sum(-1, keepdim=True).sqrt()
