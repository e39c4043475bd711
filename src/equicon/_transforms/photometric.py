"""Colour as one fused affine map, and ``Normalize``."""

import math
from dataclasses import dataclass, field
from typing import Self, TypeAlias, final

import torch
from torch import Tensor
from typing_extensions import override

from equicon import draw
from equicon._checks import (
    LARGEST,
    check_number_or_range,
    check_probability,
    check_symmetric,
    plain_fields,
    symmetric,
)
from equicon._groups.affine import Affine
from equicon._plane.matrix import constant
from equicon._transforms.action import Action
from equicon._transforms.base import EquivariantTransform
from equicon._views.color import GREY, ColorMap, Normalization

Factor: TypeAlias = float | tuple[float, float]
"""A number a, which means factors in (max(0, 1 − a), 1 + a), or the range itself."""


def _numbers(matrix: Tensor) -> tuple[float, ...]:
    return tuple(matrix.flatten().tolist())


def _matrix(*rows: tuple[float, float, float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64, device="cpu")


# RGB to YIQ (NTSC, FCC 1953); its first row is the same grey, so hue and saturation leave luminance alone.
_YIQ = _matrix(GREY, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
_QUARTER_TURN = _matrix((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))
_ONTO_GREY = GREY * 3
_HUE_COS = _numbers(torch.eye(3, dtype=torch.float64, device="cpu") - _matrix(GREY, GREY, GREY))
_HUE_SIN = _numbers(torch.linalg.inv(_YIQ) @ _QUARTER_TURN @ _YIQ)


def _constant(numbers: tuple[float, ...], device: torch.device) -> Tensor:
    return constant(numbers, device).view(3, 3)


def _factors(value: Factor) -> tuple[float, float]:
    return value if isinstance(value, tuple) else (max(0.0, 1 - value), 1 + value)


@final
@dataclass(frozen=True)
class ColorJitter(EquivariantTransform):
    """Change brightness, contrast, saturation and hue of each image.

    The four maps commute, so their order does not matter. Colours are clamped once, at the end. Contrast is relative to
    the mean grey of the warped view; in a clip, to that of each frame. Hue is a rotation of the chroma plane of YIQ,
    which keeps luminance. It is close but not equal to the shift of hue in HSV that torchvision and Kornia do.

    Convention: positive hue moves red towards yellow, as in torchvision; 1 is the full circle.

    Args:
        brightness: A number a for factors in (max(0, 1 − a), 1 + a), or a range (lowest, highest), in [0, 1e4].
        contrast: As for brightness.
        saturation: As for brightness.
        hue: A number a for shifts in (−a, a), or a range (lowest, highest), in [−0.5, 0.5].

    Raises:
        ValueError: If a factor is not in [0, 1e4], or a hue is not in [−0.5, 0.5].

    Examples:
        >>> views, g = ColorJitter(0.4, 0.4, 0.4, 0.1)(torch.rand(4, 3, 64, 64))
    """

    brightness: Factor = 0.0
    contrast: Factor = 0.0
    saturation: Factor = 0.0
    hue: Factor = 0.0

    def __post_init__(self) -> None:
        plain_fields(self)
        for name in ("brightness", "contrast", "saturation"):
            check_number_or_range(name, getattr(self, name), low=0.0, high=LARGEST)
        check_symmetric("hue", self.hue, limit=0.5)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        device = draw.device_of(generator)
        brightness = draw.uniform(batch_size, *_factors(self.brightness), generator)[:, None, None]
        contrast = draw.uniform(batch_size, *_factors(self.contrast), generator)[:, None, None]
        saturation = draw.uniform(batch_size, *_factors(self.saturation), generator)[:, None, None]
        angle = 2 * math.pi * draw.uniform(batch_size, *symmetric(self.hue), generator)[:, None, None]
        grey = _constant(_ONTO_GREY, device)
        turned = angle.cos() * _constant(_HUE_COS, device) + angle.sin() * _constant(_HUE_SIN, device)
        # All four leave grey colours grey, so their product has this closed form: chroma is turned and scaled, and grey
        # is pulled to its mean.
        pixel = brightness * contrast * (grey + saturation * turned)
        uses_mean = _factors(self.contrast) != (1, 1)
        return _coloring(ColorMap.make(pixel, brightness * (1 - contrast) * grey if uses_mean else None))


@final
@dataclass(frozen=True)
class RandomGrayscale(EquivariantTransform):
    """Turn each image to grey with probability p (the paper's colour drop).

    Args:
        p: Probability in [0, 1], drawn for each image separately.

    Examples:
        >>> views, g = RandomGrayscale(0.2)(torch.rand(4, 3, 64, 64))
    """

    p: float = 0.1

    def __post_init__(self) -> None:
        plain_fields(self)
        check_probability("p", self.p)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        applied = draw.bernoulli(batch_size, self.p, generator)
        grey = _constant(_ONTO_GREY, applied.device).repeat(batch_size, 1, 1)
        return _coloring(ColorMap.make(grey).where(applied))


@final
@dataclass(frozen=True)
class Normalize(EquivariantTransform):
    """Subtract the mean and divide by the standard deviation of each channel. It must be the last of a chain.

    Args:
        mean: One number for each channel, for images in [0, 1].
        std: One number for each channel, in [1e-4, 1e4].

    Raises:
        ValueError: If the two differ in length, or a standard deviation is out of range.

    Examples:
        >>> views, g = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))(torch.rand(4, 3, 64, 64))
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    _normalization: Normalization = field(init=False, repr=False, compare=False)

    @classmethod
    def imagenet(cls) -> Self:
        """Normalise RGB by ImageNet's mean and standard deviation, as torchvision's weights expect.

        Examples:
            >>> Normalize.imagenet()
            Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
        """
        return cls((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    def __post_init__(self) -> None:
        checked = Normalization(self.mean, self.std)
        object.__setattr__(self, "mean", checked.mean)
        object.__setattr__(self, "std", checked.std)
        object.__setattr__(self, "_normalization", checked)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        affine = Affine.identity(batch_size, device=draw.device_of(generator))
        return Action(affine, normalization=self._normalization)

    @property
    @override
    def _normalizes(self) -> bool:
        return True


def _coloring(color: ColorMap) -> Action:
    return Action(Affine.identity(color.matrix.shape[0], device=color.matrix.device), color)
