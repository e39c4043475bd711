"""Backgrounds: a gradient, a pattern, scattered flat things, and smooth noise."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from equicon.hands._rendered.domain import Domain
from equicon.hands._rendered.draws import Draws, mix, sequence, table
from equicon.hands._rendered.flats import Flats, lay
from equicon.hands._rendered.palette import any_colors, skin_colors

_THINGS = 5
_OCTAVES = ((4, 4, 0.30), (8, 1, 0.22), (16, 1, 0.15), (32, 1, 0.10))  # nodes, channels and amplitude: nearly 1 / f


@dataclass(frozen=True)
class Scene:
    """What lies behind a batch of hands; coordinates run from -1 to 1 over the hand's square.

    Args:
        colors: (B, 2, 3) ends of the gradient.
        direction: (B, 2) unit vectors along it.
        seed: (B,) int64, the seed of the smooth noise.
        clouds: (B,) the strength of the smooth noise.
        waves: (B, 2, 3) two plane waves: frequency along x and y, and phase.
        warp: (B,) how far smooth noise bends the waves.
        edge: (B,) steepness of their flanks.
        contrast: (B, 3) what the pattern adds to the colour where it is 1 and takes away where it is -1.
        flats: The scattered flat things.
    """

    colors: Tensor
    direction: Tensor
    seed: Tensor
    clouds: Tensor
    waves: Tensor
    warp: Tensor
    edge: Tensor
    contrast: Tensor
    flats: Flats


def draw_scene(draws: Draws, domain: Domain) -> Scene:
    """Draw what lies behind each hand."""
    turn, slope = draws.uniform(0.0, 2 * math.pi), draws.uniform(*domain.gradient, 1, 1)
    base = any_colors(draws)
    if domain.backdrops:
        base = draws.pick(table(domain.backdrops) / 255.0)
    angle, length = draws.uniform(0.0, 2 * math.pi, _THINGS), draws.uniform(0.15, 0.9, _THINGS)
    like_skin = draws.chance(domain.skin, _THINGS, 1)
    return Scene(
        colors=base[:, None] + slope * (draws.uniform(-0.3, 0.3, 2, 3) + table([[[-1.0], [1.0]]])),
        direction=torch.stack([turn.cos(), turn.sin()], dim=-1),
        seed=draws.seed(),
        clouds=domain.clouds[0] + (domain.clouds[1] - domain.clouds[0]) * draws.uniform(0.0, 1.0) ** 2,
        waves=_draw_waves(draws),
        warp=draws.uniform(0.0, 1.0) ** 3 * 1.5,
        edge=draws.uniform(0.0, 1.0) ** 2 * 10.0 + 1.0,
        contrast=draws.chance(domain.texture, 1) * (draws.uniform(-0.22, 0.22, 1) + draws.uniform(-0.06, 0.06, 3)),
        flats=Flats(
            centre=draws.uniform(-1.1, 1.1, _THINGS, 2),
            axis=torch.stack([angle.cos(), angle.sin()], dim=-1) / length[..., None],
            aspect=draws.uniform(1.0, 4.0, _THINGS),
            box=draws.chance(0.6, _THINGS),
            sharp=draws.chance(domain.thing, _THINGS) * draws.uniform(1.5, 40.0, _THINGS),
            paint=like_skin * skin_colors(draws, _THINGS) + (1.0 - like_skin) * any_colors(draws, _THINGS),
            shade=draws.uniform(-0.35, 0.35, _THINGS),
        ),
    )


def _draw_waves(draws: Draws) -> Tensor:
    """Draw a wave in any direction, and a second wave across it for checks. For stripes, the second has frequency 0."""
    turn, pitch = draws.uniform(0.0, math.pi), draws.uniform(0.0, 1.0) ** 2 * 7.0 + 0.8
    across = draws.chance(0.35) * draws.uniform(0.3, 1.0) * pitch
    phase = draws.uniform(0.0, 1.0, 2)
    first = torch.stack([pitch * turn.cos(), pitch * turn.sin(), phase[:, 0]], dim=-1)
    second = torch.stack([-across * turn.sin(), across * turn.cos(), phase[:, 1] * (across > 0)], dim=-1)
    return torch.stack([first, second], dim=1)


def paint_scene(scene: Scene, size: int, width: int) -> Tensor:
    """Paint the backgrounds: (B, 3, width, width), about [0, 1]; the hand's square of ``size`` lies in the middle."""
    where = (torch.arange(width, device=scene.colors.device, dtype=torch.float32) * 2 + (1 - width)) / size
    x, y = where[None, :], where[:, None]
    smooth, cloud = _clouds(scene.seed, size, width)

    along = (_each(scene.direction[:, 0]) * x + _each(scene.direction[:, 1]) * y + 1.5) / 3.0
    along = along.clamp(0.0, 1.0)  # outside the square it may leave [0, 1]
    start, end = (_each(color) for color in scene.colors.unbind(1))
    image = start + (end - start) * along[:, None]
    clouds = _each(scene.clouds)[:, None] * cloud
    image = image + _each(scene.contrast) * _pattern(scene, x, y, smooth)[:, None] + clouds
    return lay(image, scene.flats, where, 1.0 + 0.5 * clouds)


def _each(value: Tensor) -> Tensor:
    return value[..., None, None]


def _pattern(scene: Scene, x: Tensor, y: Tensor, smooth: Tensor) -> Tensor:
    """Make stripes and checks, which noise may bend to marble and wood: (B, size, size) in [-1, 1]."""
    product = torch.ones_like(smooth)
    for k in range(2):
        fx, fy, phase = (_each(value) for value in scene.waves[:, k].unbind(-1))
        cycle = fx * x + fy * y + (phase + smooth * _each(scene.warp * (scene.waves[:, k, 0] != 0)))
        wave = ((cycle - cycle.floor()) - 0.5).abs() * 4.0 - 1.0  # a triangle; a sine's last bit may differ
        product = product * (wave * _each(scene.edge)).clamp(-1.0, 1.0)
    return product


def _clouds(seed: Tensor, size: int, width: int) -> tuple[Tensor, Tensor]:
    """Make smooth noise: its coarsest octave (B, width, width), about [-1, 1], and all octaves (B, 3, width, width).

    The nodes of the noise keep their distance in pixels. A wider picture has more nodes around those of the square.
    """
    grids = _nodes(seed, 0)
    coarsest = _OCTAVES[0][0]
    ring = math.ceil(coarsest * (width / size - 1) / 2)
    if ring:
        wide = _nodes(mix(seed), ring)
        for grid, own in zip(wide, grids, strict=True):
            edge = (grid.shape[-1] - own.shape[-1]) // 2
            grid[..., edge:-edge, edge:-edge] = own
        grids = wide
    smooth = grids[0][:, :1]
    cloud = (0.8 * smooth + 0.35 * grids[0][:, 1:]) * _OCTAVES[0][2]  # changes brightness more than colour
    for grid, (_, _, amplitude) in zip(grids[1:], _OCTAVES[1:], strict=True):
        cloud = _enlarge(cloud, grid.shape[-1]) + amplitude * grid
    full = round(size * (coarsest + 2 * ring) / coarsest)
    first = (full - width) // 2
    inside = (..., slice(first, first + width), slice(first, first + width))
    return _enlarge(smooth, full)[:, 0][inside], _enlarge(cloud, full)[inside]


def _nodes(seed: Tensor, ring: int) -> list[Tensor]:
    """Draw the noise at its nodes: octaves (B, channels, n, n), with ``ring`` nodes of the coarsest on every side."""
    shares = [(channels, nodes + 2 * ring * nodes // _OCTAVES[0][0]) for nodes, channels, _ in _OCTAVES]
    counts = [channels * nodes * nodes for channels, nodes in shares]
    values = sequence(seed, -(-sum(counts) // 4)).view(torch.int16)[:, : sum(counts)].float() / 2.0**15
    parts = zip(values.split(counts, dim=1), shares, strict=True)
    return [value.reshape(-1, channels, nodes, nodes) for value, (channels, nodes) in parts]


def _enlarge(grid: Tensor, size: int) -> Tensor:
    return interpolate(grid, size=(size, size), mode="bicubic", align_corners=False)
