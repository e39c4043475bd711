"""Pictures of hands, for which matplotlib is imported when they are drawn."""

from typing import TYPE_CHECKING

from torch import Tensor

from equicon.hands import BONES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_skeletons(images: Tensor, predicted: Tensor, true: Tensor | None = None) -> "Figure":
    """Draw joints over images: the predicted ones, and where they are known the true ones.

    Args:
        images: (N, 3, H, W) in [0, 1].
        predicted: (N, 21, 2) joints in pixels of the images.
        true: (N, 21, 2) the true ones.

    Returns:
        The figure; close it when it is written.
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
    """Draw a skeleton, a colour to a finger.

    Args:
        axis: Where to draw it.
        xy: (21, 2) joints in the axis' own units.
        color: One colour for all of it.
        linestyle: As matplotlib has it.
    """
    from matplotlib import colormaps

    for parent, child in BONES:
        bone = xy[[parent, child]]
        shade = color or colormaps["hsv"]((child - 1) // 4 / 5)
        axis.plot(bone[:, 0], bone[:, 1], color=shade, linestyle=linestyle, linewidth=1.5)
