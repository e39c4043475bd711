"""What was done to a view, in a few words."""

import torch

from equicon._groups.affine import Affine

ARROWS = ("⇄", "⇅")
"""The signs of a view that is mirrored left to right, and top to bottom."""

_LETTERS = 34
"""How many letters fit under a panel."""


def mirrored(g: Affine) -> str:
    """Give the sign of a mirrored view, or "" for one that is not; ``g`` has one element."""
    if not bool(g.reflects):
        return ""
    return ARROWS[1] if abs(float(g.degrees)) > 90 else ARROWS[0]


def words_of(g: Affine, outside: float = 0.0) -> list[str]:
    """Describe an action in parts: its angle, scale, stretch and shift, and how much of it lies outside the source.

    Args:
        g: One element.
        outside: The share of the view that shows what lies outside the source.
    """
    degrees = float(g.degrees)
    if mirrored(g) == ARROWS[1]:  # top to bottom is left to right and half a turn
        degrees -= 180 if degrees > 0 else -180
    parts = []
    if round(abs(degrees)) > 0:
        side = "" if round(abs(degrees)) == 180 else " left" if degrees > 0 else " right"
        parts.append(f"turned {abs(degrees):.0f}°{side}")
    long, short = (float(value) for value in torch.linalg.svdvals(g.linear[0].double()))
    if f"{(scale := (long * short) ** 0.5):.2f}" != "1.00":
        parts.append(f"scaled × {scale:.2f}")
    if long / short > 1.015:
        parts.append(f"stretched × {long / short:.2f}")
    # A unit is half of the shorter side.
    shifts = [
        f"{abs(percent):.0f} % {names[percent > 0]}"
        for percent, names in zip((50 * g.translation[0]).tolist(), (("left", "right"), ("up", "down")), strict=True)
        if round(abs(percent)) > 0
    ]
    if shifts:
        parts += ["moved " + shifts[0], *shifts[1:]]
    if not parts and not mirrored(g):
        parts.append("not moved")
    return [*parts, f"{100 * outside:.0f} % outside"] if round(100 * outside) > 0 else parts


def lines_of(parts: list[str]) -> str:
    """Join parts by commas into lines that fit under a panel."""
    lines = [""]
    for i, part in enumerate(parts):
        text = part + ("," if i + 1 < len(parts) else "")
        if lines[-1] and len(lines[-1]) + 1 + len(text) > _LETTERS:
            lines.append("")
        lines[-1] = f"{lines[-1]} {text}".strip()
    return "\n".join(lines)
