"""Pictures of what moves along with a picture: points, boxes, camera intrinsics."""

from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor

import equicon as eq
from _gallery.hands import render, seeded
from _gallery.style import FINGERS, INK, VIEWS, Sheet, halo, numbers, outline, skeleton
from _gallery.transforms import tell_rotation
from equicon.hands import project


def draw_points(width: int) -> Sheet:
    """Draw joints in two views, and mapped back from both."""
    sheet = Sheet.of(4, 1, width=width)
    hand = render(5, side=2 * sheet.size[0]).times(2)
    action = eq.RandomAffine(45, 0.1, (0.7, 1.2), 15).sample(2, generator=seeded(1))
    views, g = action(hand.image, size=sheet.size), action.affine
    moved = g.points(hand.xy, hand.size, sheet.size)
    home = g.inverse().points(moved, sheet.size, hand.size)
    image, xy = hand.shrunk(sheet.size)
    skeleton(sheet.show(0, 0, image, "source", "`xy`"), xy)
    for i in range(2):
        skeleton(sheet.show(0, i + 1, views[i], f"view {i + 1}", "`g.points(xy, ...)`"), moved[i])
    far = (home - hand.xy).norm(dim=-1).max()
    axes = sheet.show(0, 3, image, "both mapped back", f"at most {float(far):.5f} pixels away")
    small = eq.Affine.identity(2).points(home, hand.size, sheet.size)
    for points, marker, size, shade in zip(small, "ox", (6.0, 4.0), VIEWS[:2], strict=True):
        style: dict[str, Any] = {"markersize": size, "mfc": "none", "mec": shade, "markeredgewidth": 1.3}
        axes.plot(points[:, 0], points[:, 1], marker, path_effects=halo(2.4), **style)
    return sheet


def boxed(corners: Tensor) -> Tensor:
    """Give the four corners (4, 2) of a box (4,)."""
    x1, y1, x2, y2 = corners.tolist()
    return torch.tensor([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


def draw_boxes(width: int) -> Sheet:
    """Draw what becomes of a box: its own corners, the upright box about them, and the one about the joints."""
    sheet = Sheet.of(4, 1, width=width)
    hand = render(29, side=2 * sheet.size[0]).times(3)
    boxes = torch.cat([hand.xy.amin(1), hand.xy.amax(1)], -1)
    action = eq.RandomAffine(60, 0.05, (0.6, 0.8)).sample(3, generator=seeded(0))
    views, g = action(hand.image, size=sheet.size), action.affine
    upright = g.boxes(boxes, hand.size, sheet.size)
    turned = g.points(torch.stack([boxed(box) for box in boxes]), hand.size, sheet.size)
    moved = g.points(hand.xy, hand.size, sheet.size)
    image, xy = hand.shrunk(sheet.size)
    axes = sheet.show(0, 0, image, "source")
    skeleton(axes, xy)
    outline(axes, boxed(torch.cat([xy.amin(0), xy.amax(0)])), VIEWS[1])
    for i in range(3):
        axes = sheet.show(0, i + 1, views[i], f"view {i + 1}", tell_rotation(action, i))
        skeleton(axes, moved[i])
        outline(axes, turned[i], "white", "--", 1.0)
        outline(axes, boxed(upright[i]), VIEWS[1])
        outline(axes, boxed(torch.cat([moved[i].amin(0), moved[i].amax(0)])), "white", ":", 1.2)
    return sheet


def draw_clip_boxes(width: int) -> Sheet:
    """Draw what remains of two boxes in views that cut them, and what each view shows and reads of the source."""
    sheet = Sheet.of(4, 1, width=width)
    hand = render(29, side=2 * sheet.size[0], context=1.6).times(3)
    action = eq.RandomAffine(45, 0.4, (1.4, 2.4)).sample(3, generator=seeded(35))
    views, g = action(hand.image, size=sheet.size), action.affine
    fingers = hand.xy[:, 1:].unflatten(1, (5, 4))[:, [1, 4]]  # the index and the little one
    boxes = torch.cat([fingers.amin(2), fingers.amax(2)], -1)
    left = g.clip_boxes(boxes, hand.size, sheet.size)
    corners = torch.stack([boxed(box) for box in boxes.flatten(0, 1)]).unflatten(0, (3, 2))
    turned = g.points(corners, hand.size, sheet.size)
    small = eq.Affine.identity(3)  # from the source to its panel
    shown = small.points(g.footprint(hand.size, sheet.size), hand.size, sheet.size)
    read = small.boxes(g.read_box(hand.size, sheet.size) - 0.5, hand.size, sheet.size)
    axes = sheet.show(0, 0, hand.shrunk(sheet.size)[0], "source", "solid: shown; dotted: read")
    for i, shade in enumerate(VIEWS):
        outline(axes, boxed(read[i]), shade, ":", 1.4)
        outline(axes, shown[i], shade)
        there = sheet.show(0, i + 1, views[i], f"view {i + 1}", "", shade)
        for k, finger in enumerate((FINGERS[1], FINGERS[4])):
            outline(there, turned[i, k], "white", "--", 1.0)
            if (share := float(left.share[i, k])) > 0:
                outline(there, boxed(left.boxes[i, k]), finger)
                _beside(there, left.boxes[i, k], f"{100 * share:.0f} %", sheet.size[0])
    for box, finger in zip(small.boxes(boxes, hand.size, sheet.size)[0], (FINGERS[1], FINGERS[4]), strict=True):
        outline(axes, boxed(box), finger)
    return sheet


def _beside(axes: Axes, box: Tensor, text: str, side: int) -> None:
    """Write beside a box (4,): below it, or above it if there is no room below."""
    x1, y1, x2, y2 = box.tolist()
    below = y2 < 0.88 * side
    x, y = min(max((x1 + x2) / 2, 0.13 * side), 0.87 * side), y2 + 0.03 * side if below else y1 - 0.03 * side
    style: dict[str, Any] = {"size": 7.0, "weight": "bold", "ha": "center", "va": "top" if below else "bottom"}
    axes.text(x, y, text, color=INK, path_effects=halo(2.2), **style)


def draw_intrinsics(width: int) -> Sheet:
    """Draw joints in space, and a camera's axes at the wrist, through the camera of each view."""
    sheet = Sheet.of(4, 3, width=width)
    hand = render(54, side=2 * sheet.size[0]).times(3)
    action = eq.RandomAffine(45, 0.1, (0.7, 1.2)).sample(3, generator=seeded(11))
    views, g = action(hand.image, size=sheet.size), action.affine
    same = eq.Affine.identity(1)
    cameras = [same.intrinsics(hand.K[:1], hand.size, sheet.size)[0], *g.intrinsics(hand.K, hand.size, sheet.size)]
    images = [hand.shrunk(sheet.size)[0], *views]
    along = 0.04 * torch.eye(3)[:2]
    for i, (K, image) in enumerate(zip(cameras, images, strict=True)):
        title = "source" if i == 0 else f"view {i}"
        axes = sheet.show(0, i, image, title, numbers(K, "6.0f" if i == 0 else "6.1f"))
        skeleton(axes, project(hand.xyz[:1], K[None])[0])
        start = hand.xyz[0, 9]
        ends = project(torch.stack([start, *(start + along)])[None], K[None])[0].tolist()
        for end, name, shade in zip(ends[1:], "xy", ("#CC3311", "#0044BB"), strict=True):
            arrow = {"arrowstyle": "->", "color": shade, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", xytext=ends[0], xy=end, arrowprops=arrow)
            x, y = (a + 1.15 * (b - a) for a, b in zip(ends[0], end, strict=True))
            axes.text(x, y, name, color=shade, size=6.5, weight="bold", ha="center", va="center")
        axes.plot(*K[:2, 2].tolist(), "+", color=INK, markersize=7, markeredgewidth=1.3, path_effects=halo(2.6))
    return sheet
