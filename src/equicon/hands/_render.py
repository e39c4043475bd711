"""The renderer: round cones to a z-buffer, and the z-buffer to light.

Only tiles of the image that a cone may touch are looked at. The cones of a tile are merged one after another, so no two
of them are ever written to one place at a time, and every pixel is made of elementwise operations alone: the picture
does not depend on the batch or on the order in which a device works.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from equicon.hands._flesh import Cones

_TILE = 4  # pixels along each side
_RAYS = 2  # to a pixel, along each side
_FAR = 1e6  # deeper than anything; not infinite, because infinity - infinity is not a number


@dataclass(frozen=True)
class Surface:
    """What the rays of U tiles see of their hands: fields of shape (U, rays of a tile).

    Args:
        owner: (U,) which image of the batch a tile belongs to.
        place: (U,) its position among all tiles of the batch.
        depth: In pixels, ``_FAR`` beside the hand.
        normal_x, normal_y: Of the unit normal, which always faces the camera.
        palmar: From -1, the back of the hand, to 1, the palm's side.
        nail, cloth: How much the ray sees of either, from 0 to 1.
    """

    owner: Tensor
    place: Tensor
    depth: Tensor
    normal_x: Tensor
    normal_y: Tensor
    palmar: Tensor
    nail: Tensor
    cloth: Tensor

    @property
    def seen(self) -> Tensor:
        """1 where a ray meets the hand, else 0."""
        return (self.depth < 0.5 * _FAR).float()


def trace(cones: Cones, size: int) -> Surface:
    """Look along every ray of images of size × size pixels."""
    across = -(-size // _TILE)
    tile, cone = _touched(cones, across).flatten(0, 1).nonzero().unbind(1)
    place, row, count = tile.unique_consecutive(return_inverse=True, return_counts=True)
    owner = place // across**2
    turn = torch.arange(len(tile), device=tile.device) - (count.cumsum(0) - count)[row]

    ray = (torch.arange(_TILE * _RAYS, device=tile.device) + 0.5) / _RAYS - 0.5
    x = (place % across * _TILE)[:, None] + ray.repeat(_TILE * _RAYS)
    y = (place // across % across * _TILE)[:, None] + ray.repeat_interleave(_TILE * _RAYS)
    fields = torch.zeros(6, *x.shape, device=tile.device)
    fields[0] = _FAR
    order = turn.argsort(stable=True)
    for part in order.split(turn.bincount().tolist()):
        at, which = row[part], cone[part]
        met, blend = _intersect(cones, owner[at], which, x[at], y[at])
        fields.index_copy_(1, at, _merge(fields.index_select(1, at), met, blend))
    return Surface(owner, place, *fields)


def gather(values: Tensor, surface: Surface, batch: int, size: int) -> Tensor:
    """Average the rays of each pixel and lay the tiles out: (C, U, rays of a tile) to (B, C, size, size)."""
    across = -(-size // _TILE)
    rays = values.view(*values.shape[:2], _TILE, _RAYS, _TILE, _RAYS)
    pixels = torch.zeros_like(rays[:, :, :, 0, :, 0])
    for i in range(_RAYS):
        for j in range(_RAYS):
            pixels += rays[:, :, :, i, :, j] / _RAYS**2
    canvas = torch.zeros(batch * across**2, len(values), _TILE, _TILE, device=values.device)
    canvas[surface.place] = pixels.transpose(0, 1)
    canvas = canvas.view(batch, across, across, len(values), _TILE, _TILE).permute(0, 3, 1, 4, 2, 5)
    return canvas.reshape(batch, len(values), across * _TILE, across * _TILE)[..., :size, :size]


def _touched(cones: Cones, across: int) -> Tensor:
    """Which tiles a cone may touch: (B, across², P), True too often rather than too seldom."""
    middle = ((torch.arange(across, device=cones.start.device) + 0.5) * _TILE) - 0.5
    y, x = (grid.reshape(-1, 1) for grid in torch.meshgrid(middle, middle, indexing="ij"))
    ax, ay, _ = (value[:, None] for value in cones.start.unbind(-1))
    bx, by, _ = (value[:, None] for value in (cones.end - cones.start).unbind(-1))
    px, py = x - ax, y - ay
    t = ((px * bx + py * by) / (bx * bx + by * by).clamp(min=1e-6)).clamp(0.0, 1.0)
    dx, dy = px - t * bx, py - t * by
    radius = torch.maximum(cones.start_radius, cones.end_radius)[:, None]
    reach = radius + 0.7072 * _TILE
    return (dx * dx + dy * dy < reach * reach) & (radius > 0)


def _intersect(cones: Cones, owner: Tensor, which: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Meet the rays of each tile with one round cone: (6, N, rays) fields, and (N, 1) blends.

    A round cone is the union of the spheres whose centre and radius run linearly from start to end. The depth of the
    sphere at t is ``t·bz - √q(t)``, with ``q(t) = C + 2·B·t - A·t²`` the squared half chord of the ray in it; it is
    convex in t, so the nearest sphere is found by a root, clamped to [0, 1].
    """
    start, end = cones.start[owner, which], cones.end[owner, which]
    ax, ay, az = (value[:, None] for value in start.unbind(-1))
    bx, by, bz = (value[:, None] for value in (end - start).unbind(-1))
    radius = cones.start_radius[owner, which][:, None]
    grow = cones.end_radius[owner, which][:, None] - radius
    A = bx * bx + by * by - grow * grow
    A = torch.where(A.abs() < 1e-3, 1e-3, A)
    # Where the discs of the two spheres are nested, the larger sphere hides all else, or holds it: unless the cone is
    # seen from its smaller end.
    hidden = (A < 0) & ((bz * grow <= 0) | (A + bz * bz < 1e-3))

    px, py = x - ax, y - ay
    B = px * bx + py * by + radius * grow
    C = radius * radius - px * px - py * py
    root = bz * ((B * B + A * C).clamp(min=0.0) / (A + bz * bz).clamp(min=1e-3)).sqrt()
    t = torch.where(hidden, (grow > 0).float(), ((B - root) / A).clamp(0.0, 1.0))
    q = C + t * (2.0 * B - A * t)
    half = q.clamp(min=0.0).sqrt()
    depth = torch.where(q > 0, az + t * bz - half, _FAR)
    size = radius + t * grow
    nx, ny, nz = (px - t * bx) / size, (py - t * by) / size, half / -size

    pad_x, pad_y, pad_z = (value[:, None] for value in cones.pad[owner, which].unbind(-1))
    palmar = nx * pad_x + ny * pad_y + nz * pad_z
    on_nail = ((-palmar - 0.70) * 6.0).clamp(0.0, 1.0) * ((t - 0.35) * 6.0).clamp(0.0, 1.0)
    nail = on_nail * cones.nail[which][:, None]
    cloth = cones.cloth[which][:, None].expand_as(nail)
    return torch.stack([depth, nx, ny, palmar, nail, cloth]), cones.blend[owner, which][:, None]


def _merge(old: Tensor, new: Tensor, blend: Tensor) -> Tensor:
    """Keep the nearer of two surfaces, and let them melt into each other where they nearly meet.

    The polynomial smooth minimum of Inigo Quilez, https://iquilezles.org/articles/smin/.
    """
    ahead = new[0] - old[0]
    near = (1.0 - ahead.abs() / blend.clamp(min=1e-6)).clamp(min=0.0)
    mix = 0.5 * near * near
    share = torch.where(ahead < 0, 1.0 - mix, mix)
    merged = old + (new - old) * share
    merged[0] = torch.minimum(old[0], new[0]) - 0.5 * mix * blend
    return merged
