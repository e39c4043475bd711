"""``RandomGaussianNoise``: noise that an action replays, image by image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from typing_extensions import override

from equicon import draw
from equicon._checks import LARGEST, check_number, check_probability, plain_fields
from equicon._transforms.action import Action
from equicon._transforms.base import EquivariantTransform
from equicon._transforms.filter import Filter
from equicon._transforms.filters import filtering

_OTHER = 0x1E3779B9  # any number: it turns the first hash into a second one


@final
@dataclass(frozen=True)
class RandomGaussianNoise(EquivariantTransform):
    """Add Gaussian noise to each pixel and channel, without a clamp. An ``Action`` replays the same noise.

    Each image has a seed of its own. The noise is a function of the seed, so it is the same on every device. The frames
    of a clip share the seed, and so the noise.

    Args:
        std: Standard deviation in [0, 1e4], for images in [0, 1].
        p: Probability in [0, 1], drawn for each image separately.

    Examples:
        >>> views, g = RandomGaussianNoise(0.05)(torch.rand(4, 3, 64, 64))
    """

    std: float = 0.1
    p: float = 0.5

    def __post_init__(self) -> None:
        plain_fields(self)
        check_probability("p", self.p)
        check_number("std", self.std, low=0.0, high=LARGEST)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        seeds = draw.integers(batch_size, 0, 2**62, generator)
        return filtering(_Noise(seeds, self.std), batch_size, self.p, generator)


@final
@dataclass(frozen=True)
class _Noise(Filter):
    seeds: Tensor
    std: float

    @override
    def apply(self, views: Tensor, anchor: Tensor | None = None) -> Tensor:
        return views + self.std * _normal(self.seeds, views.shape[1:]).to(views.dtype)


def _normal(seeds: Tensor, shape: Sequence[int]) -> Tensor:
    """Draw normal numbers ``(B, *shape)``, float32, from seeds (B,). Those of an image depend on its seed alone.

    One generator of torch draws for a whole batch. One generator for each image would mean seeds on the host, and as
    many small kernels on a GPU. So each number is a function of its seed and its place: two hashes of both, which the
    formula of Box and Muller (1958) turns into a normal number.
    """
    count = math.prod(shape)
    pairs = torch.arange(-(-count // 2), dtype=torch.int32, device=seeds.device)
    key = _hash(_hash(seeds.to(torch.int32)) ^ (seeds >> 32).to(torch.int32))
    first = _hash(key[:, None] ^ _hash(pairs))
    second = _hash(first ^ _OTHER)
    radius = _bits(first, 8).float().add_(1).mul_(2.0**-24).log_().mul_(-2).sqrt_()
    angle = _bits(second, 8).float().mul_(2 * math.pi * 2.0**-24)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :count].reshape(-1, *shape)


def _hash(x: Tensor) -> Tensor:
    """Mix the bits of int32 numbers by Wellons' lowbias32 (2018). Products wrap around."""
    x = (x ^ _bits(x, 16)).mul_(0x7FEB352D)
    x = x.bitwise_xor_(_bits(x, 15)).mul_(0x846CA68B - 2**32)
    return x.bitwise_xor_(_bits(x, 16))


def _bits(x: Tensor, count: int) -> Tensor:
    """Shift int32 to the right as if they had no sign."""
    return (x >> count).bitwise_and_(2 ** (32 - count) - 1)
