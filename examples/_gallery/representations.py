"""Pictures of embeddings as points of the plane, before and after ``canonicalize``."""

from typing import Any

import torch
from matplotlib.colors import to_rgb
from torch import Tensor
from torch.nn.functional import cosine_similarity

import equicon as eq
from _gallery.fields import glowing, heatmaps_of
from _gallery.hands import Shown, render, seeded
from _gallery.style import FAINT, VIEWS, Sheet, skeleton

Way = eq.Representation[Any]
SUM = eq.DirectSum([(eq.Points(), 26), (eq.Invariant(), 16)])  # wrist, thumb, index and middle finger; and the rest
WAYS: dict[str, Way] = {
    "Points": eq.Points(),
    "PeCLRPoints": eq.PeCLRPoints(),
    "Invariant": eq.Invariant(),
    "DirectSum": SUM,
}
KINDS = {
    "rotation": eq.RandomRotation((40, 40)),
    "translation": eq.RandomTranslate(0.2),
    "scale": eq.RandomScale((0.6, 0.6)),
    "shear": eq.RandomShear((-30, -30)),
    "flip": eq.RandomHorizontalFlip(1.0),
}


def embed(hand: Shown, g: eq.Affine) -> Tensor:
    """Embed views (B, 42) as an encoder would that knows the joints: they are its points, in units of the view."""
    unit = eq.Affine.identity(len(g)).points(_in_units(hand.times(len(g))))
    return g.points(unit).flatten(1)


def _in_units(hand: Shown) -> Tensor:
    (height, width), xy = hand.size, hand.xy
    return (2 * xy + 1 - torch.tensor([width, height])) / min(height, width)


def draw_way(name: str, width: int) -> Sheet:
    """Draw two views of one picture, their embeddings as points, and the same after ``canonicalize``."""
    sheet, way = Sheet.of(4, 1, width=width), WAYS[name]
    hand = render(54, side=2 * sheet.size[0]).times(2)
    action = eq.RandomAffine(45, 0.15, (0.6, 1.0)).sample(2, generator=seeded(11))
    views, g = action(hand.image, size=sheet.size), action.affine
    for i in range(2):
        axes = sheet.show(0, i, views[i], f"view {i + 1}", "", VIEWS[i])
        skeleton(axes, g.points(hand.xy, hand.size, sheet.size)[i])
    before = embed(hand, g)
    stages = {"embeddings": before, "after canonicalize": way.canonicalize(g, before)}
    for column, (title, z) in enumerate(stages.items()):
        alike = cosine_similarity(z[:1], z[1:]).item()
        axes = sheet.plane(0, 2 + column, 1.15 * float(z.abs().max()), title, f"cosine {alike:.2f}")
        for points, shade, line in zip(z.unflatten(1, (21, 2)), VIEWS, (2.6, 1.0), strict=False):
            skeleton(axes, points, shade, width=line)
    return sheet


def draw_heatmaps(width: int) -> Sheet:
    """Draw the heatmaps of two views of one picture, both on one plane, and the same after ``canonicalize``."""
    sheet, way = Sheet.of(4, 1, width=width), eq.Heatmaps()
    hand = render(54, side=2 * sheet.size[0]).times(2)
    action = eq.RandomAffine(45, 0.15, (0.6, 1.0)).sample(2, generator=seeded(11))
    views, g = action(hand.image, size=sheet.size), action.affine
    source = eq.Affine.identity(2).points(hand.xy, hand.size, sheet.size)
    before = way.act(g, heatmaps_of(source, sheet.size, 0.03 * sheet.size[0]))
    for i in range(2):
        sheet.show(0, i, glowing(before[i], 0.5 * views[i]), f"view {i + 1}", "its heatmaps", VIEWS[i])
    stages = {"heatmaps": before, "after canonicalize": way.canonicalize(g, before)}
    for column, (title, z) in enumerate(stages.items()):
        alike = cosine_similarity(*z.flatten(1).split(1)).item()
        ink = torch.tensor(to_rgb(VIEWS[0]))[:, None, None]
        axes = sheet.show(0, 2 + column, 1 - z[0].amax(0) * (1 - ink), title, f"cosine {alike:.2f}")
        for heatmap in z[1]:
            if heatmap.amax() > 0.5:  # half of the peak
                axes.contour(heatmap.numpy(), [0.5], colors=VIEWS[1], linewidths=1.0)
    return sheet


def draw_ways_home(width: int) -> Sheet:
    """Draw what each representation leaves of each kind of transform.

    The points of the encoder move as those of the picture do; in the second row of ``PeCLRPoints`` as its ``act`` does.
    """
    peclr = eq.PeCLRPoints()
    ways: tuple[tuple[str, Way, bool], ...] = (
        ("Invariant()", eq.Invariant(), False),
        ("PeCLRPoints()", peclr, False),
        ("PeCLRPoints(), act", peclr, True),
        ("Points()", eq.Points(), False),
    )
    sheet = Sheet.of(len(KINDS), *(2 for _ in ways), width=width)
    hand = render(54, side=2 * sheet.size[0])
    same = eq.Affine.identity(1)
    for row, (name, way, acts) in enumerate(ways):
        for column, (kind, transform) in enumerate(KINDS.items()):
            g = transform.sample(1, generator=seeded(1)).affine
            z = peclr.act(g, embed(hand, same)) if acts else embed(hand, g)
            source, z = way.canonicalize(same, embed(hand, same)), way.canonicalize(g, z)
            alike = cosine_similarity(source, z).item()
            reach = 1.4 * float(source.abs().max())
            axes = sheet.plane(row, column, reach, kind, f"{name}\ncosine {alike:.2f}".replace("-", "−"))
            skeleton(axes, source.view(21, 2), FAINT, width=2.6)
            skeleton(axes, z.view(21, 2), VIEWS[0], width=1.0)
    return sheet
