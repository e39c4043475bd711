"""Pictures of the transforms that need more than a row of draws: colour jitter, normalisation, erasing."""

import torch

import equicon as eq
from _gallery.hands import render, seeded
from _gallery.style import FAINT, INK, VIEWS, Sheet, joints, numbers
from _gallery.transforms import code_of, color, tell_filters


def draw_jitter(width: int) -> Sheet:
    """Draw three draws of colour jitter, and what each of its four parts does alone."""
    jitter = eq.ColorJitter(0.4, 0.4, 0.4, 0.1)
    alone = {
        "brightness × 1.5": eq.ColorJitter(brightness=(1.5, 1.5)),
        "contrast × 1.6": eq.ColorJitter(contrast=(1.6, 1.6)),
        "saturation × 0.3": eq.ColorJitter(saturation=(0.3, 0.3)),
        "hue + 0.15": eq.ColorJitter(hue=(0.15, 0.15)),
    }
    sheet = Sheet.of(4, 3, 3, width=width)
    hand = render(29, side=2 * sheet.size[0])
    image, xy = hand.shrunk(sheet.size)
    action = jitter.sample(3, generator=seeded(0))
    joints(sheet.show(0, 0, image, "source", "`ColorJitter(\n  0.4, 0.4, 0.4, 0.1)`"), xy)
    for i, view in enumerate(action(hand.times(3).image, size=sheet.size)):
        joints(sheet.show(0, i + 1, view, f"view {i + 1}", numbers(color(action, i))), xy)
    for i, (name, transform) in enumerate(alone.items()):
        one = transform.sample(1)
        joints(sheet.show(1, i, one(hand.image, size=sheet.size)[0], name, numbers(color(one, 0))), xy)
    return sheet


def draw_normalize(width: int) -> Sheet:
    """Draw a view before and after it is normalised, and how often each value occurs."""
    normalize = eq.Normalize.imagenet()
    sheet = Sheet.of(4, 3, width=width)
    hand = render(29, side=2 * sheet.size[0])
    image, xy = hand.shrunk(sheet.size)
    view = normalize(hand.image, size=sheet.size)[0][0]
    low, high = float(view.min()), float(view.max())
    joints(sheet.show(0, 0, image, "source", "`Normalize.imagenet()`"), xy)
    shown = f"black is {low:.1f}, white is {high:.1f}".replace("-", "−")
    joints(sheet.show(0, 1, (view - low) / (high - low), "view", shown), xy)
    for column, picture, title in ((2, image, "values before"), (3, view, "values after")):
        mean, std = picture.mean((1, 2)), picture.std((1, 2))
        rows = torch.stack([mean, std]).tolist()
        said = [
            f"{name} {' '.join(f'{x:.2f}' for x in row)}".replace("-", "−")
            for name, row in zip(("mean", "std"), rows, strict=True)
        ]
        axes = sheet.panel(0, column, title, "\n" + "\n".join(said))
        for channel, shade in zip(picture, ("#CC3311", "#228833", "#0044BB"), strict=True):
            axes.hist(channel.flatten().numpy(), 60, histtype="step", color=shade, linewidth=1.0)
        axes.axvline(0, color=FAINT, linewidth=0.6)
        axes.set(xlim=(-2.6, 2.8))
        axes.set_xticks([-2, -1, 0, 1, 2], ["−2", "−1", "0", "1", "2"], size=5.5, color=INK)
        axes.tick_params(axis="x", pad=1, length=2)
        axes.tick_params(axis="y", which="both", left=False, labelleft=False)
    return sheet


def draw_erasing(width: int) -> Sheet:
    """Draw rectangles that lie anywhere, and rectangles about a joint of each view."""
    erasing = eq.RandomErasing(scale=(0.02, 0.1), value=(0.2, 0.8), p=1.0)
    augment = eq.Compose([eq.RandomRotation(45), erasing])
    sheet = Sheet.of(4, 4, 2, width=width)
    hand = render(54, side=2 * sheet.size[0]).times(3)
    image, xy = hand.shrunk(sheet.size)
    tips = hand.xy[:, [4, 8, 20]].diagonal(dim1=0, dim2=1).T  # of the thumb, the index and the little finger
    small_tips = eq.Affine.identity(3).points(tips[:, None], hand.size, sheet.size)[:, 0]
    for row, anchor in enumerate((None, tips)):
        action = (erasing if row == 0 else augment).sample(3, generator=seeded(4 + row))
        code = code_of(erasing) if row == 0 else "`..., anchor=xy[:, joint]`"
        axes = sheet.show(row, 0, image, "source" if row == 0 else "source, with anchors", code)
        joints(axes, xy)
        for i, view in enumerate(action(hand.image, size=sheet.size, anchor=anchor)):
            caption, shade = tell_filters(action, i).rpartition(",")[0], VIEWS[i] if row else INK
            there = sheet.show(row, i + 1, view, f"view {i + 1}", caption, shade)
            joints(there, action.affine.points(hand.xy, hand.size, sheet.size)[i])
            if row:
                axes.plot(*small_tips[i].tolist(), "o", markersize=8, markeredgewidth=1.6, mfc="none", mec=VIEWS[i])
    return sheet
