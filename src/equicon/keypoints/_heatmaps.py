"""Heatmaps: values at pixels that say where a keypoint is, and how to read a place between the pixels."""

import torch
from torch import Tensor

from equicon._checks import check_floating, check_number, check_size, type_error, value_error
from equicon._devices import without_autocast
from equicon._plane.matrix import at_least_float32

_NEAR = 2.5  # heatmap pixels to either side; a Gaussian of standard deviation 1 has 98 % of its weight there


def soft_argmax(heatmaps: Tensor, size: tuple[int, int]) -> Tensor:
    """Read places from heatmaps: the mean place of each, weighted by its values.

    For a heatmap that is symmetric about a place, this is that place, wherever it lies between the pixels. It is the
    transform DSNT of Nibali et al. 2018 (arXiv 1801.07372), equation 4, and has a gradient everywhere.

    Convention: pixel centres are integers. A heatmap covers the whole image.

    Args:
        heatmaps: (B, K, h, w), floating, at least 0, the values of each summing to 1.
        size: (H, W) of the images that the heatmaps cover.

    Returns:
        The places (B, K, 2) in pixels of the images, float32 at least.

    Raises:
        TypeError: If the heatmaps are not a floating tensor.
        ValueError: If the heatmaps are not of four dimensions, or the size is not two whole numbers of at least 1.

    Examples:
        >>> heatmaps = torch.zeros(1, 1, 4, 4)
        >>> heatmaps[0, 0, 1, 1:3] = 0.5
        >>> soft_argmax(heatmaps, (4, 4))
        tensor([[[1.5000, 1.0000]]])
    """
    if not isinstance(heatmaps, Tensor) or not heatmaps.is_floating_point():
        raise type_error("heatmaps", "a floating tensor (B, K, h, w)", heatmaps)
    if heatmaps.ndim != 4:
        raise value_error("heatmaps", "a tensor of shape (B, K, h, w)", heatmaps)
    heatmaps = at_least_float32(heatmaps)
    x, y = pixel_places(heatmaps, check_size("size", size))
    with without_autocast(heatmaps.device):
        return torch.stack([heatmaps.sum(-2) @ x, heatmaps.sum(-1) @ y], -1)


def gaussians(xy: Tensor, shape: tuple[int, int], size: tuple[int, int], sigma: float = 1.0) -> Tensor:
    """Draw the heatmap that a keypoint should have: a Gaussian about it, whose values sum to 1.

    Convention: as in ``soft_argmax``.

    Args:
        xy: (B, K, 2), the keypoints in pixels of the images.
        shape: (h, w) of the heatmaps.
        size: (H, W) of the images.
        sigma: Standard deviation in pixels of the heatmap, in [0.1, 100].

    Returns:
        (B, K, h, w), float32 at least. A keypoint far outside gives weight to the nearest border.

    Raises:
        TypeError: If the keypoints are not a floating tensor.
        ValueError: If a shape or a number is out of range.

    Examples:
        >>> heatmaps = gaussians(torch.tensor([[[20.3, 31.9]]]), (16, 16), (64, 64))
        >>> soft_argmax(heatmaps, (64, 64))
        tensor([[[20.3000, 31.9000]]])
    """
    check_floating("xy", xy, "(B, K, 2)", last=(2,), ndim=3)
    check_number("sigma", sigma, low=0.1, high=100.0)
    (h, w), (height, width) = check_size("shape", shape), check_size("size", size)
    at = at_least_float32(xy)
    columns, rows = (
        torch.softmax(-(((places - value[..., None]) * (n / full / sigma)).square() / 2), -1)
        for places, value, n, full in zip(
            pixel_places(at.new_empty(1, 1, h, w), size), at.unbind(-1), (w, h), (width, height), strict=True
        )
    )
    return rows[..., :, None] * columns[..., None, :]


def confidence_of(heatmaps: Tensor, xy: Tensor, size: tuple[int, int]) -> Tensor:
    """Add up the weight (B, K) of heatmaps within 2.5 of their pixels of a place, along each axis."""
    x, y = pixel_places(heatmaps, size)
    near_x = (x - xy[..., :1]).abs() <= _NEAR * size[1] / heatmaps.shape[-1]
    near_y = (y - xy[..., 1:]).abs() <= _NEAR * size[0] / heatmaps.shape[-2]
    return (heatmaps * (near_y[..., :, None] & near_x[..., None, :])).sum((-2, -1)).clamp(max=1.0)


def pixel_places(heatmaps: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Give x (w,) and y (h,), in pixels of the images, of the pixel centres of heatmaps (..., h, w)."""
    (h, w), (height, width) = heatmaps.shape[-2:], size
    device, dtype = heatmaps.device, heatmaps.dtype
    x, y = (
        (torch.arange(n, device=device, dtype=dtype) + 0.5) * (full / n) - 0.5 for n, full in ((w, width), (h, height))
    )
    return x, y
