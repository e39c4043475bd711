"""Shadows: places that the lamp's light does not reach, and crevices that little light reaches."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from equicon.hands._rendered.shade import Lit, Look

_STEPS = (0.035, 0.065, 0.10, 0.15, 0.21)  # distances towards the light, in sides of the hand's square
_THICK = 0.11  # thickness of what casts a shadow, in the same unit
_FAR = 1e6


def compose(lit: Lit, background: Tensor, look: Look, size: int) -> Tensor:
    """Lay the lit things over the background, with shadows on both: (B, 3, H, W). ``size`` is that of the square."""
    depth = lit.depth / lit.cover.clamp(min=1e-6)
    shade = 1.0 - lit.direct / lit.cover.clamp(min=1e-6) * self_shadow(depth, lit.cover, look.light, size)
    color = lit.color * shade * crevices(depth, lit.cover, size)
    return color + background * ((1.0 - lit.cover) * (1.0 - cast_shadow(lit.cover, look, size)))


def self_shadow(depth: Tensor, cover: Tensor, light: Tensor, size: int) -> Tensor:
    """Compute how far each pixel is in shadow, (B, 1, H, W) in [0, 1], by steps to the light over the depth image.

    A step is blocked if the surface there lies in front of the ray, but not so far in front that the ray passes behind.
    """
    margin = int(_STEPS[-1] * size) + 2
    around = pad(torch.where(cover > 0, depth, _FAR), (margin,) * 4, value=_FAR)
    shadow = torch.zeros_like(depth)
    for step in _STEPS:
        there = shift(around, light[:, :2] * (step * size), margin)
        ahead = (depth + light[:, 2, None, None, None] * (step * size) - there) / size
        shadow = torch.maximum(shadow, torch.minimum(ahead * 50.0 - 0.6, (_THICK - ahead) * 25.0).clamp(0.0, 1.0))
    return blur(shadow, 1)


def cast_shadow(cover: Tensor, look: Look, size: int) -> Tensor:
    """Cast the silhouette along the light onto the background: (B, 1, H, W), 0 where no shadow falls."""
    margin = int(0.3 * size) + 2
    steps = [max(1, round(size * share)) for share in (0.06, 0.03, 0.015)]
    soft = blur(cover, *steps)
    offset = -look.light[:, :2] * (look.reach * size)[:, None]
    moved = shift(pad(soft, (margin,) * 4, mode="replicate"), -offset, margin)
    return moved * (look.shadow * (1.0 - look.ambient))[:, None, None, None]


def crevices(depth: Tensor, cover: Tensor, size: int) -> Tensor:
    """Darken what lies deeper than the hand around it: a factor in [0.6, 1].

    After Luft et al., "Image enhancement by unsharp masking the depth buffer" (SIGGRAPH 2006).
    """
    steps = [max(1, round(size * share)) for share in (0.03, 0.015)]
    around = blur(depth * cover, *steps) / blur(cover, *steps).clamp(min=1e-6)
    return 1.0 - blur(((depth - around) / (0.10 * size) - 0.15).clamp(0.0, 0.4) * cover, 1)


def shift(image: Tensor, offset: Tensor, margin: int) -> Tensor:
    """Look up each pixel of an image without its margin at an offset (B, 2) of whole pixels: (B, C, H, W)."""
    height, width = (side - 2 * margin for side in image.shape[-2:])
    x, y = (offset + 0.5).floor().long().clamp(-margin, margin).unbind(-1)
    base = (torch.arange(height, device=image.device)[:, None] + margin) * image.shape[-1]
    base = base + torch.arange(width, device=image.device) + margin
    at = base.flatten() + (y * image.shape[-1] + x)[:, None]
    flat = image.flatten(2)
    return flat.gather(2, at[:, None].expand(-1, flat.shape[1], -1)).view(*image.shape[:2], height, width)


def blur(image: Tensor, *steps: int) -> Tensor:
    """Average each pixel with its neighbours by 1, 2, 1, once for each distance. Border pixels are repeated outside."""
    for step in steps:
        wide = pad(image, (step, step, 0, 0), mode="replicate")
        image = 0.25 * wide[..., : -2 * step] + 0.5 * image + 0.25 * wide[..., 2 * step :]
        high = pad(image, (0, 0, step, step), mode="replicate")
        image = 0.25 * high[..., : -2 * step, :] + 0.5 * image + 0.25 * high[..., 2 * step :, :]
    return image
