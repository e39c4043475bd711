"""``RandomResizedCrop``, about the image's centre in the unit frame."""

from dataclasses import dataclass
from typing import Any, final

import torch
from typing_extensions import override

from equicon import draw
from equicon._checks import check_factors, describe, plain_fields, type_error, value_error
from equicon._transforms.action import Action, geometry
from equicon._transforms.base import EquivariantTransform
from equicon._transforms.geometric import diagonal


@final
@dataclass(frozen=True)
class RandomResizedCrop(EquivariantTransform):
    """Crop a part of the centred square and stretch it to the whole: the crop of SimCLR and of ImageNet training.

    The crop has exactly the drawn share of the area. If a crop of that area and of the drawn ratio does not fit inside
    the square, the nearest ratio that fits is taken.

    Give the size of the views in the call. In torchvision and Kornia, it is an argument of the transform.

    Args:
        scale: (lowest, highest) share of the square's area, in [1e-4, 1]. A share below 1 magnifies.
        ratio: (lowest, highest) width over height of the crop, in [1e-4, 1e4], drawn uniformly on a log scale.

    Raises:
        ValueError: If a share is outside [1e-4, 1], a ratio is outside [1e-4, 1e4], or lowest > highest.

    Examples:
        >>> views, g = RandomResizedCrop((0.25, 1.0))(torch.rand(4, 3, 64, 64), size=(32, 32))
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        plain_fields(self)
        _refuse_size(self.scale)
        check_factors("scale", self.scale, high=1.0)
        check_factors("ratio", self.ratio)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        area = draw.uniform(batch_size, *self.scale, generator)
        ratio = draw.log_uniform(batch_size, *self.ratio, generator)
        ratio = torch.minimum(torch.maximum(ratio, area), 1 / area)
        side = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], -1)
        position = torch.stack([draw.uniform(batch_size, -1.0, 1.0, generator) for _ in "xy"], -1)
        return geometry(diagonal(*(1 / side).unbind(-1)), -position * (1 - side) / side)


def _refuse_size(scale: Any) -> None:
    """Raise an error for a user who gives the size first, as in torchvision and Kornia, and say where it goes."""
    numbers = scale if isinstance(scale, tuple) else (scale,)
    if numbers and all(isinstance(number, int) and number > 1 for number in numbers):
        make = value_error if isinstance(scale, tuple) else type_error
        size = f"{numbers[0]}, {numbers[-1]}"
        fix = f"Give the size of the views in the call: transform(images, size=({size}))."
        raise make("scale", "(lowest, highest) share of the area, in [1e-4, 1]", describe(scale), fix)
