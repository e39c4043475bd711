"""The renderer: round cones to a z-buffer, and the z-buffer to pixels.

Each cone is computed only in those tiles of the image that it may touch. Cones come one after another, so two of them
never write to one place at a time. Every pixel is made of elementwise operations alone. So the picture does not depend
on the batch, or on the order in which a device works.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from equicon.hands._rendered.cones import Cones

_TILE = 4  # pixels along each side
_RAYS = 2  # for each pixel, along each side
_FAR = 1e6  # deeper than anything; not infinite, because infinity - infinity is not a number


@dataclass(frozen=True)
class Surface:
    """What the rays of U tiles see: fields of shape (U, rays of a tile).

    Args:
        owner: (U,) which image of the batch a tile belongs to.
        place: (U,) its position among all tiles of the batch.
        depth: Depth in pixels, ``_FAR`` where a ray meets nothing.
        normal_x, normal_y: Components of the unit normal, which always faces the camera.
        palmar: From -1, the back of the hand, to 1, the palm's side.
        paint: The number of the visible paint. 0 is the hand's skin; from 0 down to -1, it says how much of it is nail.
    """

    owner: Tensor
    place: Tensor
    depth: Tensor
    normal_x: Tensor
    normal_y: Tensor
    palmar: Tensor
    paint: Tensor

    @property
    def seen(self) -> Tensor:
        """1 where a ray meets something, else 0."""
        return (self.depth < 0.5 * _FAR).float()


def trace(cones: Cones, size: int) -> Surface:
    """Trace every ray of images of size × size pixels."""
    across = -(-size // _TILE)
    touched = _touched(cones, across)
    any_cone = touched.any(0)
    place = any_cone.nonzero()[:, 0]
    row = any_cone.cumsum(0) - 1
    owner = place // across**2
    corner = torch.stack([place % across, place // across % across]).to(cones.start.dtype) * _TILE

    fields = torch.zeros(5, len(place), (_TILE * _RAYS) ** 2, device=place.device, dtype=torch.float32)
    fields[0] = _FAR
    tiles = row[touched.nonzero()[:, 1]].split(touched.sum(1).tolist())
    for cone, at in enumerate(tiles):
        if len(at):
            new = _intersect(cones, cone, owner[at], corner[:, at])
            blend = cones.blend[owner[at], cone, None] if cones.melts[cone] else None
            fields.index_copy_(1, at, _merge(fields.index_select(1, at), new, blend))
    return Surface(owner, place, *fields)


def gather(values: Tensor, surface: Surface, batch: int, size: int) -> Tensor:
    """Average the rays of each pixel and lay the tiles out: (C, U, rays of a tile) to (B, C, size, size)."""
    across = -(-size // _TILE)
    rays = values.view(*values.shape[:2], _TILE, _RAYS, _TILE, _RAYS)
    pixels = torch.zeros_like(rays[:, :, :, 0, :, 0])
    for i in range(_RAYS):
        for j in range(_RAYS):
            pixels += rays[:, :, :, i, :, j]
    canvas = torch.zeros(batch * across**2, len(values), _TILE, _TILE, device=values.device, dtype=values.dtype)
    canvas[surface.place] = pixels.transpose(0, 1) / _RAYS**2
    canvas = canvas.view(batch, across, across, len(values), _TILE, _TILE).permute(0, 3, 1, 4, 2, 5)
    return canvas.reshape(batch, len(values), across * _TILE, across * _TILE)[..., :size, :size]


def _touched(cones: Cones, across: int) -> Tensor:
    """Tell which tiles a cone may touch: (P, B · across²). In doubt it is True."""
    middle = ((torch.arange(across, device=cones.start.device, dtype=cones.start.dtype) + 0.5) * _TILE) - 0.5
    y, x = (grid.flatten() for grid in torch.meshgrid(middle, middle, indexing="ij"))
    ax, ay, _ = (value.t()[..., None] for value in cones.start.unbind(-1))
    bx, by, _ = (value.t()[..., None] for value in (cones.end - cones.start).unbind(-1))
    px, py = x - ax, y - ay
    t = ((px * bx + py * by) / (bx * bx + by * by).clamp(min=1e-6)).clamp(0.0, 1.0)
    dx, dy = px - t * bx, py - t * by
    radius = torch.maximum(cones.start_radius, cones.end_radius).t()[..., None]
    reach = radius + 0.7072 * _TILE
    return ((dx * dx + dy * dy < reach * reach) & (radius > 0)).flatten(1)


def _intersect(cones: Cones, cone: int, owner: Tensor, corner: Tensor) -> list[Tensor]:
    """Intersect the rays of N tiles with one round cone: five fields of (N, rays of a tile).

    A round cone is the union of the spheres whose centre and radius run linearly from start to end. The depth of the
    sphere at t is ``t·bz - √q(t)``. Here ``q(t) = C + 2·B·t - A·t²`` is the squared half chord of the ray in the
    sphere. The depth is convex in t, so the t of the nearest sphere is a root, clamped to [0, 1].
    """
    start, end = cones.start[owner, cone], cones.end[owner, cone]
    ax, ay, az = (value[:, None] for value in start.unbind(-1))
    bx, by, bz = (value[:, None] for value in (end - start).unbind(-1))
    radius = cones.start_radius[owner, cone, None]
    grow = cones.end_radius[owner, cone, None] - radius
    A = bx * bx + by * by - grow * grow
    A = torch.where(A.abs() < 1e-3, 1e-3, A)
    # If the discs of the two spheres are nested, the larger sphere hides or contains everything else, and t is its own.
    # This is not so if the cone is seen from its smaller end.
    root = A + bz * bz
    hidden = (A < 0) & ((bz * grow <= 0) | (root < 1e-3))
    slant = torch.where(hidden, 0.0, bz * A.sign() / root.clamp(min=1e-3).sqrt())
    slope_x, slope_y = torch.where(hidden, 0.0, bx / A), torch.where(hidden, 0.0, by / A)
    first = torch.where(hidden, (grow > 0).float(), radius * grow / A)

    ray = (torch.arange(_TILE * _RAYS, device=owner.device, dtype=ax.dtype) + 0.5) / _RAYS - 0.5
    px = (corner[0][:, None] - ax) + ray.repeat(_TILE * _RAYS)
    py = (corner[1][:, None] - ay) + ray.repeat_interleave(_TILE * _RAYS)
    t = px * slope_x + py * slope_y + first  # B / A
    C = radius * radius - px * px - py * py
    t = (t - (t * t + C / A).clamp(min=0.0).sqrt() * slant).clamp(0.0, 1.0)
    px, py, size = px - t * bx, py - t * by, radius + t * grow
    q = size * size - px * px - py * py
    half = q.clamp(min=0.0).sqrt()
    depth = torch.where(q > 0, az + t * bz - half, _FAR)
    nx, ny, nz = px / size, py / size, half / size

    pad_x, pad_y, pad_z = (value[:, None] for value in cones.pad[owner, cone].unbind(-1))
    palmar = nx * pad_x + ny * pad_y - nz * pad_z
    paint = torch.full_like(palmar, float(cones.paint[cone]))
    if cones.nail[cone]:
        paint = paint - ((-palmar - 0.70) * 6.0).clamp(0.0, 1.0) * ((t - 0.35) * 6.0).clamp(0.0, 1.0)
    return [depth, nx, ny, palmar, paint]


def _merge(old: Tensor, new: list[Tensor], blend: Tensor | None) -> Tensor:
    """Keep the nearer of two surfaces, and let them melt into each other where they nearly meet.

    The polynomial smooth minimum of Inigo Quilez, https://iquilezles.org/articles/smin/.
    """
    ahead = new[0] - old[0]
    closer = ahead < 0
    if blend is None:
        return torch.stack([torch.where(closer, value, was) for value, was in zip(new, old, strict=True)])
    near = (1.0 - ahead.abs() / blend.clamp(min=1e-6)).clamp(min=0.0)
    mix = 0.5 * near * near
    share = torch.where(closer, 1.0 - mix, mix)
    depth = torch.minimum(old[0], new[0]) - 0.5 * mix * blend
    melted = [was + (value - was) * share for value, was in zip(new[1:4], old[1:4], strict=True)]
    return torch.stack([depth, *melted, torch.where(closer, new[4], old[4])])
