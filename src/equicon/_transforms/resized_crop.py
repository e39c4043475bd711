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

    The share of the area is kept exactly; a ratio that does not fit inside the square with that area is brought to
    the nearest one that does.

    The size of the views goes to the call; in torchvision and Kornia it is an argument.

    Args:
        scale: (lowest, highest) share of the square's area, in [1e-4, 1]; below 1 it magnifies.
        ratio: (lowest, highest) width over height of the crop, drawn evenly on a log scale.

    Raises:
        ValueError: if a share is outside [1e-4, 1], a ratio is outside [1e-4, 1e4], or lowest > highest.

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
    """Tell who gives the size first, as torchvision and Kornia have it, where it goes."""
    numbers = scale if isinstance(scale, tuple) else (scale,)
    if numbers and all(isinstance(number, int) and number > 1 for number in numbers):
        make = value_error if isinstance(scale, tuple) else type_error
        size = f"{numbers[0]}, {numbers[-1]}"
        fix = f"The size of the views goes to the call: transform(images, size=({size}))."
        raise make("scale", "(lowest, highest) share of the area, in [1e-4, 1]", describe(scale), fix)
