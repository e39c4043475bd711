"""Rotations, translations, scales, shears and flips, all about the image's centre in the unit frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import torch
from torch import Tensor
from typing_extensions import override

from equicon import draw
from equicon._checks import as_tuples, check_factors, check_number, check_probability, check_symmetric, type_error
from equicon._plane.matrix import linear_matrix, matmul, rotation
from equicon._transforms.action import Action, geometry
from equicon._transforms.base import EquivariantTransform

Span: TypeAlias = float | tuple[float, float]
"""A number a for the range (−a, a), or the range itself."""

_STEEPEST = 89.9
"""Degrees of shear: at 90 an upright line has no image."""


def _fractions(argument: str, value: float | tuple[float, float]) -> tuple[float, float]:
    if not isinstance(value, Sequence):
        limit = check_number(argument, value, low=0.0)
        return limit, limit
    if len(value) != 2:
        raise type_error(argument, "a number or a pair (x, y)", value)
    x, y = (check_number(argument, v, low=0.0) for v in value)
    return x, y


def diagonal(x: Tensor, y: Tensor) -> Tensor:
    """Put factors (B,) of the two axes into matrices (B, 2, 2)."""
    zero = torch.zeros_like(x)
    return linear_matrix(x, zero, zero, y)


def _rotations(batch_size: int, span: tuple[float, float], generator: torch.Generator | None) -> Tensor:
    return rotation(torch.deg2rad(draw.uniform(batch_size, *span, generator)))


def _shears(batch_size: int, span: tuple[float, float], generator: torch.Generator | None) -> Tensor:
    slope = torch.deg2rad(draw.uniform(batch_size, *span, generator)).tan()
    one, zero = torch.ones_like(slope), torch.zeros_like(slope)
    return linear_matrix(one, slope, zero, one)


def _shifts(batch_size: int, fractions: tuple[float, float], generator: torch.Generator | None) -> Tensor:
    return torch.stack([draw.uniform(batch_size, -2 * a, 2 * a, generator) for a in fractions], -1)


@final
@dataclass(frozen=True)
class RandomRotation(EquivariantTransform):
    """Turn each image about its centre.

    Convention: positive degrees turn the picture counter-clockwise on the screen, as in OpenCV, torchvision's
    ``rotate`` and Kornia's ``RandomRotation``.

    Args:
        degrees: a for angles from (−a, a), or a range (lowest, highest).

    Raises:
        ValueError: if a is negative or lowest > highest.

    Examples:
        >>> views, g = RandomRotation(45)(torch.rand(4, 3, 64, 64))
        >>> bool((g.degrees.abs() <= 45).all())
        True
    """

    degrees: Span

    def __post_init__(self) -> None:
        check_symmetric("degrees", self.degrees)
        as_tuples(self)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        return geometry(_rotations(batch_size, check_symmetric("degrees", self.degrees), generator))


@final
@dataclass(frozen=True)
class RandomTranslate(EquivariantTransform):
    """Shift each image, on each axis by its own amount.

    Convention: fractions are of the side of the centred square, the image's shorter side: 0.1 shifts by up to 0.2
    units, which is up to 6.4 pixels of 64. Positive values of x move the picture right, of y down.

    Args:
        fraction: one number a for (−a, a) on both axes, or a pair (x, y) of such numbers.

    Raises:
        ValueError: if a fraction is negative.

    Examples:
        >>> views, g = RandomTranslate(0.1)(torch.rand(4, 3, 64, 64))
        >>> bool((g.translation.abs() <= 0.2).all())
        True
    """

    fraction: float | tuple[float, float]

    def __post_init__(self) -> None:
        _fractions("fraction", self.fraction)
        as_tuples(self)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        shift = _shifts(batch_size, _fractions("fraction", self.fraction), generator)
        one = torch.ones_like(shift[:, 0])
        return geometry(diagonal(one, one), shift)


@final
@dataclass(frozen=True)
class RandomScale(EquivariantTransform):
    """Magnify or shrink each image about its centre.

    Convention: above 1 magnifies. The crop *margin* of the PeCLR paper is the inverse: above 1 it shrinks.

    Args:
        range: (lowest, highest) factor, above 0.

    Raises:
        ValueError: if a factor is not above 0 or lowest > highest.

    Examples:
        >>> views, g = RandomScale((0.8, 1.2))(torch.rand(4, 3, 64, 64))
    """

    range: tuple[float, float]

    def __post_init__(self) -> None:
        check_factors("range", self.range)
        as_tuples(self)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        factor = draw.uniform(batch_size, *self.range, generator)
        return geometry(diagonal(factor, factor))


@final
@dataclass(frozen=True)
class RandomShear(EquivariantTransform):
    """Lean each image sideways: x ↦ x + tan(degrees) · y.

    Convention: positive degrees lean upright lines counter-clockwise (the top goes left), the sense of a positive
    rotation. torchvision's ``affine`` and Kornia's ``RandomShear`` lean the other way.

    Args:
        degrees: a for angles from (−a, a), or a range (lowest, highest), inside (−90, 90).

    Raises:
        ValueError: if an angle reaches 90 or lowest > highest.

    Examples:
        >>> views, g = RandomShear(10)(torch.rand(4, 3, 64, 64))
    """

    degrees: Span

    def __post_init__(self) -> None:
        check_symmetric("degrees", self.degrees, limit=_STEEPEST)
        as_tuples(self)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        return geometry(_shears(batch_size, check_symmetric("degrees", self.degrees), generator))


@final
@dataclass(frozen=True)
class RandomHorizontalFlip(EquivariantTransform):
    """Mirror each image left to right with probability p.

    Args:
        p: in [0, 1], decided for each image.

    Examples:
        >>> views, g = RandomHorizontalFlip(1.0)(torch.rand(4, 3, 64, 64))
        >>> g.linear[0]
        tensor([[-1.,  0.],
                [ 0.,  1.]])
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        check_probability("p", self.p)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        sign = 1 - 2 * draw.bernoulli(batch_size, self.p, generator).float()
        return geometry(diagonal(sign, torch.ones_like(sign)))


@final
@dataclass(frozen=True)
class RandomVerticalFlip(EquivariantTransform):
    """Mirror each image top to bottom with probability p.

    Args:
        p: in [0, 1], decided for each image.

    Examples:
        >>> views, g = RandomVerticalFlip(0.5)(torch.rand(4, 3, 64, 64))
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        check_probability("p", self.p)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        sign = 1 - 2 * draw.bernoulli(batch_size, self.p, generator).float()
        return geometry(diagonal(torch.ones_like(sign), sign))


@final
@dataclass(frozen=True)
class RandomAffine(EquivariantTransform):
    """Shear, then scale, then turn, then shift each image: the four transforms in one.

    Convention: each argument means what it means in its own transform. The signs of the angles are opposite to those of
    ``RandomAffine`` in torchvision and Kornia, which turn clockwise for positive degrees.

    Args:
        degrees: of ``RandomRotation``.
        translate: of ``RandomTranslate``; no shift where None.
        scale: of ``RandomScale``; no scaling where None.
        shear: of ``RandomShear``; no shear where None.

    Examples:
        >>> views, g = RandomAffine(45, translate=0.1, scale=(0.8, 1.2), shear=10)(torch.rand(4, 3, 64, 64))
    """

    degrees: Span
    translate: float | tuple[float, float] | None = None
    scale: tuple[float, float] | None = None
    shear: Span | None = None

    def __post_init__(self) -> None:
        check_symmetric("degrees", self.degrees)
        if self.translate is not None:
            _fractions("translate", self.translate)
        if self.scale is not None:
            check_factors("scale", self.scale)
        if self.shear is not None:
            check_symmetric("shear", self.shear, limit=_STEEPEST)
        as_tuples(self)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        one = torch.ones(batch_size, device=draw.device_of(generator), dtype=torch.float32)
        linear = diagonal(one, one)
        if self.shear is not None:
            linear = _shears(batch_size, check_symmetric("shear", self.shear), generator)
        if self.scale is not None:
            linear = draw.uniform(batch_size, *self.scale, generator)[:, None, None] * linear
        linear = matmul(_rotations(batch_size, check_symmetric("degrees", self.degrees), generator), linear)
        if self.translate is None:
            return geometry(linear)
        return geometry(linear, _shifts(batch_size, _fractions("translate", self.translate), generator))
