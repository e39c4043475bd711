"""Light on the surfaces that the rays see."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from equicon.hands._rendered.cones import CLOTH, OTHER_SKIN, PAINTS, SKIN, THING
from equicon.hands._rendered.domain import Domain
from equicon.hands._rendered.draws import Draws
from equicon.hands._rendered.palette import any_colors, skin_colors
from equicon.hands._rendered.render import Surface, gather

_SCATTER = (0.45, 0.30, 0.25)  # light that enters the skin comes out beyond a shadow's edge, most of all red
_PALM = (0.93, 0.74, 0.64)  # palms are pale on dark hands too
_NAIL = (0.96, 0.80, 0.76)
_BRIGHT = 1.15  # brightness of a white surface that faces the light


@dataclass(frozen=True)
class Look:
    """Materials and light for a batch of hands.

    Args:
        paints: (B, PAINTS, 3) colours.
        gloss: (B, PAINTS) strength of highlights.
        light: (B, 3) unit vector to the light.
        ambient: (B,) share of the light that comes from everywhere.
        shadow: (B,) strength of the shadow that falls on the background; reach: (B,) how far away it falls.
    """

    paints: Tensor
    gloss: Tensor
    light: Tensor
    ambient: Tensor
    shadow: Tensor
    reach: Tensor


@dataclass(frozen=True)
class Lit:
    """What the pixels show. Each field is (B, C, size, size), multiplied by the cover.

    Args:
        color: Colour under all light, with 3 channels.
        cover: Which share of the pixel is covered, from 0 to 1.
        depth: Depth in pixels.
        direct: The share of the light that comes from the lamp. A shadow takes it away.
    """

    color: Tensor
    cover: Tensor
    depth: Tensor
    direct: Tensor


def draw_look(draws: Draws, domain: Domain) -> Look:
    """Draw the colours of what is in the picture and the light on it, which comes from the camera's side."""
    turn, height = draws.uniform(0.0, 2 * math.pi), draws.uniform(*domain.light)
    flat = (1.0 - height * height).sqrt()
    skin = skin_colors(draws, people=domain.skins)
    same = draws.chance(0.5, 1)  # the other arm may be the same person's
    other = same * skin + (1.0 - same) * skin_colors(draws)
    gloss = draws.uniform(*domain.gloss)
    return Look(
        paints=torch.stack([skin, any_colors(draws), other, any_colors(draws)], dim=1),
        gloss=torch.stack([gloss, 0.0 * gloss, gloss, draws.uniform(0.0, 0.5)], dim=1),
        light=torch.stack([flat * turn.cos(), flat * turn.sin(), -height], dim=-1),
        ambient=draws.uniform(*domain.ambient),
        shadow=draws.uniform(*domain.shadow),
        reach=draws.uniform(0.04, 0.25),
    )


def light_hand(surface: Surface, look: Look, size: int) -> Lit:
    """Light what the rays see and average it over the pixels."""
    owner, paint = surface.owner, surface.paint
    nx, ny = surface.normal_x, surface.normal_y
    nz = (1.0 - nx * nx - ny * ny).clamp(min=0.0).sqrt()  # towards the camera
    lx, ly, lz = (value[:, None] for value in look.light[owner].unbind(-1))
    toward = nx * lx + ny * ly - nz * lz
    half = (toward + nz) / (2.0 - 2.0 * lz).sqrt()  # cosine to the half vector between the light and the viewer
    shine = half.clamp(min=0.0)
    for _ in range(4):  # to the 16th power
        shine = shine * shine
    masks = [paint == number for number in range(PAINTS)]
    gloss = look.gloss[owner]
    strength = gloss[:, SKIN, None] * (1.0 - paint.clamp(max=0.0))  # nails shine
    for number in (CLOTH, THING):
        strength = torch.where(masks[number], gloss[:, number, None], strength)
    shine = shine * strength
    ambient = look.ambient[owner][:, None]
    rim = 0.70 + 0.30 * nz
    pale = torch.where(masks[CLOTH] | masks[THING], 0.0, (0.5 + 0.5 * surface.palmar) * 0.5)
    nail = -0.8 * paint.clamp(max=0.0)

    seen = surface.seen
    lamp = _BRIGHT - ambient
    green = ((toward + _SCATTER[1]) / (1.0 + _SCATTER[1])).clamp(min=0.0)
    layers = [seen, seen * surface.depth, seen * (lamp * green) / (ambient + lamp * green)]
    for channel, (scatter, palm, shell) in enumerate(zip(_SCATTER, _PALM, _NAIL, strict=True)):
        paints = look.paints[:, :, channel][owner]
        tone = paints[:, SKIN, None]
        for number in (CLOTH, OTHER_SKIN, THING):
            tone = torch.where(masks[number], paints[:, number, None], tone)
        color = tone + (palm * (0.35 + 0.65 * tone) - tone) * pale
        color = color + (shell * (0.45 + 0.55 * tone) - color) * nail
        diffuse = ((toward + scatter) / (1.0 + scatter)).clamp(min=0.0)
        layers.append((color * rim * (ambient + lamp * diffuse) + shine) * seen)
    layer = gather(torch.stack(layers), surface, len(look.light), size)
    return Lit(color=layer[:, 3:], cover=layer[:, :1], depth=layer[:, 1:2], direct=layer[:, 2:3])
