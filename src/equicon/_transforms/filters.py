"""Blur, erasing and Sobel: filters that run after geometry and colour."""

from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from kornia.filters import filter2d_separable, get_gaussian_kernel1d
from torch import Tensor
from typing_extensions import override

from equicon import draw
from equicon._checks import (
    LARGEST,
    check_factors,
    check_int,
    check_number_or_range,
    check_probability,
    plain_fields,
    value_error,
)
from equicon._groups.affine import Affine
from equicon._plane.frames import pixel_points
from equicon._transforms.action import Action
from equicon._transforms.base import EquivariantTransform
from equicon._transforms.filter import Filter


def filtering(drawn: Filter, batch_size: int, p: float, generator: torch.Generator | None) -> Action:
    """Make the action that applies a filter to each image with probability p."""
    if p < 1:
        drawn = drawn.where(draw.bernoulli(batch_size, p, generator))
    return Action(Affine.identity(batch_size, device=draw.device_of(generator)), filters=(drawn,))


@final
@dataclass(frozen=True)
class RandomGaussianBlur(EquivariantTransform):
    """Blur each image by a Gaussian, with Kornia's kernels and filter.

    Args:
        kernel_size: Size of the kernel in pixels of the view, odd. SimCLR takes a tenth of the image's side.
        sigma: (lowest, highest) standard deviation in pixels of the view, in [1e-4, 1e4].
        p: Probability in [0, 1], drawn for each image separately.

    Raises:
        ValueError: If kernel_size is even, or at least twice the size of a view, or a sigma is out of range.

    Examples:
        >>> views, g = RandomGaussianBlur(7, (0.1, 2.0))(torch.rand(4, 3, 64, 64))

    Source: SimCLR (Chen et al. 2020, arXiv 2002.05709), appendix A.
    """

    kernel_size: int
    sigma: tuple[float, float] = (0.1, 2.0)
    p: float = 0.5

    def __post_init__(self) -> None:
        plain_fields(self)
        check_probability("p", self.p)
        if check_int("kernel_size", self.kernel_size, low=1) % 2 == 0:
            raise value_error("kernel_size", "an odd number", self.kernel_size)
        check_factors("sigma", self.sigma)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        sigma = draw.uniform(batch_size, *self.sigma, generator)
        return filtering(_Blur(sigma, self.kernel_size), batch_size, self.p, generator)


@final
@dataclass(frozen=True)
class _Blur(Filter):
    sigma: Tensor
    kernel_size: int

    @override
    def apply(self, views: Tensor, anchor: Tensor | None = None) -> Tensor:
        if self.kernel_size // 2 >= min(views.shape[-2:]):
            fix = f"Take at most {2 * min(views.shape[-2:]) - 1}."
            raise value_error("kernel_size", "a kernel below twice the view's size", self.kernel_size, fix)
        # Not gaussian_blur2d, which in Kornia 0.9.0 reads sigma back from the device.
        kernel = get_gaussian_kernel1d(self.kernel_size, self.sigma[:, None].to(views.dtype))
        blurred: Tensor = filter2d_separable(views, kernel, kernel)
        return blurred


@final
@dataclass(frozen=True)
class RandomErasing(EquivariantTransform):
    """Paint over a rectangle of each image. With an ``anchor``, such as a joint, this is the paper's cut-out.

    Without an anchor the rectangle lies anywhere inside the view. With an anchor it is centred there, and cut off at
    the borders of the view. The frames of a clip share the rectangle, which follows the anchor if each frame has one.

    Args:
        scale: (lowest, highest) share of the view's area, in (0, 1].
        ratio: (lowest, highest) width over height, in [1e-4, 1e4], drawn uniformly on a log scale.
        value: The grey to paint with, or a range (lowest, highest) to draw it from, in [-1e4, 1e4].
        p: Probability in [0, 1], drawn for each image separately.

    Raises:
        ValueError: If a share is outside (0, 1], a ratio is outside [1e-4, 1e4], the value is out of range, or
            lowest > highest.

    Examples:
        >>> images, joints = torch.rand(4, 3, 64, 64), torch.full((4, 2), 32.0)
        >>> views, g = RandomErasing(p=1.0)(images, anchor=joints)

    Source: Zhong et al. 2020, arXiv 1708.04896; DeVries and Taylor 2017, arXiv 1708.04552.
    """

    scale: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    value: float | tuple[float, float] = 0.0
    p: float = 0.5

    def __post_init__(self) -> None:
        plain_fields(self)
        check_probability("p", self.p)
        check_factors("scale", self.scale, low=0.0, high=1.0)
        check_factors("ratio", self.ratio)
        check_number_or_range("value", self.value, low=-LARGEST, high=LARGEST)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        area = draw.uniform(batch_size, *self.scale, generator)
        ratio = draw.log_uniform(batch_size, *self.ratio, generator)
        place = torch.stack([draw.uniform(batch_size, 0.0, 1.0, generator) for _ in "xy"], -1)
        low, high = self.value if isinstance(self.value, tuple) else (self.value, self.value)
        value = draw.uniform(batch_size, low, high, generator)
        return filtering(_Erasing(area, ratio, place, value), batch_size, self.p, generator)


@final
@dataclass(frozen=True)
class _Erasing(Filter):
    area: Tensor
    ratio: Tensor
    place: Tensor
    value: Tensor

    @override
    def apply(self, views: Tensor, anchor: Tensor | None = None) -> Tensor:
        size = (views.shape[-2], views.shape[-1])
        area, ratio, place, value = (v.to(views.dtype) for v in (self.area, self.ratio, self.place, self.value))
        columns = (area * ratio * size[0] * size[1]).sqrt().clamp(max=size[1])
        rows = (area / ratio * size[0] * size[1]).sqrt().clamp(max=size[0])
        if anchor is None:
            room = torch.stack([size[1] - columns, size[0] - rows], -1)
            anchor = pixel_points((2 * place - 1) * room / min(size), size)
        center = anchor.to(views.dtype)
        inside = _near(size[1], center[:, 0], columns)[:, None, :] & _near(size[0], center[:, 1], rows)[:, :, None]
        return torch.where(inside[:, None], value[:, None, None, None], views)


def _near(length: int, center: Tensor, extent: Tensor) -> Tensor:
    """Mark the pixels (B, length) that lie less than half of the extent from the centre."""
    pixels = torch.arange(length, device=center.device, dtype=center.dtype)
    return (pixels - center[:, None]).abs() < extent[:, None] / 2


@final
@dataclass(frozen=True)
class RandomSobel(EquivariantTransform):
    """Replace each channel by the magnitude of its gradient, as Kornia's ``sobel`` does, up to rounding.

    Args:
        p: Probability in [0, 1], drawn for each image separately.

    Examples:
        >>> views, g = RandomSobel(0.5)(torch.rand(4, 3, 64, 64))
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        plain_fields(self)
        check_probability("p", self.p)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        return filtering(_Sobel(), batch_size, self.p, generator)


@final
@dataclass(frozen=True)
class _Sobel(Filter):
    @override
    def apply(self, views: Tensor, anchor: Tensor | None = None) -> Tensor:
        # Sums of slices, not Kornia's sobel, which copies its kernel to the device in each call, and waits.
        padded = F.pad(views, (1, 1, 1, 1), mode="replicate")
        across, down = padded[..., 2:] - padded[..., :-2], padded[:, :, 2:] - padded[:, :, :-2]
        x = across[:, :, 2:] + 2 * across[:, :, 1:-1] + across[:, :, :-2]
        y = down[..., 2:] + 2 * down[..., 1:-1] + down[..., :-2]
        return ((x.square() + y.square()) / 64 + 1e-6).sqrt()
