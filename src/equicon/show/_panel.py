"""How a picture and its labels are drawn: what is on one panel, and where panels are on the figure.

The colours are after Okabe and Ito: people who are colour-blind can tell them apart. Lines have a dark edge and points
a light one, so they stand out from any picture. Nothing here reads or changes the state of pyplot.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from equicon._checks import Size
from equicon._plane.frames import edges, within

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#E69F00", "#56B4E9", "#00B884", "#F0E442", "#E078B8", "#D55E00", "#4C8DFF")
INK, FAINT, PAPER = "#222222", "#999999", "#FFFFFF"
FONT = "DejaVu Sans"  # matplotlib brings it along, and it has arrows

WIDTH = 2.4  # inches of a panel and the gap beside it: five are 1,200 pixels wide
_GAP, _TITLE, _LINE, _TALLEST = 0.12, 0.26, 0.145, 1.8
_LETTERS = 38  # of a note under a panel


@dataclass(frozen=True)
class Labels:
    """Labels in the pixels of a panel.

    Args:
        points: (K, 2), or None.
        seen: (K,) of type bool: which points are filled. The others are hollow.
        boxes: The corners (M, 4, 2) of boxes, or None.
        mask: (H, W) int64, or None.
    """

    points: Tensor | None
    seen: Tensor | None
    boxes: Tensor | None
    mask: Tensor | None


@dataclass(frozen=True)
class Style:
    """What points look like.

    Args:
        skeleton: Pairs of points that a line joins.
        names: The names of points, or (). With names, points of pictures are numbered, and a legend tells the names.
    """

    skeleton: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Panel:
    """One panel: a picture with its labels.

    Args:
        image: (3, h, w) in [0, 1].
        labels: Its labels.
        title: A few words above it.
        caption: Lines below it.
        marked: Whether its title and its frame stand out.
        outline: Corners (4, 2) of a part of it, or None.
        named: Whether points are numbered where they have names.
    """

    image: Tensor
    labels: Labels
    title: str
    caption: str
    marked: bool = False
    outline: Tensor | None = None
    named: bool = False

    @property
    def hollow(self) -> bool:
        """Whether any of its points is drawn hollow."""
        points, seen = self.labels.points, self.labels.seen
        return points is not None and seen is not None and bool((within(points, self.size) & ~seen).any())

    @property
    def size(self) -> Size:
        """Height and width."""
        return (self.image.shape[1], self.image.shape[2])


def draw_rows(rows: Sequence[Sequence[Panel]], style: Style, title: str | None, notes: Sequence[str]) -> "Figure":
    """Draw panels in rows on a figure, with a title above and notes below."""
    from equicon.show._sheet import Sheet

    tall = [max(min(p.image.shape[1] / p.image.shape[2], _TALLEST) for p in row) * (WIDTH - _GAP) for row in rows]
    if style.names:
        notes = [*notes, "Points: " + ", ".join(f"{k}\u00a0{name}" for k, name in enumerate(style.names)) + "."]
    lines = textwrap.wrap(" ".join(notes), _LETTERS * len(rows[0]))
    under = [_LINE * max(len(p.caption.splitlines()) for p in row) + _GAP for row in rows]
    head, foot = 0.34 * (title is not None) + 0.04, (_LINE * len(lines) + 0.08) * bool(lines)
    width, height = WIDTH * len(rows[0]), head + sum(tall) + sum(under) + _TITLE * len(rows) + foot
    figure = Sheet(figsize=(width, height), dpi=100, facecolor=PAPER)
    edge = _GAP / 2 / width
    if title is not None:
        figure.text(
            edge, 1 - 0.1 / height, title, size=12, va="top", weight="bold", color=INK, family=FONT, parse_math=False
        )
    top = head
    for row, high, below in zip(rows, tall, under, strict=True):
        top += _TITLE
        for column, panel in enumerate(row):
            left = WIDTH * column + _GAP / 2
            place = (left / width, 1 - (top + high) / height, (WIDTH - _GAP) / width, high / height)
            _draw(figure.add_axes(place, anchor="NW"), panel, style)
        top += high + below
    if lines:
        figure.text(
            edge, 0.08 / height, "\n".join(lines), size=8, color=INK, family=FONT, linespacing=1.15, parse_math=False
        )
    return figure


def _draw(axes: "Axes", panel: Panel, style: Style) -> None:
    size = panel.size
    axes.imshow(panel.image.permute(1, 2, 0).numpy())
    if panel.labels.mask is not None:
        axes.imshow(_painted(panel.labels.mask).numpy(), interpolation="nearest")
    if panel.outline is not None:
        _polygon(axes, panel.outline, PAPER, "--", 1.2)
    if panel.labels.boxes is not None:
        for k, corners in enumerate(panel.labels.boxes):
            _polygon(axes, corners, PALETTE[k % len(PALETTE)], "-", 1.8)
    if panel.labels.points is not None and panel.labels.seen is not None:
        _points(axes, panel.labels.points, panel.labels.seen, size, style, panel.named)
    left, upper, right, lower = edges(size)
    axes.set(xlim=(left, right), ylim=(lower, upper), xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(edgecolor=PALETTE[5] if panel.marked else FAINT, linewidth=2.2 if panel.marked else 0.6)
    shade = "#B04000" if panel.marked else INK
    axes.set_title(panel.title, loc="left", size=9.5, pad=4, weight="bold", color=shade, family=FONT)
    axes.annotate(
        panel.caption, (0, 0), (0, -4), "axes fraction", textcoords="offset points", va="top", size=8, color=INK,
        family=FONT, linespacing=1.15, annotation_clip=False,
    )  # fmt: skip


def _painted(mask: Tensor) -> Tensor:
    """Paint the whole numbers of a mask (H, W) as colours with opacity (H, W, 4). The border of each is less clear."""
    from matplotlib.colors import to_rgb

    colours = torch.tensor([to_rgb(shade) for shade in PALETTE], device="cpu")[(mask - 1) % len(PALETTE)]
    border = torch.zeros_like(mask, dtype=torch.bool)
    across, down = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    border[:, 1:] |= across
    border[:, :-1] |= across
    border[1:] |= down
    border[:-1] |= down
    opacity = torch.where(border, 0.95, 0.45) * (mask != 0)
    return torch.cat([colours, opacity[..., None]], -1)


def _halo(width: float) -> list[Any]:
    """Make a dark edge for a line of some width."""
    from matplotlib.patheffects import Normal, Stroke

    return [Stroke(linewidth=width + 1.8, foreground=INK, alpha=0.55), Normal()]


def _polygon(axes: "Axes", corners: Tensor, colour: str, linestyle: str, width: float) -> None:
    if bool(corners.isfinite().all()):
        closed = corners[[0, 1, 2, 3, 0]]
        axes.plot(closed[:, 0], closed[:, 1], color=colour, ls=linestyle, lw=width, path_effects=_halo(width))


def _points(axes: "Axes", xy: Tensor, seen: Tensor, size: Size, style: Style, named: bool) -> None:
    """Draw points that lie on the panel, filled if they are seen, and the skeleton's lines between known points."""
    known, shown = xy.isfinite().all(1), within(xy, size)
    shades, lines = colours_of(len(xy), style.skeleton)
    for (first, second), shade in zip(style.skeleton, lines, strict=True):
        if bool(known[[first, second]].all()):
            ends, both = xy[[first, second]], bool(seen[[first, second]].all())
            axes.plot(
                ends[:, 0], ends[:, 1], color=shade, lw=1.5 if both else 1.0, ls="-" if both else ":",
                path_effects=_halo(1.5) if both else [], solid_capstyle="round",
            )  # fmt: skip
    for chosen, filled in ((shown & seen, True), (shown & ~seen, False)):
        places, few = xy[chosen], [shade for shade, use in zip(shades, chosen.tolist(), strict=True) if use]
        if few:
            dots = axes.scatter(
                places[:, 0], places[:, 1], s=18 if filled else 30, facecolors=few if filled else "none",
                edgecolors=PAPER if filled else few, linewidths=0.8 if filled else 1.2, zorder=3,
            )  # fmt: skip
            dots.set_path_effects(_halo(0.8 if filled else 0.6))
    if named and style.names:
        for k in shown.nonzero().flatten().tolist():
            text = axes.annotate(
                str(k), (float(xy[k, 0]), float(xy[k, 1])), (3, 2), textcoords="offset points", size=7, color=PAPER,
                zorder=4, family=FONT, weight="bold", clip_on=True,
            )  # fmt: skip
            text.set_path_effects(_halo(0.4))


def colours_of(count: int, skeleton: Sequence[tuple[int, int]]) -> tuple[list[str], list[str]]:
    """Choose a colour for each of ``count`` points, and for each line of the skeleton.

    Lines that follow each other without a fork have one colour, as those of a finger or an arm have. A point has the
    colour of its line, and a fork is white. Without a skeleton, each point has a colour of its own, and they repeat.
    """
    if not skeleton:
        return [PALETTE[k % len(PALETTE)] for k in range(count)], []
    touching: list[list[int]] = [[] for _ in range(count)]
    for line, ends in enumerate(skeleton):
        for end in set(ends):
            touching[end].append(line)
    chain = list(range(len(skeleton)))
    for lines in touching:
        if len(lines) == 2:
            kept, gone = sorted(chain[line] for line in lines)
            chain = [kept if number == gone else number for number in chain]
    order = {number: k for k, number in enumerate(dict.fromkeys(chain))}
    shades = [PALETTE[order[number] % len(PALETTE)] for number in chain]
    return [shades[lines[0]] if 0 < len(lines) <= 2 else PAPER for lines in touching], shades
