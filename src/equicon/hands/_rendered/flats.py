"""Flat things that lie about in a background: rectangles and ellipses with a soft shadow around them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from equicon.hands._rendered.domain import Domain
from equicon.hands._rendered.draws import Draws
from equicon.hands._rendered.palette import any_colors, skin_colors

_DENSITY = 2.0  # around the hand's square, in the area of one


@dataclass(frozen=True)
class Flats:
    """T flat things in each of B pictures; coordinates run from -1 to 1 over the hand's square.

    Args:
        centre, axis: (B, T, 2) middle of each thing, and its axis divided by its half length.
        aspect: (B, T) length over width.
        box: (B, T) 1 for a rectangle, 0 for an ellipse.
        sharp: (B, T) steepness of its edge, 0 when it is absent.
        paint: (B, T, 3) its colour.
        shade: (B, T) how much its brightness changes along its axis.
    """

    centre: Tensor
    axis: Tensor
    aspect: Tensor
    box: Tensor
    sharp: Tensor
    paint: Tensor
    shade: Tensor


def draw_around(draws: Draws, domain: Domain, context: float) -> Flats:
    """Draw things around the hand's square, in a picture that is wider than it by the factor ``context``."""
    count = around(context)
    inner, outer = 1.1, context + 0.1
    out = (inner**2 + (outer**2 - inner**2) * draws.uniform(0.0, 1.0, count)).sqrt()  # even over the area
    aside = out * draws.uniform(-1.0, 1.0, count)
    sign, upright = 2.0 * draws.chance(0.5, count) - 1.0, draws.chance(0.5, count)
    x, y = upright * aside + (1.0 - upright) * sign * out, (1.0 - upright) * aside + upright * sign * out
    angle, length = draws.uniform(0.0, 2 * math.pi, count), draws.uniform(0.2, 1.4, count)
    like_skin = draws.chance(domain.skin, count, 1)
    return Flats(
        centre=torch.stack([x, y], dim=-1),
        axis=torch.stack([angle.cos(), angle.sin()], dim=-1) / length[..., None],
        aspect=draws.uniform(1.0, 4.0, count),
        box=draws.chance(0.6, count),
        sharp=draws.chance(domain.thing, count) * draws.uniform(1.5, 40.0, count) * length.clamp(min=0.5),
        paint=like_skin * skin_colors(draws, count) + (1.0 - like_skin) * any_colors(draws, count),
        shade=draws.uniform(-0.35, 0.35, count),
    )


def without(flats: Flats) -> Flats:
    """Take all things away."""
    return Flats(**{name: value[:, :0] for name, value in vars(flats).items()})


def around(context: float) -> int:
    """Count the things around the hand's square."""
    return round(_DENSITY * (context**2 - 1.0))


NUMBERS = 22
"""At most as many are drawn for each thing."""


def beneath(lower: Flats, upper: Flats) -> Flats:
    """Put things under others."""
    return Flats(**{name: torch.cat([value, getattr(upper, name)], dim=1) for name, value in vars(lower).items()})


def lay(image: Tensor, flats: Flats, x: Tensor, y: Tensor, uneven: Tensor) -> Tensor:
    """Lay things on backgrounds (B, 3, h, w), whose pixels lie at x (1, w) and y (h, 1).

    ``uneven`` (B, 3, h, w) is what their colour is multiplied by.
    """
    for k in range(flats.sharp.shape[1]):
        dx, dy = x - _each(flats.centre[:, k, 0]), y - _each(flats.centre[:, k, 1])
        cos, sin = _each(flats.axis[:, k, 0]), _each(flats.axis[:, k, 1])
        u, v = dx * cos + dy * sin, (dy * cos - dx * sin) * _each(flats.aspect[:, k])
        box = _each(flats.box[:, k])
        u2, v2 = u * u, v * v
        outside = torch.maximum(u2, v2) + (1.0 - box) * torch.minimum(u2, v2)  # 1 at the edge
        sharp = _each(flats.sharp[:, k])
        cover = ((1.0 - outside) * sharp).clamp(0.0, 1.0)[:, None]
        halo = 1.0 - 0.35 * ((1.6 - outside) * sharp).clamp(0.0, 1.0).mul((1.8 - outside).clamp(0.0, 1.0))[:, None]
        paint = _each(flats.paint[:, k]) * (uneven + (_each(flats.shade[:, k]) * u)[:, None])
        image = image * halo
        image = image + (paint - image) * cover
    return image


def _each(value: Tensor) -> Tensor:
    return value[..., None, None]
