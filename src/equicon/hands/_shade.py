"""Light on the hand, and the hand in its picture."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from equicon.hands._draws import Draws
from equicon.hands._palette import any_colors, skin_colors
from equicon.hands._render import Surface, gather

_SCATTER = (0.45, 0.30, 0.25)  # light that enters the skin comes out beyond the shadow's edge, red most of all
_PALM = (0.93, 0.74, 0.64)  # palms are pale on dark hands too
_NAIL = (0.96, 0.80, 0.76)


@dataclass(frozen=True)
class Look:
    """Materials and light for a batch of hands: colours (B, 3), the unit vector to the light (B, 3), strengths (B,)."""

    skin: Tensor
    cloth: Tensor
    light: Tensor
    ambient: Tensor
    gloss: Tensor


@dataclass(frozen=True)
class Exposure:
    """What the camera adds to a batch: gain (B, 3), noise (B,) and the noise's seed (B,) int64."""

    gain: Tensor
    noise: Tensor
    seed: Tensor


def draw_look(draws: Draws) -> Look:
    """Draw the hand's colours and the light on it, which comes from the camera's side."""
    turn, height = draws.uniform(0.0, 2 * torch.pi), draws.uniform(0.15, 0.85)
    flat = (1.0 - height * height).sqrt()
    return Look(
        skin=skin_colors(draws),
        cloth=any_colors(draws),
        light=torch.stack([flat * turn.cos(), flat * turn.sin(), -height], dim=-1),
        ambient=draws.uniform(0.25, 0.50),
        gloss=draws.uniform(0.0, 0.22),
    )


def draw_exposure(draws: Draws) -> Exposure:
    """Draw brightness, colour cast and noise."""
    return Exposure(
        gain=draws.uniform(0.80, 1.15, 1) * draws.uniform(0.95, 1.05, 3),
        noise=draws.uniform(0.0, 0.03),
        seed=(draws.uniform(0.0, 2.0**52)).long(),
    )


def light_hand(surface: Surface, look: Look, size: int) -> tuple[Tensor, Tensor]:
    """Light the hands: (B, 3, size, size) colours times cover, and (B, 1, size, size) cover."""
    owner = surface.owner
    nx, ny = surface.normal_x, surface.normal_y
    nz = (1.0 - nx * nx - ny * ny).clamp(min=0.0).sqrt()  # towards the camera
    lx, ly, lz = (value[:, None] for value in look.light[owner].unbind(-1))
    toward = nx * lx + ny * ly - nz * lz
    half = (toward + nz) / (2.0 - 2.0 * lz).sqrt()  # cosine to the half vector between the light and the viewer
    shine = half.clamp(min=0.0)
    for _ in range(4):  # to the 16th power
        shine = shine * shine
    shine = shine * look.gloss[owner][:, None] * (1.0 - surface.cloth) * (1.0 + surface.nail)
    ambient = look.ambient[owner][:, None]
    rim = 0.70 + 0.30 * nz
    pale = (0.5 + 0.5 * surface.palmar) * 0.5
    nail = 0.8 * surface.nail

    seen = surface.seen
    layers = [seen, seen * surface.depth]
    for skin, cloth, scatter, palm, shell in zip(
        look.skin[owner].unbind(-1), look.cloth[owner].unbind(-1), _SCATTER, _PALM, _NAIL, strict=True
    ):
        tone = skin[:, None]
        color = tone + (palm * (0.35 + 0.65 * tone) - tone) * pale
        color = color + (shell * (0.45 + 0.55 * tone) - color) * nail
        color = color + (cloth[:, None] - color) * surface.cloth
        diffuse = ((toward + scatter) / (1.0 + scatter)).clamp(min=0.0)
        layers.append((color * rim * (ambient + (1.25 - ambient) * diffuse) + shine) * seen)
    layer = gather(torch.stack(layers), surface, len(look.skin), size)
    cover, depth, color = layer[:, :1], layer[:, 1:2], layer[:, 2:]
    return color * _occlusion(depth, cover), cover


def expose(image: Tensor, exposure: Exposure) -> Tensor:
    """Turn light to uint8, with the camera's gain and noise."""
    size = image.shape[1:]
    noise = _noise(exposure.seed, size.numel()).view_as(image) * exposure.noise[:, None, None, None]
    image = image * exposure.gain[..., None, None] + noise
    return (image * 255.0 + 0.5).clamp(0.0, 255.0).to(torch.uint8)


def _occlusion(depth: Tensor, cover: Tensor) -> Tensor:
    """Darken what lies deeper than the hand around it: a factor in [0.45, 1].

    After Luft et al., "Image enhancement by unsharp masking the depth buffer" (2006).
    """
    size = depth.shape[-1]
    reach = size // 24
    around = _blur(depth, reach) / _blur(cover, reach).clamp(min=1e-6)
    behind = depth / cover.clamp(min=1e-6) - around
    return 1.0 - (behind / (0.08 * size) - 0.1).clamp(0.0, 0.55)


def _blur(image: Tensor, reach: int) -> Tensor:
    width = 2 * reach + 1
    rows = avg_pool2d(image, (width, 1), stride=1, padding=(reach, 0))
    return avg_pool2d(rows, (1, width), stride=1, padding=(0, reach))


def _noise(seed: Tensor, count: int) -> Tensor:
    """Hash (seed, position) to uniform noise of variance 1: (B, count), the same on every device.

    The finalizer of SplitMix64 (Steele et al., "Fast splittable pseudorandom number generators", 2014).
    """
    x = seed[:, None] + torch.arange(-(-count // 4), device=seed.device) * -7046029254386353131
    x = (x ^ (x >> 30 & 0x3FFFFFFFF)) * -4658895280553007687
    x = (x ^ (x >> 27 & 0x1FFFFFFFFF)) * -7723592293110705685
    x = x ^ (x >> 31 & 0x1FFFFFFFF)
    return x.view(torch.int16)[:, :count] * (12**0.5 / 2**16)
