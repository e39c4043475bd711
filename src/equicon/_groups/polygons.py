"""Convex polygons: cut by upright rectangles, and their areas, for whole batches at once."""

import torch
from torch import Tensor

_MOST = 8  # corners of a convex polygon of four corners that is cut by a rectangle


def corners_of(boxes: Tensor) -> Tensor:
    """Return the corners (..., 4, 2) of boxes (..., 4), clockwise on the screen from the upper left."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack([x1, y1, x2, y1, x2, y2, x1, y2], -1).reshape(*boxes.shape[:-1], 4, 2)


def box_around(points: Tensor) -> Tensor:
    """Return the smallest upright boxes (..., 4) around points (..., N, 2)."""
    return torch.cat([points.amin(-2), points.amax(-2)], -1)


def rectangle(matrix: Tensor, left: float, top: float, right: float, bottom: float) -> Tensor:
    """Map the corners of a rectangle by matrices (B, 3, 3): (B, 4, 2), in the order of ``corners_of``."""
    # Numbers travel as arguments of kernels. A tensor of them would wait for the device.
    x, y, offset = matrix[:, :2].unbind(-1)
    places = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return torch.stack([x * across + y * down + offset for across, down in places], 1)


def area(polygons: Tensor) -> Tensor:
    """Compute the areas (...) of polygons (..., N, 2)."""
    # From the first corner: far from the origin, products of coordinates would round small areas away.
    x, y = (polygons - polygons[..., :1, :]).unbind(-1)
    return (x * y.roll(-1, -1) - x.roll(-1, -1) * y).sum(-1).abs() / 2


def as_cut(polygons: Tensor) -> Tensor:
    """Repeat the last corner of polygons (..., 4, 2), so that they have as many corners as ``cut`` returns."""
    return torch.cat([polygons, polygons[..., -1:, :].expand(*polygons.shape[:-2], _MOST - 4, 2)], -2)


def cut(
    polygons: Tensor, left: float | Tensor, top: float | Tensor, right: float | Tensor, bottom: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Cut convex polygons (..., 4, 2) by an upright rectangle, one side after the other.

    Args:
        polygons: (..., 4, 2). Corners may coincide.
        left: Least x: a number, or a tensor that broadcasts to the corners (..., 4).
        top: Least y, likewise.
        right: Largest x, likewise.
        bottom: Largest y, likewise.

    Returns:
        What remains of the polygons, (..., 8, 2), in the order that they had. Those of fewer corners repeat the last.
        And (...) of type bool: whether anything remains, be it a point. If nothing does, the corners mean nothing.

    Source: Sutherland and Hodgman 1974, "Reentrant polygon clipping".
    """
    some = torch.ones_like(polygons[..., 0, 0], dtype=torch.bool)
    for axis, sign, bound in ((0, 1, left), (0, -1, right), (1, 1, top), (1, -1, bottom)):
        polygons, any_left = _cut_once(polygons, axis, sign, bound)
        some = some & any_left
    return polygons, some


def _cut_once(polygons: Tensor, axis: int, sign: int, bound: float | Tensor) -> tuple[Tensor, Tensor]:
    """Keep the side of a line where ``sign · (coordinate − bound)`` is at least 0: (..., n + 1, 2) of (..., n, 2)."""
    corners = polygons.shape[-2]
    here = (polygons[..., axis] - bound) * sign
    there = here.roll(-1, -1)
    kept = here >= 0
    crosses = kept != (there >= 0)
    share = here / torch.where(crosses, here - there, 1.0)
    met = (polygons + share[..., None] * (polygons.roll(-1, -2) - polygons)).unbind(-1)
    on_line = torch.zeros_like(here) + bound  # exactly, whatever rounding says
    line = torch.stack([on_line, met[1]] if axis == 0 else [met[0], on_line], -1)
    # Each corner, and after it the place where its edge meets the line. Those that count come first, in their order.
    candidates = torch.stack([polygons, line], -2).flatten(-3, -2)
    counts = torch.stack([kept, crosses], -1).flatten(-2)
    place = torch.arange(2 * corners, device=polygons.device)
    order = torch.where(counts, place, place + 2 * corners).argsort(-1)
    total = counts.sum(-1, keepdim=True)
    slots = torch.minimum(place[: corners + 1], (total - 1).clamp(min=0))
    chosen = order.gather(-1, slots)[..., None].expand(*slots.shape, 2)
    return candidates.gather(-2, chosen), total[..., 0] > 0
