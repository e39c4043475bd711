"""Pictures of hands. matplotlib is imported only when one is drawn."""

from typing import TYPE_CHECKING

from torch import Tensor

from equicon.hands import BONES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_skeletons(images: Tensor, predicted: Tensor, true: Tensor | None = None) -> "Figure":
    """Draw predicted joints over images, and the true joints if they are known.

    Args:
        images: The images (N, 3, H, W) in [0, 1].
        predicted: The predicted joints (N, 21, 2) in pixels of the images.
        true: The true joints (N, 21, 2).

    Returns:
        The figure. Close it after you have written it.
    """
    from matplotlib import pyplot as plt

    columns = min(4, len(images))
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.6 * columns, 2.6 * rows + 0.4), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for i, axis in zip(range(len(images)), axes.flat, strict=False):
        axis.imshow(images[i].permute(1, 2, 0).clamp(0, 1).numpy())
        if true is not None:
            draw_bones(axis, true[i], color="white", linestyle=":")
        draw_bones(axis, predicted[i])
        axis.set(xlim=(-0.5, images.shape[-1] - 0.5), ylim=(images.shape[-2] - 0.5, -0.5))
    figure.suptitle("predicted (colour)" + (" and true (white, dotted)" if true is not None else ""), fontsize=10)
    figure.tight_layout()
    return figure


def draw_bones(axis: "Axes", xy: Tensor, *, color: str | None = None, linestyle: str = "-") -> None:
    """Draw a skeleton, with a colour for each finger.

    Args:
        axis: The axis to draw on.
        xy: The joints (21, 2) in the units of the axis.
        color: One colour for all fingers.
        linestyle: The style of lines, as in matplotlib.
    """
    from matplotlib import colormaps

    for parent, child in BONES:
        bone = xy[[parent, child]]
        shade = color or colormaps["hsv"]((child - 1) // 4 / 5)
        axis.plot(bone[:, 0], bone[:, 1], color=shade, linestyle=linestyle, linewidth=1.5)
