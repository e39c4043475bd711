"""Pictures of how views are read: padding, interpolation, frames, ``inside``, coverage, and the presets."""

from typing import get_args

from matplotlib.axes import Axes

import equicon as eq
from _gallery.fields import mask_of, painted
from _gallery.hands import Size, corners_of, render, seeded, seen_by
from _gallery.style import VIEWS, Sheet, outline, skeleton
from _gallery.transforms import Tell


def draw_padding(width: int) -> Sheet:
    """Draw one view with each padding mode, and the edge of the source in it."""
    modes = get_args(eq.PaddingMode)
    action = eq.RandomAffine((25, 25), 0.1, (0.6, 0.6)).sample(1, generator=seeded(0))
    sheet = Sheet.of(1 + len(modes), 1, width=width)
    hand = render(30, side=2 * sheet.size[0], wild=True)
    skeleton(sheet.show(0, 0, hand.shrunk(sheet.size)[0], "source"), hand.shrunk(sheet.size)[1])
    edge = action.affine.points(corners_of(hand.size)[None], hand.size, sheet.size)[0]
    for i, mode in enumerate(modes):
        view = action(hand.image, size=sheet.size, padding_mode=mode)[0]
        axes = sheet.show(0, i + 1, view, mode, f'`padding_mode="{mode}"`')
        outline(axes, edge, "white", "--", 0.8)
        skeleton(axes, action.affine.points(hand.xy, hand.size, sheet.size)[0])
    return sheet


def draw_interpolation(width: int) -> Sheet:
    """Draw a picture and a mask that are magnified, and a picture that is shrunk, in each mode."""
    sheet = Sheet.of(4, 1, 1, width=width)
    coarse = render(54, side=sheet.size[0] // 4)
    g = eq.RandomAffine((20, 20), None, (4.0, 4.0)).sample(1).affine
    axes = sheet.show(0, 0, coarse.image[0] / 255, "source", f"{coarse.size[1]} pixels wide")
    outline(axes, seen_by(g, sheet.size, coarse.size)[0], VIEWS[1])
    for i, mode in enumerate(get_args(eq.Mode)):
        view = g.warp(coarse.image / 255, sheet.size, mode=mode)[0]
        sheet.show(0, i + 1, view, f'mode="{mode}"', "magnified by 4", VIEWS[1])
    mask = g.masks(mask_of(coarse, 0.04 * coarse.size[0]), sheet.size)[0]
    sheet.show(0, 3, painted(mask), "a mask, nearest", "keeps its values", VIEWS[1])

    fine, few = render(56, side=sheet.size[0], wild=True, context=3.0), (sheet.size[0] // 4, sheet.size[1] // 4)
    same = eq.Affine.identity(1)
    sheet.show(1, 0, fine.shrunk(sheet.size)[0], "source", f"{fine.size[1]} pixels wide")
    shrunk = {
        "antialias=True": same.warp(fine.image, few),
        "antialias=False": same.warp(fine.image, few, antialias=False),
        'mode="nearest"': same.warp(fine.image / 255, few, mode="nearest"),
    }
    for i, (title, view) in enumerate(shrunk.items()):
        sheet.show(1, i + 1, view[0], title, f"shrunk to {few[1]} pixels")
    return sheet


def draw_frame(width: int) -> Sheet:
    """Draw a larger picture, the frame and what two views see of it, and the views."""
    sheet = Sheet.of(4, 1, width=width)
    side = sheet.size[0]
    wide = render(56, side=side, wild=True, context=3.0)
    frame = eq.Affine.from_points(wide.xy, wide.size, margin=1.2)
    action = eq.RandomAffine(45, 0.1, (0.7, 1.1)).sample(2, generator=seeded(3))
    axes = sheet.show(0, 0, wide.shrunk(sheet.size)[0], "source", "white: the frame")
    alone = frame.warp(wide.image, sheet.size)[0]
    skeleton(sheet.show(0, 1, alone, "the frame alone"), frame.points(wide.xy, wide.size, sheet.size)[0])
    outline(axes, seen_by(frame, sheet.size, sheet.size)[0], "white")
    frames = frame[[0, 0]]
    views = action(wide.times(2).image, size=sheet.size, frame=frames)
    total = action.affine @ frames
    for i in range(2):
        said = f"{100 * total.coverage(wide.size, sheet.size)[i].mean():.0f} % of it is source"
        there = sheet.show(0, i + 2, views[i], f"view {i + 1}", said, VIEWS[i])
        skeleton(there, total.points(wide.times(2).xy, wide.size, sheet.size)[i])
        outline(axes, seen_by(total, sheet.size, sheet.size)[i], VIEWS[i])
    return sheet


def draw_inside(width: int) -> Sheet:
    """Draw three views with black corners, and the same views magnified until none is left."""
    sheet = Sheet.of(4, 1, 1, width=width)
    hand = render(29, side=2 * sheet.size[0]).times(3)
    before = eq.RandomAffine(45, 0.05, (0.8, 1.1)).sample(3, generator=seeded(5))
    rows = ((before, "action(images)"), (before.inside(hand.size, sheet.size), "action.inside(...)"))
    image, xy = hand.shrunk(sheet.size)
    for row, (action, title) in enumerate(rows):
        axes = sheet.show(row, 0, image, "source", f"`{title}`")
        skeleton(axes, xy, width=0.8)
        _widen(axes, sheet.size, 1.5)
        views, g = action(hand.image, size=sheet.size), action.affine
        for i, view in enumerate(views):
            share = f"{100 * g.coverage(hand.size, sheet.size)[i].mean():.0f} % of it is source"
            factor = (g.linear[i].det() / before.affine.linear[i].det()).sqrt()
            caption = share if row == 0 else f"magnified by {factor:.2f}"
            there = sheet.show(row, i + 1, view, f"view {i + 1}", caption, VIEWS[i])
            skeleton(there, g.points(hand.xy, hand.size, sheet.size)[i])
            outline(axes, seen_by(g, sheet.size, sheet.size)[i], VIEWS[i])
    return sheet


def draw_coverage(width: int) -> Sheet:
    """Draw two views, and how much of each pixel was read from the source."""
    sheet = Sheet.of(4, 1, width=width)
    hand = render(29, side=2 * sheet.size[0]).times(2)
    action = eq.RandomAffine(45, 0.1, (0.6, 0.9)).sample(2, generator=seeded(2))
    views, seen = action(hand.image, size=sheet.size), action.affine.coverage(hand.size, sheet.size)
    for i in range(2):
        there = sheet.show(0, 2 * i, views[i], f"view {i + 1}", "", VIEWS[i])
        skeleton(there, action.affine.points(hand.xy, hand.size, sheet.size)[i])
        said = f"its mean is {seen[i].mean():.2f}"
        sheet.show(0, 2 * i + 1, seen[i].expand(3, -1, -1), f"coverage of view {i + 1}", said, VIEWS[i])
    return sheet


def draw_preset(augment: eq.Compose, tell: Tell, width: int, indices: tuple[int, int], margin: float) -> Sheet:
    """Draw two hands in their surroundings, what a crop about the joints shows, and two views of each."""
    sheet = Sheet.of(4, 1, 1, width=width)
    hands = render(*indices, side=sheet.size[0], wild=True, context=3.0)
    frame = eq.Affine.from_points(hands.xy, hands.size, margin=margin)
    actions = [augment.sample(2, generator=seeded(seed)) for seed in (1, 2)]
    near = _middle(hands.size, 1.5)
    for row in range(2):
        axes = sheet.show(row, 0, near.warp(hands.image[[row]], sheet.size)[0], "source")
        outline(axes, seen_by(frame @ near[[0, 0]].inverse(), sheet.size, sheet.size)[row], "white")
        alone = sheet.show(row, 1, frame.warp(hands.image, sheet.size)[row], "the frame alone")
        skeleton(alone, frame.points(hands.xy, hands.size, sheet.size)[row])
        for i, action in enumerate(actions):
            total = action.affine @ frame
            view = action(hands.image, size=sheet.size, frame=frame)[row]
            skeleton(
                sheet.show(row, i + 2, view, f"view {i + 1}", tell(action, row), VIEWS[i]),
                total.points(hands.xy, hands.size, sheet.size)[row],
            )
            outline(axes, seen_by(total @ near[[0, 0]].inverse(), sheet.size, sheet.size)[row], VIEWS[i])
    return sheet


def _widen(axes: Axes, size: Size, factor: float) -> None:
    """Show a picture of some size in the middle of what lies around it."""
    height, width = size
    x, y = (width - 1) / 2, (height - 1) / 2
    axes.set(xlim=(x - factor * width / 2, x + factor * width / 2), facecolor="#DDDDDD")
    axes.set(ylim=(y + factor * height / 2, y - factor * height / 2))
    axes.images[0].set_interpolation("antialiased")


def _middle(size: Size, factor: float) -> eq.Affine:
    """Magnify the middle of a picture, for the panel of the source."""
    return eq.RandomScale((factor, factor)).sample(1).affine
