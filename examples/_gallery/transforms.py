"""A picture for every transform: the source, and three draws with what was drawn."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from kornia.augmentation import RandomSolarize
from torch import Tensor

import equicon as eq
from _gallery.hands import lattice_of, render, seeded, seen_by
from _gallery.style import INK, VIEWS, Sheet, joints, lattice, numbers, outline, signed, skeleton

Tell = Callable[[eq.Action, int], str]


def tell_filters(action: eq.Action, i: int) -> str:
    """Write what the filters of an action drew for image i."""
    said = []
    for drawn in action.filters:
        if drawn.applied is not None and not drawn.applied[i]:
            return "left as it is"
        for field in fields(drawn):
            value = getattr(drawn, field.name)
            if isinstance(value, Tensor) and value.is_floating_point() and value.ndim == 1:
                said.append(f"{field.name} {value[i]:.2f}")
    return ", ".join(said) or "applied"


def tell_rotation(action: eq.Action, i: int) -> str:
    return f"turned by {signed(float(action.affine.degrees[i]))}°"


def tell_shift(action: eq.Action, i: int) -> str:
    x, y = action.affine.translation[i].tolist()
    return f"shifted by ({signed(x, 2)}, {signed(y, 2)})"


def tell_scale(action: eq.Action, i: int) -> str:
    return f"scaled by {action.affine.linear[i, 0, 0]:.2f}"


def tell_shear(action: eq.Action, i: int) -> str:
    return f"sheared by {signed(math.degrees(math.atan(action.affine.linear[i, 0, 1])))}°"


def tell_flip(action: eq.Action, i: int) -> str:
    return "mirrored" if action.affine.linear[i].det() < 0 else "left as it is"


def tell_crop(action: eq.Action, i: int) -> str:
    x, y = action.affine.linear[i].diagonal().tolist()
    ratio = "mirrored" if x * y < 0 else f"{y / x:.2f} : 1"
    return f"{100 / abs(x * y):.0f} % of the area, {ratio}"


def tell_affine(action: eq.Action, i: int) -> str:
    """Take rotation ∘ scale ∘ shear apart."""
    linear = action.affine.linear[i]
    angle = math.degrees(math.atan2(-linear[1, 0], linear[0, 0]))
    shear = math.degrees(math.atan2(linear[:, 0] @ linear[:, 1], linear.det()))
    return f"{signed(angle)}°, × {linear[:, 0].norm():.2f}, sheared {signed(shear)}°"


def tell_similarity(action: eq.Action, i: int) -> str:
    return f"{tell_rotation(action, i)}, × {action.affine.linear[i, :, 0].norm():.2f}"


def tell_grey(action: eq.Action, i: int) -> str:
    return "grey" if action.color is not None and action.color.matrix[i, 0, 1] else "left as it is"


def tell_applied(action: eq.Action, i: int) -> str:
    return tell_rotation(action, i) if action.affine.degrees[i] else "left as it is"


def geometry(action: eq.Action, i: int) -> Tensor:
    return action.affine.matrix[i]


def color(action: eq.Action, i: int) -> Tensor:
    return torch.zeros(0, 3) if action.color is None else action.color.matrix[i, :3, :3]


@dataclass(frozen=True)
class Row:
    """What a picture of one transform shows: the source, and a draw in each other panel.

    Args:
        transform: What is drawn from.
        tell: What is said of each draw.
        seed: Of the generator.
        matrix: The matrix to print, if any.
        moves: Whether the grid and bones are drawn; else the joints alone.
        crops: Whether the source shows what each view sees, and no grid.
        code: How the transform is written, where its ``repr`` will not do.
        gain: What to multiply a view by that the transform was applied to, to show what is dark.
    """

    transform: eq.EquivariantTransform
    tell: Tell
    seed: int = 0
    matrix: Callable[[eq.Action, int], Tensor] | None = None
    moves: bool = True
    crops: bool = False
    code: str = ""
    gain: int = 1


CHAIN = eq.Compose(
    [
        eq.RandomRotation(45),
        eq.RandomScale((0.7, 1.2)),
        eq.ColorJitter(0.4, 0.4, 0.4, 0.1),
        eq.RandomGaussianBlur(15, (0.5, 3.0)),
    ]
)
ROWS = {
    "RandomRotation": Row(eq.RandomRotation(45), tell_rotation, 1, geometry),
    "RandomTranslate": Row(eq.RandomTranslate(0.2), tell_shift, 0, geometry),
    "RandomScale": Row(eq.RandomScale((0.6, 1.5)), tell_scale, 0, geometry),
    "RandomShear": Row(eq.RandomShear(30), tell_shear, 5, geometry),
    "RandomHorizontalFlip": Row(eq.RandomHorizontalFlip(0.5), tell_flip, 0, geometry),
    "RandomVerticalFlip": Row(eq.RandomVerticalFlip(0.5), tell_flip, 0, geometry),
    "RandomAffine": Row(eq.RandomAffine(45, 0.1, (0.7, 1.3), 20), tell_affine, 5, geometry),
    "RandomResizedCrop": Row(
        eq.RandomResizedCrop((0.2, 0.7)),
        tell_crop,
        5,
        geometry,
        crops=True,
        code="RandomResizedCrop(scale=(0.2, 0.7))",
    ),
    "Compose": Row(CHAIN, tell_similarity, 1, geometry, code="Compose([...])"),
    "RandomApply": Row(eq.RandomApply(eq.RandomRotation(45), p=0.5), tell_applied, 0, geometry),
    "RandomGrayscale": Row(eq.RandomGrayscale(0.5), tell_grey, 0, color, moves=False),
    "RandomGaussianBlur": Row(eq.RandomGaussianBlur(31, (1.0, 5.0), p=1.0), tell_filters, 0, moves=False),
    "RandomGaussianNoise": Row(eq.RandomGaussianNoise(0.1, p=0.5), tell_filters, 0, moves=False),
    "RandomSobel": Row(eq.RandomSobel(p=0.5), tell_filters, 0, moves=False, gain=5),
    "Appearance": Row(
        eq.Appearance(RandomSolarize(p=1.0)), lambda *_: "", 0, moves=False, code="Appearance(RandomSolarize(p=1.0))"
    ),
}


def code_of(transform: eq.EquivariantTransform, code: str = "") -> str:
    """Write how a transform is made, in lines that fit under a panel."""
    text = code or repr(transform)
    lines = [""]
    for part in re.split(r"(?=\b\w+=)", text):  # no line ends within an argument
        if lines[-1] and len(lines[-1] + part.rstrip()) > 27:
            lines.append("  ")
        lines[-1] += part
    return "`" + "\n".join(lines) + "`"


def draw_row(row: Row, width: int) -> Sheet:
    """Draw the source and three draws, with the joints moved along by the matrix."""
    action, code = row.transform.sample(3, generator=seeded(row.seed)), code_of(row.transform, row.code)
    captions = []
    for i in range(3):
        matrix = "" if row.matrix is None else numbers(row.matrix(action, i))
        captions.append(f"{row.tell(action, i)}\n{matrix}".strip("\n"))
    brighter = [row.gain != 1 and caption == "applied" for caption in captions]
    captions = [f"{c}, shown × {row.gain}" if b else c for c, b in zip(captions, brighter, strict=True)]
    sheet = Sheet.of(4, max(len(text.splitlines()) for text in (code, *captions)), width=width)
    hand = render(54 if row.moves else 29, side=2 * sheet.size[0])
    image, xy = hand.shrunk(sheet.size)
    views = action(hand.times(3).image, size=sheet.size)
    moved = action.affine.points(hand.times(3).xy, hand.size, sheet.size)
    lines = action.affine.points(lattice_of(hand.size).expand(3, -1, 2, 2), hand.size, sheet.size)
    axes = [sheet.show(0, 0, image, "source", code)]
    for i in range(3):
        shade = VIEWS[i] if row.crops else INK
        view = views[i] * row.gain if brighter[i] else views[i]
        axes.append(sheet.show(0, i + 1, view, f"view {i + 1}", captions[i], shade))
    for where, points, grid in zip(axes, (xy, *moved), (lattice_of(sheet.size), *lines), strict=True):
        if row.moves and not row.crops:
            lattice(where, grid)
        (skeleton if row.moves else joints)(where, points)
    if row.crops:
        for quad, shade in zip(seen_by(action.affine, sheet.size, sheet.size), VIEWS, strict=True):
            outline(axes[0], quad, shade)
    return sheet


def draw_path(width: int) -> Sheet:
    """Draw five frames of a clip, on the path from one draw to another."""
    augment = eq.RandomAffine(60, 0.2, (0.5, 1.4))
    start, end = (augment.sample(1, generator=seeded(seed)) for seed in (3, 8))
    moving = start.path(end, 5)
    sheet = Sheet.of(5, 1, width=width)
    hand = render(54, side=2 * sheet.size[0]).times(5)
    views, g = moving(hand.image, size=sheet.size), moving.affine
    lines = g.points(lattice_of(hand.size).expand(5, -1, 2, 2), hand.size, sheet.size)
    for i, xy in enumerate(g.points(hand.xy, hand.size, sheet.size)):
        axes = sheet.show(0, i, views[i], f"frame {i + 1}", tell_similarity(moving, i))
        lattice(axes, lines[i])
        skeleton(axes, xy, width=1.0)
    return sheet
