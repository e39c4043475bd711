"""Blur, noise, erasing, Sobel, and ``Appearance`` for anything else: filters that run after geometry and colour."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
import torch.nn.functional as F
from kornia.filters import filter2d_separable, get_gaussian_kernel1d
from torch import Tensor

from equicon._checks import (
    as_tuples,
    check_int,
    check_number,
    check_positive,
    check_probability,
    check_range,
    describe,
    type_error,
    value_error,
)
from equicon._groups.affine import Affine
from equicon._plane.frames import pixel_points
from equicon._transforms.action import Action, Filter, Operation
from equicon._transforms.base import EquivariantTransform
from equicon.draw import bernoulli, device_of, log_uniform, seed, uniform


def _drawn(
    operation: Operation, parameters: Tensor, p: float, generator: torch.Generator | None, *, noisy: bool = False
) -> Action:
    """Make the action of a filter that each image gets with probability p."""
    applied = None if p == 1 else bernoulli(len(parameters), p, generator)
    drawn = Filter(operation, parameters, seed(generator) if noisy else 0, applied)
    return Action(Affine.identity(len(parameters), device=parameters.device), filters=(drawn,))


def _nothing(batch_size: int, generator: torch.Generator | None) -> Tensor:
    return torch.empty(batch_size, 0, device=device_of(generator))


@final
@dataclass(frozen=True)
class RandomGaussianBlur(EquivariantTransform):
    """Blur each image by a Gaussian, with Kornia's kernels and filter.

    Args:
        kernel_size: odd, in pixels of the view; SimCLR takes a tenth of the image's side.
        sigma: (lowest, highest) standard deviation in pixels of the view, above 0.
        p: in [0, 1], decided for each image.

    Raises:
        ValueError: if kernel_size is even, or reaches twice the size of a view; if a sigma is not above 0.

    Examples:
        >>> views, g = RandomGaussianBlur(7, (0.1, 2.0))(torch.rand(4, 3, 64, 64))

    Source: SimCLR (Chen et al. 2020, arXiv 2002.05709), appendix A.
    """

    kernel_size: int
    sigma: tuple[float, float] = (0.1, 2.0)
    p: float = 0.5

    def __post_init__(self) -> None:
        check_probability("p", self.p)
        if check_int("kernel_size", self.kernel_size, low=1) % 2 == 0:
            raise value_error("kernel_size", "an odd number", self.kernel_size)
        check_positive("sigma", check_range("sigma", self.sigma)[0])
        as_tuples(self)

    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        return _drawn(self._apply, uniform(batch_size, self.sigma, generator)[:, None], self.p, generator)

    def _apply(self, views: Tensor, parameters: Tensor, seed: int, anchor: Tensor | None) -> Tensor:
        if self.kernel_size // 2 >= min(views.shape[-2:]):
            fix = f"Take at most {2 * min(views.shape[-2:]) - 1}."
            raise value_error("kernel_size", "a kernel below twice the view's size", self.kernel_size, fix)
        # Not gaussian_blur2d: of Kornia 0.9.0 it reads sigma back from the device.
        kernel = get_gaussian_kernel1d(self.kernel_size, parameters.to(views.dtype))
        blurred: Tensor = filter2d_separable(views, kernel, kernel)
        return blurred


@final
@dataclass(frozen=True)
class RandomGaussianNoise(EquivariantTransform):
    """Add Gaussian noise to each pixel and channel, without a clamp. An ``Action`` replays the same noise.

    It seeds a generator while it runs, so it is outside ``torch.compile(fullgraph=True)``.

    Args:
        std: standard deviation, at least 0, in the range of the images, [0, 1].
        p: in [0, 1], decided for each image.

    Examples:
        >>> views, g = RandomGaussianNoise(0.05)(torch.rand(4, 3, 64, 64))
    """

    std: float = 0.1
    p: float = 0.5

    def __post_init__(self) -> None:
        check_probability("p", self.p)
        check_number("std", self.std, low=0.0)

    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        return _drawn(self._apply, _nothing(batch_size, generator), self.p, generator, noisy=True)

    def _apply(self, views: Tensor, parameters: Tensor, seed: int, anchor: Tensor | None) -> Tensor:
        generator = torch.Generator(views.device).manual_seed(seed)
        return views + self.std * torch.randn(views.shape, generator=generator, device=views.device, dtype=views.dtype)


@final
@dataclass(frozen=True)
class RandomErasing(EquivariantTransform):
    """Paint over a rectangle of each image: the paper's cut-out where an ``anchor``, such as a joint, is its centre.

    Without an anchor the rectangle lies anywhere inside the view; with one it is centred there and cut off at the
    borders.

    Args:
        scale: (lowest, highest) share of the view's area, in (0, 1].
        ratio: (lowest, highest) width over height, drawn evenly on a log scale.
        value: the grey to paint with, or a range (lowest, highest) to draw it from.
        p: in [0, 1], decided for each image.

    Raises:
        ValueError: if a share is outside (0, 1], a ratio is not above 0, or lowest > highest.

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
        check_probability("p", self.p)
        check_positive("scale", check_range("scale", self.scale, low=0.0, high=1.0)[0])
        check_positive("ratio", check_range("ratio", self.ratio)[0])
        self._values()
        as_tuples(self)

    def _values(self) -> tuple[float, float]:
        if isinstance(self.value, int | float):
            value = check_number("value", self.value)
            return value, value
        return check_range("value", self.value)

    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        area = uniform(batch_size, self.scale, generator)
        ratio = log_uniform(batch_size, self.ratio, generator)
        x, y = (uniform(batch_size, (0.0, 1.0), generator) for _ in "xy")
        value = uniform(batch_size, self._values(), generator)
        return _drawn(self._apply, torch.stack([area, ratio, x, y, value], -1), self.p, generator)

    def _apply(self, views: Tensor, parameters: Tensor, seed: int, anchor: Tensor | None) -> Tensor:
        size = (views.shape[-2], views.shape[-1])
        area, ratio, x, y, value = parameters.to(views.dtype).unbind(-1)
        columns = (area * ratio * size[0] * size[1]).sqrt().clamp(max=size[1])
        rows = (area / ratio * size[0] * size[1]).sqrt().clamp(max=size[0])
        if anchor is None:
            room = torch.stack([(2 * x - 1) * (size[1] - columns), (2 * y - 1) * (size[0] - rows)], -1)
            anchor = pixel_points(room / min(size), size)
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
    """Replace each channel by the magnitude of its gradient: the values of Kornia's ``sobel``, up to rounding.

    Args:
        p: in [0, 1], decided for each image.

    Examples:
        >>> views, g = RandomSobel(0.5)(torch.rand(4, 3, 64, 64))
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        check_probability("p", self.p)

    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        return _drawn(self._apply, _nothing(batch_size, generator), self.p, generator)

    def _apply(self, views: Tensor, parameters: Tensor, seed: int, anchor: Tensor | None) -> Tensor:
        # Not Kornia's sobel, which copies its kernel to the device each time, and waits: sums of slices.
        padded = F.pad(views, (1, 1, 1, 1), mode="replicate")
        across, down = padded[..., 2:] - padded[..., :-2], padded[:, :, 2:] - padded[:, :, :-2]
        x = across[:, :, 2:] + 2 * across[:, :, 1:-1] + across[:, :, :-2]
        y = down[..., 2:] + 2 * down[..., 1:-1] + down[..., :-2]
        return ((x.square() + y.square()) / 64 + 1e-6).sqrt()


@final
@dataclass(frozen=True)
class Appearance(EquivariantTransform):
    """Run any operation on image batches that moves no pixel: a Kornia augmentation, a torchvision one, your own.

    The global generator is seeded by the action's own seed around the call, and restored after it, so an ``Action``
    replays the operation. What it draws for each image and what for the whole batch is its own affair. Geometry does
    not belong here: the returned matrix would not know of it.

    Args:
        module: called with views (B, C, h, w), floating; must return the same shape. torch's global generators are
            the only
            randomness that is replayed.

    Raises:
        TypeError: if it cannot be called, or returns something else than a tensor.
        ValueError: if it changes the shape.

    Examples:
        >>> from kornia.augmentation import RandomSolarize
        >>> views, g = Appearance(RandomSolarize(p=0.2))(torch.rand(4, 3, 64, 64))
    """

    module: Callable[[Tensor], Any]

    def __post_init__(self) -> None:
        if not callable(self.module):
            raise type_error("module", "something to call with a batch of images", self.module)

    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        return _drawn(self._apply, _nothing(batch_size, generator), 1, generator, noisy=True)

    def _apply(self, views: Tensor, parameters: Tensor, seed: int, anchor: Tensor | None) -> Tensor:
        cuda = views.device.type == "cuda"
        with torch.random.fork_rng(devices=[views.device] if cuda else []):
            torch.default_generator.manual_seed(seed)
            if cuda:
                with torch.cuda.device(views.device):
                    torch.cuda.manual_seed(seed)
            result = self.module(views.clone())
        if not isinstance(result, Tensor):
            raise type_error("module", "a module that returns a tensor", f"{describe(result)} from {self.module!r}")
        if result.shape != views.shape:
            fix = "An operation that moves pixels or resizes belongs into Affine."
            raise value_error(
                "module", f"views of shape {tuple(views.shape)}", f"{describe(result)} from {self.module!r}", fix
            )
        return result.to(views.dtype)
