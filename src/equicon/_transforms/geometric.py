"""Rotations, translations, scales, shears and flips, all about the image's centre in the unit frame."""

from dataclasses import dataclass
from typing import Any, TypeAlias, final

import torch
from torch import Tensor
from typing_extensions import override

from equicon import draw
from equicon._checks import (
    check_factors,
    check_number,
    check_probability,
    check_symmetric,
    plain_fields,
    symmetric,
    type_error,
    value_error,
)
from equicon._plane.matrix import linear_matrix, matmul, rotation
from equicon._transforms.action import Action, geometry
from equicon._transforms.base import EquivariantTransform

Span: TypeAlias = float | tuple[float, float]
"""A number a, which means the range (−a, a), or the range itself."""

_FARTHEST = 3600.0
"""Largest rotation in degrees: ten turns. Beyond it, float32 does not resolve a thousandth of a degree."""

_STEEPEST = 89.9
"""Largest shear in degrees. At 90, an upright line has no image."""


def _check_fractions(argument: str, value: Any) -> None:
    several = isinstance(value, tuple)
    if several and len(value) != 2:
        raise type_error(argument, "a number or a pair (x, y)", value)
    for fraction in value if several else (value,):
        _check_fraction(argument, fraction)


def _check_fraction(argument: str, value: Any) -> None:
    if check_number(argument, value, low=0.0) > 1:  # a larger shift leaves nothing of a square image
        raise value_error(argument, "a share of the side, in [0, 1]", value, "Divide pixels by the shorter side.")


def diagonal(x: Tensor, y: Tensor) -> Tensor:
    """Put factors (B,) of the two axes into matrices (B, 2, 2)."""
    zero = torch.zeros_like(x)
    return linear_matrix(x, zero, zero, y)


def _rotations(batch_size: int, span: Span, generator: torch.Generator | None) -> Tensor:
    return rotation(torch.deg2rad(draw.uniform(batch_size, *symmetric(span), generator)))


def _shears(batch_size: int, span: Span, generator: torch.Generator | None) -> Tensor:
    slope = torch.deg2rad(draw.uniform(batch_size, *symmetric(span), generator)).tan()
    one, zero = torch.ones_like(slope), torch.zeros_like(slope)
    return linear_matrix(one, slope, zero, one)


def _shifts(batch_size: int, fraction: float | tuple[float, float], generator: torch.Generator | None) -> Tensor:
    x, y = fraction if isinstance(fraction, tuple) else (fraction, fraction)
    return torch.stack([draw.uniform(batch_size, -2 * a, 2 * a, generator) for a in (x, y)], -1)


@final
@dataclass(frozen=True)
class RandomRotation(EquivariantTransform):
    """Turn each image about its centre.

    Convention: positive degrees turn the picture counter-clockwise on the screen, as in OpenCV, torchvision's
    ``rotate`` and Kornia's ``RandomRotation``.

    Args:
        degrees: A number a for angles in (−a, a), or a range (lowest, highest); at most ten turns to either side.

    Raises:
        ValueError: If a is negative, an angle is beyond ten turns, or lowest > highest.

    Examples:
        >>> views, g = RandomRotation(45)(torch.rand(4, 3, 64, 64))
        >>> bool((g.degrees.abs() <= 45).all())
        True
    """

    degrees: Span

    def __post_init__(self) -> None:
        plain_fields(self)
        check_symmetric("degrees", self.degrees, limit=_FARTHEST)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        return geometry(_rotations(batch_size, self.degrees, generator))


@final
@dataclass(frozen=True)
class RandomTranslate(EquivariantTransform):
    """Shift each image, by an amount of its own on each axis.

    Convention: a fraction is a share of the image's shorter side, which is the side of the centred square. So 0.1
    shifts by up to 0.2 units, or 6.4 pixels of 64. Positive x moves the picture right, and positive y moves it down.

    Args:
        fraction: A number a for shifts in (−a, a) on both axes, or a pair (x, y) of such numbers, in [0, 1].

    Raises:
        ValueError: If a fraction is not in [0, 1].

    Examples:
        >>> views, g = RandomTranslate(0.1)(torch.rand(4, 3, 64, 64))
        >>> bool((g.translation.abs() <= 0.2).all())
        True
    """

    fraction: float | tuple[float, float]

    def __post_init__(self) -> None:
        plain_fields(self)
        _check_fractions("fraction", self.fraction)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        shift = _shifts(batch_size, self.fraction, generator)
        one = torch.ones_like(shift[:, 0])
        return geometry(diagonal(one, one), shift)


@final
@dataclass(frozen=True)
class RandomScale(EquivariantTransform):
    """Magnify or shrink each image about its centre.

    Convention: a factor above 1 magnifies. The crop *margin* of the PeCLR paper is the inverse: above 1 it shrinks.

    Args:
        range: (lowest, highest) factor, in [1e-4, 1e4].

    Raises:
        ValueError: If a factor is out of range, or lowest > highest.

    Examples:
        >>> views, g = RandomScale((0.8, 1.2))(torch.rand(4, 3, 64, 64))
    """

    range: tuple[float, float]

    def __post_init__(self) -> None:
        plain_fields(self)
        check_factors("range", self.range)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        factor = draw.uniform(batch_size, *self.range, generator)
        return geometry(diagonal(factor, factor))


@final
@dataclass(frozen=True)
class RandomShear(EquivariantTransform):
    """Lean each image sideways: x ↦ x + tan(degrees) · y.

    Convention: positive degrees lean upright lines counter-clockwise (the top goes left), as a positive rotation does.
    torchvision's ``affine`` and Kornia's ``RandomShear`` lean the other way.

    Args:
        degrees: A number a for angles in (−a, a), or a range (lowest, highest), inside [−89.9, 89.9].

    Raises:
        ValueError: If an angle is beyond 89.9 degrees to either side, or lowest > highest.

    Examples:
        >>> views, g = RandomShear(10)(torch.rand(4, 3, 64, 64))
    """

    degrees: Span

    def __post_init__(self) -> None:
        plain_fields(self)
        check_symmetric("degrees", self.degrees, limit=_STEEPEST)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        return geometry(_shears(batch_size, self.degrees, generator))


@final
@dataclass(frozen=True)
class RandomHorizontalFlip(EquivariantTransform):
    """Mirror each image left to right with probability p.

    Args:
        p: Probability in [0, 1], drawn for each image separately.

    Examples:
        >>> views, g = RandomHorizontalFlip(1.0)(torch.rand(4, 3, 64, 64))
        >>> g.linear[0]
        tensor([[-1.,  0.],
                [ 0.,  1.]])
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        plain_fields(self)
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
        p: Probability in [0, 1], drawn for each image separately.

    Examples:
        >>> views, g = RandomVerticalFlip(0.5)(torch.rand(4, 3, 64, 64))
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        plain_fields(self)
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
        degrees: As in ``RandomRotation``.
        translate: As in ``RandomTranslate``. None does not shift.
        scale: As in ``RandomScale``. None does not scale.
        shear: As in ``RandomShear``. None does not shear.

    Examples:
        >>> views, g = RandomAffine(45, translate=0.1, scale=(0.8, 1.2), shear=10)(torch.rand(4, 3, 64, 64))
    """

    degrees: Span
    translate: float | tuple[float, float] | None = None
    scale: tuple[float, float] | None = None
    shear: Span | None = None

    def __post_init__(self) -> None:
        plain_fields(self)
        check_symmetric("degrees", self.degrees, limit=_FARTHEST)
        if self.translate is not None:
            _check_fractions("translate", self.translate)
        if self.scale is not None:
            check_factors("scale", self.scale)
        if self.shear is not None:
            check_symmetric("shear", self.shear, limit=_STEEPEST)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        one = torch.ones(batch_size, device=draw.device_of(generator), dtype=torch.float32)
        linear = diagonal(one, one)
        if self.shear is not None:
            linear = _shears(batch_size, self.shear, generator)
        if self.scale is not None:
            linear = draw.uniform(batch_size, *self.scale, generator)[:, None, None] * linear
        linear = matmul(_rotations(batch_size, self.degrees, generator), linear)
        if self.translate is None:
            return geometry(linear)
        return geometry(linear, _shifts(batch_size, self.translate, generator))
