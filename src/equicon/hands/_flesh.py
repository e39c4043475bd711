"""Flesh on the bones: a hand's surface as some thirty round cones, each the hull of two spheres."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from equicon.hands._draws import Draws
from equicon.hands._kinematics import Posed

# Beside the 21 joints, three vectors serve to place a sphere: one metre out of the palm, one across the knuckles from
# the little finger to the index finger, and one from the wrist to the elbow.
_PALM, _ACROSS, _ELBOW = 21, 22, 23

Place = Mapping[int, float]  # weights of joints (they sum to 1) and vectors


@dataclass(frozen=True)
class Cones:
    """A batch of hands as round cones, in pixels: x, y and a depth that keeps a small sphere round.

    Args:
        start, end: (B, P, 3) centres of the two spheres.
        start_radius, end_radius: (B, P).
        pad: (B, P, 3) unit vectors, where the palmar side faces.
        blend: (B, P) over how much depth a cone melts into those before it.
        nail, cloth: (P,) 1 where the cone carries a nail or is a sleeve.
    """

    start: Tensor
    end: Tensor
    start_radius: Tensor
    end_radius: Tensor
    pad: Tensor
    blend: Tensor
    nail: Tensor
    cloth: Tensor


@dataclass(frozen=True)
class _Cone:
    start: Place
    end: Place
    radii: tuple[float, float]  # metres, of the middle-sized hand
    pad: int = 0  # the joint whose bone's pad it shares
    blend: float = 0.0  # metres
    nail: bool = False
    cloth: bool = False


def _between(a: int, b: int, t: float) -> Place:
    return {a: 1.0 - t, b: t}


def _hand() -> list[_Cone]:
    """Cover a hand; what comes later melts into what came before, so the palm follows the fingers."""
    cones = []
    for first, width in ((5, 1.0), (9, 1.03), (13, 0.97), (17, 0.85)):
        for k, radii in enumerate([(0.0105, 0.0092), (0.0094, 0.0080), (0.0083, 0.0068)]):
            tip = _between(first + k, first + k + 1, 0.80 if k == 2 else 1.0)
            radii = (radii[0] * width, radii[1] * width)
            cones.append(_Cone({first + k: 1.0}, tip, radii, pad=first + k + 1, nail=k == 2))
    cones += [
        _Cone({3: 1.0}, _between(3, 4, 0.75), (0.0102, 0.0082), pad=4, nail=True),
        _Cone({2: 1.0}, {3: 1.0}, (0.0120, 0.0100), pad=3),
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
        cones.append(_Cone(root, {first: 1.0}, (0.0165, 0.0110 if first < 17 else 0.0098), blend=0.008))
    for first in (5, 9, 13):
        web = {first: 0.40, first + 1: 0.10, first + 4: 0.40, first + 5: 0.10}
        cones.append(_Cone({0: 0.6, first: 0.2, first + 4: 0.2}, web, (0.0155, 0.0068), blend=0.012))
    cones.append(_Cone(_between(5, 0, 0.12), _between(17, 0, 0.12), (0.0112, 0.0102), blend=0.014))
    for across in (0.17, -0.17):
        wrist, elbow = {0: 1.0, _ACROSS: across}, {0: 1.0, _ACROSS: 1.3 * across, _ELBOW: 1.0}
        cones.append(_Cone(wrist, elbow, (0.0180, 0.0300), blend=0.016))
    return cones


_SLEEVE = _Cone({0: 1.0, _ELBOW: 0.25}, {0: 1.0, _ELBOW: 1.0}, (0.036, 0.050), blend=0.0, cloth=True)
_CONES = [*_hand(), _SLEEVE]
_NUM = len(_CONES)


def _weights(places: list[Place]) -> Tensor:
    matrix = torch.zeros(len(places), 24, dtype=torch.float64)
    for row, place in zip(matrix, places, strict=True):
        for index, weight in place.items():
            row[index] = weight
    return matrix


def clothe(draws: Draws, hands: Posed) -> Cones:
    """Draw how plump a hand is and whether it wears a sleeve, and give it its surface."""
    joints, focal = hands.xyz, hands.K[:, 0, 0]
    wrist, across = joints[:, 0], joints[:, 5] - joints[:, 17]
    # The arm must leave the image but not come near the camera, where a sphere is no longer round in the image.
    toward = (-hands.forearm[:, 2]).clamp(min=1e-3)
    reach = (0.5 * wrist[:, 2] / toward).clamp(max=0.5)
    palm = hands.pads[:, 0] * hands.scale[:, None]
    elbow = hands.forearm * reach[:, None]
    landmarks = torch.cat([joints, torch.stack([palm, across, elbow], dim=1)], dim=1)

    plump = hands.scale * draws.uniform(0.90, 1.12)
    radii = torch.tensor([cone.radii for cone in _CONES], dtype=torch.float64) * plump[:, None, None]
    radii[:, -1] *= draws.chance(0.4, 1)  # a sphere without a radius is not seen

    places = _weights([cone.start for cone in _CONES] + [cone.end for cone in _CONES])
    centres = (places[..., None] * landmarks[:, None]).sum(-2)
    start, end = centres.split(_NUM, dim=1)
    start, start_radius = _to_pixels(start, radii[..., 0], hands.K)
    end, end_radius = _to_pixels(end, radii[..., 1], hands.K)
    blend = torch.tensor([cone.blend for cone in _CONES], dtype=torch.float64) * (focal / wrist[:, 2])[:, None]
    return Cones(
        start,
        end,
        start_radius,
        end_radius,
        hands.pads[:, [cone.pad for cone in _CONES]],
        blend,
        torch.tensor([cone.nail for cone in _CONES]).double(),
        torch.tensor([cone.cloth for cone in _CONES]).double(),
    )


def _to_pixels(centres: Tensor, radii: Tensor, K: Tensor) -> tuple[Tensor, Tensor]:
    """Map spheres to (pixel, pixel, depth) with the depth f · ln z, in which the camera is locally a similarity."""
    focal = K[:, None, 0, 0]
    x, y, z = centres.unbind(-1)
    pixels = torch.stack([focal * x / z + K[:, None, 0, 2], focal * y / z + K[:, None, 1, 2], focal * z.log()], dim=-1)
    return pixels, focal * radii / z
