"""``Appearance``: any operation on image batches that moves no pixel, as a transform."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from typing_extensions import override

from equicon import draw
from equicon._checks import describe, type_error, value_error
from equicon._devices import seeded
from equicon._transforms.action import Action
from equicon._transforms.base import EquivariantTransform
from equicon._transforms.filter import Filter
from equicon._transforms.filters import filtering


@final
@dataclass(frozen=True)
class Appearance(EquivariantTransform):
    """Run any operation on image batches that moves no pixel: a Kornia augmentation, a torchvision one, your own.

    The global generator is seeded by the action's own seed around the call, and restored after it, so an ``Action``
    replays the operation on the same batch. What it draws for each image and what for the whole batch is its own
    affair, so a part of the action, ``action[i]``, draws other numbers for its part. Geometry does not belong here: the
    returned matrix would not know of it.

    Args:
        module: called with views (B, C, h, w), floating; must return the same shape. torch's global generators are
            the only randomness that is replayed.

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

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        return filtering(Wrapped(self.module, draw._seed_on_host(generator)), batch_size, 1, generator)


@final
@dataclass(frozen=True)
class Wrapped(Filter):
    """Runs a module on all views, with a seed of its own."""

    module: Callable[[Tensor], Any]
    seed: int

    @override
    def apply(self, views: Tensor, anchor: Tensor | None = None) -> Tensor:
        with seeded(views.device, self.seed):
            result = self.module(views.clone())
        if not isinstance(result, Tensor):
            raise type_error("module", "a module that returns a tensor", f"{describe(result)} from {self.module!r}")
        if result.shape != views.shape:
            fix = "What moves pixels or resizes needs its matrix: Affine.from_pixels."
            raise value_error(
                "module", f"views of shape {tuple(views.shape)}", f"{describe(result)} from {self.module!r}", fix
            )
        return result.to(views.dtype)
