"""Backgrounds: a gradient, smooth noise and a few things that lie about."""

from dataclasses import dataclass

import torch
from torch import Tensor

from equicon.hands._draws import Draws
from equicon.hands._palette import any_colors, skin_colors

_THINGS = 4
_NOISE = ((3, 3, 0.16), (5, 1, 0.22), (9, 1, 0.15), (17, 1, 0.12))  # nodes, channels and amplitude


@dataclass(frozen=True)
class Scene:
    """What lies behind a batch of hands; coordinates run from -1 to 1 over the image.

    Args:
        colors: (B, 2, 3) ends of the gradient.
        direction: (B, 2) unit vectors along it.
        grids: each (B, 3, n, n) or (B, 1, n, n), smooth noise at its nodes.
        centre, axis: (B, T, 2) middle of each thing, and its axis divided by its half length.
        aspect: (B, T) length over width.
        box: (B, T) 1 for a rectangle, 0 for an ellipse.
        sharp: (B, T) steepness of its edge, 0 when it is absent.
        paint: (B, T, 3) its colour.
    """

    colors: Tensor
    direction: Tensor
    grids: tuple[Tensor, ...]
    centre: Tensor
    axis: Tensor
    aspect: Tensor
    box: Tensor
    sharp: Tensor
    paint: Tensor


def draw_scene(draws: Draws) -> Scene:
    """Draw what lies behind each hand."""
    turn = draws.uniform(0.0, 2 * torch.pi)
    rough = draws.uniform(0.0, 1.0, 1, 1, 1) ** 2
    angle = draws.uniform(0.0, 2 * torch.pi, _THINGS)
    length = draws.uniform(0.15, 0.9, _THINGS)
    like_skin = draws.chance(0.2, _THINGS, 1)
    return Scene(
        colors=any_colors(draws, 1) + draws.uniform(-0.15, 0.15, 2, 1) + draws.uniform(-0.07, 0.07, 2, 3),
        direction=torch.stack([turn.cos(), turn.sin()], dim=-1),
        grids=tuple(a * (0.1 + rough) * draws.uniform(-1.0, 1.0, c, n, n) for n, c, a in _NOISE),
        centre=draws.uniform(-1.0, 1.0, _THINGS, 2),
        axis=torch.stack([angle.cos(), angle.sin()], dim=-1) / length[..., None],
        aspect=draws.uniform(1.0, 3.5, _THINGS),
        box=draws.chance(0.5, _THINGS),
        sharp=draws.chance(0.5, _THINGS) * draws.uniform(1.5, 30.0, _THINGS),
        paint=like_skin * skin_colors(draws, _THINGS) + (1.0 - like_skin) * any_colors(draws, _THINGS),
    )


def paint_scene(scene: Scene, size: int) -> Tensor:
    """Paint the backgrounds: (B, 3, size, size), about [0, 1]."""
    where = (torch.arange(size, device=scene.colors.device, dtype=torch.float32) * 2 + (1 - size)) / size
    x, y = where[None, :], where[:, None]

    def each(value: Tensor) -> Tensor:
        return value[..., None, None]

    along = (each(scene.direction[:, 0]) * x + each(scene.direction[:, 1]) * y + 1.5) / 3.0
    image = each(scene.colors[:, 0]) * (1.0 - along)[:, None] + each(scene.colors[:, 1]) * along[:, None]
    for k in range(_THINGS):
        dx, dy = x - each(scene.centre[:, k, 0]), y - each(scene.centre[:, k, 1])
        cos, sin = each(scene.axis[:, k, 0]), each(scene.axis[:, k, 1])
        u, v = (dx * cos + dy * sin).abs(), (dy * cos - dx * sin).abs() * each(scene.aspect[:, k])
        box = each(scene.box[:, k])
        inside = 1.0 - (box * torch.maximum(u, v) + (1.0 - box) * (u * u + v * v))
        cover = (inside * each(scene.sharp[:, k])).clamp(0.0, 1.0)[:, None]
        image = image * (1.0 - cover) + each(scene.paint[:, k]) * cover
    for grid in scene.grids:
        image = image + _enlarge(grid, size)
    return image


def _enlarge(grid: Tensor, size: int) -> Tensor:
    """Interpolate nodes smoothly: (B, C, n, n) to (B, C, size, size).

    Written out, because a sample's pixels must not depend on the size of its batch.
    """
    position = (torch.arange(size, device=grid.device) + 0.5) / size * (grid.shape[-1] - 1)
    below = position.long()
    t = position - below
    t = t * t * (3.0 - 2.0 * t)
    rows = grid.index_select(-2, below) * (1.0 - t)[:, None] + grid.index_select(-2, below + 1) * t[:, None]
    return rows.index_select(-1, below) * (1.0 - t) + rows.index_select(-1, below + 1) * t
