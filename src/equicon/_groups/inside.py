"""Magnify maps by the least factor that keeps their views inside the source, in closed form."""

import torch
from torch import Tensor

from equicon._checks import Size, value_error
from equicon._plane.frames import half_spans
from equicon._plane.matrix import affine_matrix, inverse_affine, matvec

_SLACK = 16  # margin, in rounding errors of the source's size; of those, views missed at most 4 without a margin


def check_holds(source: Size) -> None:
    """Check that views can lie inside a source, between its outermost pixel centres: it is at least 2 × 2 pixels."""
    if min(source) < 2:
        fix = "Take padding_mode='border' for what is one pixel wide."
        raise value_error("source", "at least 2 × 2 pixels, to hold a view", f"{source[0]} × {source[1]}", fix)


def magnified(matrix: Tensor, total: Tensor, source: Size, view: Size) -> Tensor:
    """Magnify unit-frame matrices (B, 3, 3) about the view's centre until ``total`` shows nothing outside a source.

    ``total`` (B, 3, 3) is matrix ∘ frame, ``p ↦ L p + t``. The view's centre sees the point ``c = −L⁻¹ t`` of the
    source. Its outermost pixel centres, ``(±a, ±b)``, see ``c ± e`` at most, where ``e = |L⁻¹| (a, b)``. The outermost
    pixel centres of the source are ±x. Magnified by s, the view lies inside if ``|c| + e / s ≤ x`` on both axes. In the
    middle of the source, where ``c = 0``, this takes ``s₀ = max(1, e / x)``. Elsewhere it takes ``e / (x − |c|)``, if
    that is more than s₀. If it is more than 2 s₀, c is moved to where ``|c| = x − e / (2 s₀)``.
    """
    inverse = inverse_affine(total)
    center = inverse[:, :2, 2]
    (a, b), (x, y) = half_spans(view), half_spans(source)
    reach = inverse[:, :2, 0].abs() * a + inverse[:, :2, 1].abs() * b
    span = torch.stack([torch.full_like(reach[:, 0], x), torch.full_like(reach[:, 0], y)], -1)
    in_the_middle = (reach / span).amax(-1, keepdim=True).clamp(min=1)
    least = reach / (2 * in_the_middle)
    limit = span - least
    pull = center - torch.minimum(torch.maximum(center, -limit), limit)
    # Not x minus the new |c|: if a view shows little of the source, rounding would leave nothing of that difference.
    room = torch.maximum(span - center.abs(), least)
    kind = torch.finfo(room.dtype)
    # A view that lies inside stays as it is, bit for bit. A view of one pixel may lie on the border, which gives 0 / 0.
    enough = torch.maximum(room - _SLACK * kind.eps * span, room / 2).clamp(min=kind.tiny)
    scale = torch.where(reach > room, reach / enough, 1.0).amax(-1)
    translation = matrix[:, :2, 2] + matvec(total[:, :2, :2], pull)
    return affine_matrix(matrix[:, :2, :2] * scale[:, None, None], translation * scale[:, None])
