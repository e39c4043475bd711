"""Flesh on the bones: a hand's surface as some thirty round cones, each the hull of two spheres."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from equicon.hands._rendered.cones import CLOTH, Cones, to_pixels
from equicon.hands._rendered.draws import table
from equicon.hands._rendered.kinematics import Posed

# The places of spheres are given by the 21 joints and three vectors: one metre out of the palm, one across the knuckles
# from the little finger to the index finger, and one from the wrist to the elbow.
_PALM, _ACROSS, _ELBOW = 21, 22, 23

Place = Mapping[int, float]  # weights of joints (they sum to 1) and vectors


@dataclass(frozen=True)
class _Cone:
    start: Place
    end: Place
    radii: tuple[float, float]  # metres, of the middle-sized hand
    pad: int = 0  # the joint whose bone's pad it shares
    blend: float = 0.0  # metres
    nail: bool = False
    paint: int = 0


def _between(a: int, b: int, t: float) -> Place:
    return {a: 1.0 - t, b: t}


def _hand() -> list[_Cone]:
    """Cover a hand with cones. Each melts into those before it, so the palm comes after the fingers."""
    cones = []
    for first, width in ((5, 1.0), (9, 1.03), (13, 0.97), (17, 0.85)):
        for k, radii in enumerate([(0.0100, 0.0093), (0.0093, 0.0081), (0.0081, 0.0067)]):
            tip = _between(first + k, first + k + 1, 0.80 if k == 2 else 1.0)
            radii = (radii[0] * width, radii[1] * width)
            cones.append(_Cone({first + k: 1.0}, tip, radii, pad=first + k + 1, nail=k == 2))
    cones += [
        _Cone({3: 1.0}, _between(3, 4, 0.75), (0.0101, 0.0080), pad=4, nail=True),
        _Cone({2: 1.0}, {3: 1.0}, (0.0122, 0.0101), pad=3),
        _Cone({1: 1.0}, {2: 1.0}, (0.0150, 0.0122), pad=2, blend=0.003),
    ]
    heel, thumb = {0: 0.75, 2: 0.25, _PALM: 0.009}, {1: 0.20, 2: 0.80, _PALM: 0.003}
    cones.append(_Cone(heel, thumb, (0.0160, 0.0125), blend=0.008))
    for t, s, radii in ((0.55, 0.60, (0.0100, 0.0100)), (0.85, 0.80, (0.0065, 0.0080))):  # the web of the thumb
        cones.append(_Cone(_between(1, 2, t), _between(0, 5, s), radii, blend=0.008))
    heel, little = {0: 0.85, 17: 0.15, _ACROSS: -0.12, _PALM: 0.006}, {0: 0.15, 17: 0.85, _PALM: 0.004}
    cones.append(_Cone(heel, little, (0.0150, 0.0115), blend=0.008))
    for first, across in ((5, 0.16), (9, 0.04), (13, -0.08), (17, -0.18)):
        root = {0: 0.90, first: 0.10, _ACROSS: across}
        cones.append(_Cone(root, {first: 1.0}, (0.0165, 0.0116 if first < 17 else 0.0104), blend=0.014))
    for first in (5, 9, 13):
        web = {first: 0.44, first + 1: 0.06, first + 4: 0.44, first + 5: 0.06}
        cones.append(_Cone({0: 0.6, first: 0.2, first + 4: 0.2}, web, (0.0155, 0.0062), blend=0.012))
    cones.append(_Cone(_between(5, 0, 0.12), _between(17, 0, 0.12), (0.0112, 0.0102), blend=0.014))
    for across in (0.15, -0.15):
        wrist, elbow = {0: 1.0, _ACROSS: across}, {0: 1.0, _ACROSS: 1.3 * across, _ELBOW: 1.0}
        cones.append(_Cone(wrist, elbow, (0.0185, 0.0310), blend=0.026))
    return cones


_SLEEVE = _Cone({0: 1.0, _ELBOW: 0.17}, {0: 1.0, _ELBOW: 1.0}, (0.035, 0.052), blend=0.0, paint=CLOTH)
_CONES = [*_hand(), _SLEEVE]
HAND = len(_CONES) - 3  # the first cones are the hand, then come forearm and sleeve

# Where the spheres are: joints and vectors, and their weights, filled up with zeros, both (2 P, 5).
_PLACES = [cone.start for cone in _CONES] + [cone.end for cone in _CONES]
_FILLED = [[*place.items(), *[(0, 0.0)] * (5 - len(place))] for place in _PLACES]
_LANDMARKS = torch.tensor([[index for index, _ in place] for place in _FILLED], device="cpu")
_WEIGHTS = table([[weight for _, weight in place] for place in _FILLED])
_RADII = table([cone.radii for cone in _CONES])
_BLENDS = table([cone.blend for cone in _CONES])


def clothe(hands: Posed, sleeve: Tensor, clip: int = 1) -> Cones:
    """Give hands their surface, and a sleeve to those where ``sleeve`` (B,) is 1 and the arm does not hide the hand.

    ``clip`` hands in a row are frames of one hand, which has a sleeve in all of them or in none.
    """
    joints, focal = hands.xyz, hands.K[:, 0, 0]
    wrist, across = joints[:, 0], joints[:, 5] - joints[:, 17]
    # The arm must leave the image but not come near the camera, where a sphere is no longer round in the image.
    toward = (-hands.forearm[:, 2]).clamp(min=1e-3)
    reach = (0.5 * wrist[:, 2] / toward).clamp(max=0.5)
    palm = hands.pads[:, 0] * hands.scale[:, None]
    elbow = hands.forearm * reach[:, None]
    landmarks = torch.cat([joints, torch.stack([palm, across, elbow], dim=1)], dim=1)

    radii = _RADII * hands.girth[:, None, None]
    # A sleeve that comes at the camera would hide the hand.
    aside = (hands.forearm[:, 2].view(-1, clip).amin(1) > -0.35).repeat_interleave(clip)
    radii[:, -1] *= (sleeve * aside)[:, None]
    weighted = [_WEIGHTS[:, k, None] * landmarks[:, _LANDMARKS[:, k]] for k in range(5)]
    start, end = sum(weighted[1:], start=weighted[0]).split(len(_CONES), dim=1)
    start, start_radius = to_pixels(start, radii[..., 0], hands.K)
    end, end_radius = to_pixels(end, radii[..., 1], hands.K)
    return Cones(
        start,
        end,
        start_radius,
        end_radius,
        hands.pads[:, [cone.pad for cone in _CONES]],
        _BLENDS * (focal / wrist[:, 2])[:, None],
        tuple(cone.blend > 0 for cone in _CONES),
        tuple(cone.nail for cone in _CONES),
        tuple(cone.paint for cone in _CONES),
    )
