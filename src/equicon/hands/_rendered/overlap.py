"""How deep a thumb goes into the fingers and the palm."""

import torch
from torch import Tensor

from equicon.hands._rendered.draws import table

TOUCH = 0.0015  # metres that flesh gives way

# Spheres along thumb, fingers and palm: places on the chain of joints, and radii in metres.
_THUMB_SPHERES = table([1.60, 2.0, 2.30, 2.60, 2.90])
_THUMB_RADII = table([0.0110, 0.0102, 0.0096, 0.0090, 0.0082])
_FINGER_SPHERES = table([0.30, 0.53, 0.77, 1.0, 1.33, 1.67, 2.0, 2.40, 2.80])
_PALM_SPHERES = table([0.4, 0.6, 0.8, 1.0])  # of the way from the wrist to a knuckle
# Rounded to float32, so that existing sets do not change.
_OTHER_RADII = 0.001 * table([10.0, 9.7, 9.4, 9.2, 8.8, 8.4, 8.0, 7.4, 6.8, 14.0, 14.0, 13.0, 11.0]).float().double()


def overlap(thumbs: Tensor, fingers: Tensor) -> Tensor:
    """Measure how deep thumbs (B, T, 4, 3) go into the fingers (B, 4, 4, 3) and the palm: (B, T) metres.

    A negative depth is a distance.

    Spheres along the thumb's outer bones are compared with spheres along the fingers and the palm.
    """
    own = _along(thumbs, _THUMB_SPHERES)
    palm = _PALM_SPHERES[:, None] * fingers[:, :, :1]  # the wrist is the origin
    other = torch.cat([_along(fingers, _FINGER_SPHERES), palm], dim=-2).flatten(1, 2)
    apart = (a[..., None] - b[:, None, None] for a, b in zip(own.unbind(-1), other.unbind(-1), strict=True))
    x, y, z = (axis * axis for axis in apart)
    return (_THUMB_RADII[:, None] + _OTHER_RADII.repeat(4) - (x + y + z).sqrt()).amax((-1, -2))


def _along(joints: Tensor, places: Tensor) -> Tensor:
    """Take points (..., n, 3) on chains of joints (..., 4, 3). The place 2.25 is a quarter along the last bone."""
    below = places.floor().clamp(max=2).long()
    t = (places - below)[:, None]
    return joints[..., below, :] * (1.0 - t) + joints[..., below + 1, :] * t
