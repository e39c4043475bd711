"""Flat things scattered over a background: rectangles and ellipses with a soft shadow around them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from equicon.hands._rendered.domain import Domain
from equicon.hands._rendered.draws import Draws
from equicon.hands._rendered.palette import any_colors, skin_colors

_DENSITY = 2.0  # things around the hand's square, for each area of the square
_TILE = 8  # pixels along each side
_HALO = 1.8  # the squared distance, in half lengths, to which a shadow reaches


@dataclass(frozen=True)
class Flats:
    """T flat things in each of B pictures; coordinates run from -1 to 1 over the hand's square.

    Args:
        centre, axis: (B, T, 2) middle of each thing, and its axis divided by its half length.
        aspect: (B, T) length over width.
        box: (B, T) 1 for a rectangle, 0 for an ellipse.
        sharp: (B, T) steepness of its edge; 0 if the thing is absent.
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
    out = (inner**2 + (outer**2 - inner**2) * draws.uniform(0.0, 1.0, count)).sqrt()  # uniform over the area
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
"""The largest number of random numbers that a thing needs."""


def beneath(lower: Flats, upper: Flats) -> Flats:
    """Put things under others."""
    return Flats(**{name: torch.cat([value, getattr(upper, name)], dim=1) for name, value in vars(lower).items()})


def lay(image: Tensor, flats: Flats, where: Tensor, uneven: Tensor) -> Tensor:
    """Lay things on backgrounds (B, 3, w, w), whose rows and columns lie at ``where`` (w,).

    Only tiles that a thing may touch are computed. ``uneven`` (B, 3, w, w) multiplies the colours of the things.
    """
    batch, _, width, _ = image.shape
    across = -(-width // _TILE)
    step = (where[1] - where[0]).abs()
    middle = pad(where, (0, across * _TILE - width)).view(across, _TILE)  # the padding is cut off at the end
    x = middle.repeat(across, _TILE)
    y = middle.repeat_interleave(across, 0).repeat_interleave(_TILE, 1)
    tiles, uneven = _to_tiles(image, across), _to_tiles(uneven, across)

    touched = _touched(flats, where, across, step)
    places = touched.nonzero()[:, 1].split(touched.sum(1).tolist())
    for k, at in enumerate(places):
        owner, tile = at // across**2, at % across**2
        dx, dy = x[tile] - flats.centre[owner, k, 0, None], y[tile] - flats.centre[owner, k, 1, None]
        cos, sin = flats.axis[owner, k, 0, None], flats.axis[owner, k, 1, None]
        u, v = dx * cos + dy * sin, (dy * cos - dx * sin) * flats.aspect[owner, k, None]
        u2, v2 = u * u, v * v
        # 1 at the edge
        outside = torch.maximum(u2, v2) + (1.0 - flats.box[owner, k, None]) * torch.minimum(u2, v2)
        sharp = flats.sharp[owner, k, None]
        cover = ((1.0 - outside) * sharp).clamp(0.0, 1.0)[:, None]
        halo = 1.0 - 0.35 * ((1.6 - outside) * sharp).clamp(0.0, 1.0).mul((_HALO - outside).clamp(0.0, 1.0))[:, None]
        paint = flats.paint[owner, k, :, None] * (uneven[at] + (flats.shade[owner, k, None] * u)[:, None])
        below = tiles[at] * halo
        tiles.index_copy_(0, at, below + (paint - below) * cover)
    tiles = tiles.view(batch, across, across, 3, _TILE, _TILE).permute(0, 3, 1, 4, 2, 5)
    laid: Tensor = tiles.reshape(batch, 3, across * _TILE, across * _TILE)[..., :width, :width]
    return laid


def _to_tiles(image: Tensor, across: int) -> Tensor:
    """Cut pictures (B, 3, w, w) into tiles: (B · across², 3, pixels of a tile)."""
    more = across * _TILE - image.shape[-1]
    tiles = pad(image, (0, more, 0, more)).unflatten(3, (across, _TILE)).unflatten(2, (across, _TILE))
    cut: Tensor = tiles.permute(0, 2, 4, 1, 3, 5).flatten(0, 2).flatten(2).contiguous()
    return cut


def _touched(flats: Flats, where: Tensor, across: int, step: Tensor) -> Tensor:
    """Tell which tiles things and their shadows may touch: (T, B · across²). In doubt it is True."""
    middle = where[0] + step * (_TILE * torch.arange(across, device=where.device) + (_TILE - 1) / 2)
    dx = middle.repeat(across) - flats.centre[..., :1]
    dy = middle.repeat_interleave(across) - flats.centre[..., 1:]
    cos, sin = flats.axis[..., :1], flats.axis[..., 1:]
    reach = 0.7072 * _TILE * step * (cos * cos + sin * sin).sqrt()
    far, aspect = _HALO**0.5 + 1e-3, flats.aspect[..., None]
    near = (dx * cos + dy * sin).abs() < far + reach
    near &= ((dy * cos - dx * sin) * aspect).abs() < far + reach * aspect
    there: Tensor = near & (flats.sharp[..., None] > 0)
    return there.transpose(0, 1).flatten(1)
