"""Draw the idea of the library: two views of a picture, their embeddings, and the way back that lets them be compared.

python examples/draw_idea.py --out docs/images/idea.png

Views are made by the library, and embeddings are brought back by it. The embeddings are a stand-in for what a trained
encoder finds: the true joints of the hand in each view, with a little noise.
"""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from equicon.training import need

need("matplotlib", "PIL")

import matplotlib as mpl

mpl.use("Agg")

import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon
from PIL import Image
from torch import Tensor

import equicon as eq
from equicon.hands import BONES, SyntheticHands
from equicon.training import escape_stdout

WIDTH, HEIGHT = 1660, 750  # pixels of the picture: twice those that GitHub shows
SIDE, CONTEXT, SCENES = 220, 3.0, 25
HAND, OTHERS = 137, (347, 448)  # of the rendered hands: an open one, and two in other poses
TEAL, ORANGE, GREY, DARK, RED = "#0b7285", "#e8590c", "#868e96", "#212529", "#c92a2a"
COLORS = (TEAL, ORANGE)
# What was done to the picture in either view: degrees (counter-clockwise), scale, and shift in units of half a side.
TURNS, SCALES, SHIFTS = (-42.0, 50.0), (0.78, 0.98), ((0.14, 0.10), (-0.10, 0.06))
NOISE, MARGIN = 0.02, 1.12

Place = tuple[float, float, float]  # centre (x, y) and side of a square of the picture, in its pixels


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/idea.png"), help="the picture to write")
    return parser.parse_args(argv)


def make_transforms() -> eq.Affine:
    """Make the two elements: turned, scaled and shifted by figures that look well."""
    turns = torch.deg2rad(torch.tensor(TURNS))
    linear = torch.stack([turns.cos(), turns.sin(), -turns.sin(), turns.cos()], -1).view(2, 2, 2)
    return eq.Affine.from_linear(linear * torch.tensor(SCALES)[:, None, None], torch.tensor(SHIFTS))


def make_views(g: eq.Affine) -> tuple[Tensor, Tensor, Tensor]:
    """Render the hand, and make its views.

    Returns:
        The picture (3, SIDE, SIDE) and its two views (2, 3, SIDE, SIDE) in [0, 1], and the joints of this and of the
        other hands in units of half a side, (3, 21, 2).
    """
    hands = SyntheticHands(600, SIDE, domain="studio", context=CONTEXT, scenes=SCENES, side="right")
    drawn = hands.render([HAND, *OTHERS])
    source, size = (drawn.image.shape[-2], drawn.image.shape[-1]), (SIDE, SIDE)
    frame = eq.Affine.from_points(drawn.xy, source, MARGIN)
    joints = (frame.points(drawn.xy, source, size) - (SIDE - 1) / 2) / (SIDE / 2)
    colours = eq.ColorJitter(0.3, 0.3, 0.4, 0.05).sample(2, generator=torch.Generator().manual_seed(2)).color
    twice = drawn.image[:1].expand(2, -1, -1, -1)
    views = eq.Action(g, colours)(twice, size=size, frame=eq.Affine.cat([frame[:1], frame[:1]]))
    return frame[:1].warp(drawn.image[:1], size)[0], views, joints


def embed(g: eq.Affine, joints: Tensor) -> tuple[Tensor, Tensor]:
    """Stand in for a trained encoder: the true joints in each view and a little noise, and these brought back."""
    exact = eq.Points()
    found = exact.act(g, joints.flatten().expand(2, -1))
    found = found + NOISE * torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    return found.view(2, 21, 2), exact.canonicalize(g, found).view(2, 21, 2)


def text(axis: Axes, x: float, y: float, words: str, size: float = 38, color: str = DARK, **more: object) -> None:
    """Write words, by the height of their letters in pixels of the picture."""
    style: dict[str, object] = {"ha": "center", "va": "center", "linespacing": 1.15} | more
    axis.text(x, y, words, fontsize=0.72 * size, color=color, **style)  # type: ignore[arg-type]


def arrow(
    axis: Axes, start: tuple[float, float], end: tuple[float, float], color: str = DARK, style: str = "-|>"
) -> None:
    patch = FancyArrowPatch(
        start, end, arrowstyle=style, mutation_scale=26, linewidth=3.5, color=color, shrinkA=0, shrinkB=0
    )
    axis.add_patch(patch)


def show(axis: Axes, picture: Tensor, place: Place, color: str) -> None:
    """Show a picture in a frame of a colour."""
    x, y, side = place
    shown = picture.permute(1, 2, 0).clamp(0, 1).numpy()
    extent = (x - side / 2, x + side / 2, y + side / 2, y - side / 2)
    axis.imshow(shown, extent=extent, interpolation="lanczos", zorder=2)
    box(axis, place, color, "none")


def box(axis: Axes, place: Place, color: str, fill: str = "white", width: float = 3.5) -> None:
    x, y, side = place
    corner = (x - side / 2, y - side / 2)
    style = "round,pad=0,rounding_size=6"
    axis.add_patch(
        FancyBboxPatch(corner, side, side, style, edgecolor=color, facecolor=fill, linewidth=width, zorder=3)
    )


def plane(axis: Axes, place: Place, color: str = "#ced4da") -> None:
    """Draw a plane for points: a frame, and its axes through the middle."""
    x, y, side = place
    box(axis, place, color, "#f8f9fa", 2.5)
    for dx, dy in ((side / 2, 0.0), (0.0, side / 2)):
        axis.plot([x - dx, x + dx], [y - dy, y + dy], color="#dee2e6", linewidth=1.5, zorder=3)


def points(axis: Axes, xy: Tensor, place: Place, color: str) -> None:
    """Draw an embedding of 21 points, in units of half a side, and the bones between them."""
    x, y, side = place
    at = torch.tensor([x, y]) + xy * side / 2
    for bone in BONES:
        ends = at[list(bone)]
        axis.plot(ends[:, 0], ends[:, 1], color=color, linewidth=side / 80, alpha=0.55, zorder=4)
    axis.scatter(at[:, 0], at[:, 1], s=(side / 26) ** 2, color=color, linewidths=0, zorder=5)


def draw_equicon(axis: Axes, picture: Tensor, views: Tensor, embeddings: Tensor, back: Tensor, others: Tensor) -> None:
    middle, rows, side = 292.0, (180.0, 404.0), 210.0
    for x, title in ((130, "one picture"), (455, "two views"), (855, "embeddings"), (1245, "brought back")):
        text(axis, x, 50, title, 40, va="baseline")
    for x, y, note in ((130, 455, "$g_1$, $g_2$: known\n3×3 matrices"), (855, 537, "drawn as joints")):
        text(axis, x, y, note, 31, "#495057")
    show(axis, picture, (130, middle, side), DARK)
    axis.add_patch(Polygon([(612, 165), (692, 232), (692, 352), (612, 419)], closed=True, color="#495057", zorder=3))
    text(axis, 652, middle, "encoder", 32, "white", rotation=90, zorder=4)
    whole = (1245.0, middle, 300.0)
    plane(axis, whole)
    for k, (row, color) in enumerate(zip(rows, COLORS, strict=True)):
        tip = -1 if k else 1  # towards the middle
        arrow(axis, (245, middle - 35 * tip), (340, row + 20 * tip), color)
        text(axis, 282, row - 22 * tip, f"$g_{k + 1}$", 56, color)
        show(axis, views[k], (455, row, side), color)
        arrow(axis, (568, row), (608, row + 45 * tip), DARK)
        arrow(axis, (696, row + 45 * tip), (742, row), DARK)
        plane(axis, (855, row, side), color)
        points(axis, embeddings[k], (855, row, side), color)
        arrow(axis, (970, row + 20 * tip), (1085, middle - 35 * tip), color)
        text(axis, 1033, row - 36 * tip, f"$g_{k + 1}^{{-1}}$", 56, color)
        points(axis, back[k], whole, color)
    text(axis, 1245, 490, "attract", 44, TEAL, weight="bold")
    for other, row in zip(others, (207.0, 377.0), strict=True):
        place = (1565.0, row, 150.0)
        plane(axis, place)
        points(axis, other, place, GREY)
        arrow(axis, (1403, middle + (row - middle) * 0.35), (1485, row), RED, "<|-|>")
    text(axis, 1565, 78, "other\nimages", 36, GREY)
    text(axis, 1565, 490, "repel", 44, RED, weight="bold")


def draw_simclr(axis: Axes, embeddings: Tensor) -> None:
    axis.plot([20, WIDTH - 20], [585, 585], color="#ced4da", linewidth=2)
    y, side = 668.0, 136.0
    text(axis, 20, y, "SimCLR skips $g^{-1}$:", 42, ha="left")
    for k, x in enumerate((530.0, 780.0)):
        plane(axis, (x, y, side), COLORS[k])
        points(axis, embeddings[k], (x, y, side), COLORS[k])
    text(axis, 655, y, "≠", 60, RED)
    arrow(axis, (870, y), (940, y))
    text(axis, 965, y, "so the encoder must\nforget where things are", 44, ha="left")


def main(argv: Sequence[str] | None = None) -> None:
    escape_stdout()
    args = parse_args(argv)
    g = make_transforms()
    picture, views, joints = make_views(g)
    embeddings, back = embed(g, joints[0])
    figure = plt.figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    draw_equicon(axis, picture, views, embeddings, back, joints[1:])
    draw_simclr(axis, embeddings)
    axis.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0), aspect="auto")
    written = io.BytesIO()
    figure.savefig(written, dpi=100, facecolor="white")
    plt.close(figure)
    drawn = Image.open(written).convert("RGB")
    try:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        drawn.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(args.out, optimize=True)
    except (OSError, ValueError) as error:  # such as an ending of no kind of picture
        sys.exit(f"--out: {args.out} could not be written: {error}.")
    print(f"drawn in {args.out}")


if __name__ == "__main__":
    main()
