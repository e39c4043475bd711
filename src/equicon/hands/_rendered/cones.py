"""Round cones, each the hull of two spheres. Everything solid in a picture is made of them."""

from dataclasses import dataclass

import torch
from torch import Tensor

SKIN, CLOTH, OTHER_SKIN, THING = range(4)  # the numbers of the paints
PAINTS = 4


@dataclass(frozen=True)
class Cones:
    """P round cones in each of B images, in pixels: x, y and a depth that keeps a small sphere round.

    Args:
        start, end: (B, P, 3) centres of the two spheres.
        start_radius, end_radius: (B, P); a cone whose radii are 0 is not there.
        pad: (B, P, 3) unit vectors, the direction that the palmar side faces.
        blend: (B, P) the depth over which a cone melts into the cones before it.
        melts: For each cone, whether it ever melts.
        nail: For each cone, whether it carries a nail.
        paint: For each cone, the number of its paint.
    """

    start: Tensor
    end: Tensor
    start_radius: Tensor
    end_radius: Tensor
    pad: Tensor
    blend: Tensor
    melts: tuple[bool, ...]
    nail: tuple[bool, ...]
    paint: tuple[int, ...]


def join(*groups: Cones) -> Cones:
    """Put all cones into the same images."""
    tensors = ("start", "end", "start_radius", "end_radius", "pad", "blend")
    return Cones(
        **{name: torch.cat([getattr(group, name) for group in groups], dim=1) for name in tensors},
        melts=sum((group.melts for group in groups), ()),
        nail=sum((group.nail for group in groups), ()),
        paint=sum((group.paint for group in groups), ()),
    )


def to_pixels(centres: Tensor, radii: Tensor, K: Tensor) -> tuple[Tensor, Tensor]:
    """Map spheres in metres to (pixel, pixel, depth) with the depth f · ln z, which makes the camera a similarity."""
    focal = K[:, None, 0, 0]
    x, y, z = centres.unbind(-1)
    pixels = torch.stack([focal * x / z + K[:, None, 0, 2], focal * y / z + K[:, None, 1, 2], focal * z.log()], dim=-1)
    return pixels, focal * radii / z
