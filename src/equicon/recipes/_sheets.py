"""Pictures of keypoints. matplotlib is imported only when one is drawn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_sheet(
    images: Tensor,
    predicted: Tensor,
    skeleton: Sequence[tuple[int, int]],
    true: Tensor | None = None,
    visible: Tensor | None = None,
    titles: Sequence[str] = (),
    columns: int = 4,
) -> "Figure":
    """Draw predicted keypoints over images, and the true ones as circles if they are known.

    Args:
        images: The images (N, 3, H, W) in [0, 1].
        predicted: The predicted keypoints (N, K, 2) in pixels of the images.
        skeleton: Pairs of keypoints to draw a line between.
        true: The true keypoints (N, K, 2).
        visible: (N, K), 0 where a true keypoint is not labelled.
        titles: A short text above each image.
        columns: The number of images in a row.

    Returns:
        The figure. Close it after you have written it.
    """
    from matplotlib import pyplot as plt

    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    side = 2.6
    height = side + (0.25 if titles else 0.0)
    figure, axes = plt.subplots(
        rows, columns, figsize=(side * columns, height * rows + 0.5), squeeze=False, layout="constrained"
    )
    for axis in axes.flat:
        axis.axis("off")
    for i, axis in zip(range(len(images)), axes.flat, strict=False):
        axis.imshow(images[i].permute(1, 2, 0).clamp(0, 1).numpy())
        if true is not None:
            draw_true(axis, predicted[i], true[i], None if visible is None else visible[i])
        draw_keypoints(axis, predicted[i], skeleton)
        axis.set(xlim=(-0.5, images.shape[-1] - 0.5), ylim=(images.shape[-2] - 0.5, -0.5))
        if titles:
            axis.set_title(titles[i], fontsize=8)
    figure.suptitle("predicted (dots)" + (" and true (circles)" if true is not None else ""), fontsize=10)
    return figure


def draw_true(axis: "Axes", predicted: Tensor, true: Tensor, visible: Tensor | None = None) -> None:
    """Draw true keypoints (K, 2) as white circles, with a line from each to where it was predicted.

    Args:
        axis: The axis to draw on.
        predicted: The predicted keypoints (K, 2).
        true: The true keypoints (K, 2).
        visible: (K,), 0 where a true keypoint is not labelled; None if all are.
    """
    known = slice(None) if visible is None else visible > 0
    pairs = torch.stack([predicted[known], true[known]])
    axis.plot(pairs[..., 0], pairs[..., 1], color="white", linewidth=0.8)
    axis.plot(pairs[1, :, 0], pairs[1, :, 1], "o", mfc="none", mec="white", ms=7, mew=1.2)


def draw_keypoints(axis: "Axes", xy: Tensor, skeleton: Sequence[tuple[int, int]]) -> None:
    """Draw keypoints (K, 2) with a colour for each, and lines between those that the skeleton joins."""
    colours = (_colours(len(xy)) / 255).tolist()
    for first, second in skeleton:
        ends = xy[[first, second]]
        axis.plot(ends[:, 0], ends[:, 1], color=colours[first], linewidth=1.2, alpha=0.8)
    axis.scatter(xy[:, 0], xy[:, 1], c=colours, s=14, edgecolors="black", linewidths=0.5, zorder=3)


def overlay(picture: Tensor, xy: Tensor, skeleton: Sequence[tuple[int, int]], confidence: Tensor) -> Tensor:
    """Paint predicted keypoints on a picture, for a frame of a video. It takes a millisecond, and needs no matplotlib.

    Args:
        picture: (3, H, W) uint8.
        xy: The keypoints (K, 2) in its pixels.
        skeleton: Pairs of keypoints to draw a line between.
        confidence: (K,) in [0, 1], how opaque each keypoint is.

    Returns:
        (3, H, W) uint8, a new picture.
    """
    painted = picture.clone()
    height, width = picture.shape[1:]
    radius = max(2, round(min(height, width) / 100))
    colours = _colours(len(xy))
    for first, second in skeleton:
        steps = int((xy[first] - xy[second]).abs().max().clamp(max=4 * max(height, width))) + 2
        along = torch.linspace(0, 1, steps, device="cpu")[:, None]
        line = torch.lerp(xy[first], xy[second], along).round().long()
        x, y = line[((line >= 0) & (line < line.new_tensor([width, height]))).all(1)].unbind(1)
        _blend(painted, y, x, colours[first], float(confidence[[first, second]].min()))
    disc = torch.cartesian_prod(*[torch.arange(-radius, radius + 1, device="cpu")] * 2)
    disc = disc[disc.square().sum(1) <= radius * (radius + 1)]
    for place, colour, opaque in zip(xy, colours, confidence.tolist(), strict=True):
        dots = disc + place.round().long()
        x, y = dots[((dots >= 0) & (dots < dots.new_tensor([width, height]))).all(1)].unbind(1)
        _blend(painted, y, x, colour, opaque)
    return painted


def _blend(picture: Tensor, y: Tensor, x: Tensor, colour: Tensor, opaque: float) -> None:
    picture[:, y, x] = torch.lerp(picture[:, y, x].float(), colour[:, None], opaque).to(torch.uint8)


def _colours(count: int) -> Tensor:
    """Give each of so many keypoints a colour (count, 3), all of them of full saturation."""
    shifts = torch.tensor([0.0, 2 / 3, 1 / 3], device="cpu")
    hues = (torch.arange(count, device="cpu")[:, None] / count + shifts) % 1
    return 255 * ((hues * 6 - 3).abs() - 1).clamp(0, 1)
