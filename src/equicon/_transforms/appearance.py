"""``Appearance``: any operation on image batches that moves no pixel, as a transform."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self, final

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
from equicon._transforms.looks import fault_of_module


@final
@dataclass(frozen=True)
class Appearance(EquivariantTransform):
    """Wrap any operation on image batches that moves no pixel: an augmentation of Kornia or torchvision, or your own.

    torch's global generators are seeded with the action's seed before the call, and restored after it. So an ``Action``
    replays the operation on the same batch. The operation decides which numbers it draws for each image and which for
    the whole batch. So part of the action, ``action[i]``, draws other numbers than the whole action.

    For clips (B, T, C, H, W), the operation is called once for each of T frames, with the B pictures of that frame and
    the same seed. So the frames of a clip share what the operation draws for each image.

    Do not wrap geometry: the returned matrix would not contain it. A ``UserWarning`` says if the operation is known to
    move pixels, or to draw once for the whole batch, as torchvision's augmentations do.

    Args:
        module: Called with views (B, C, h, w), floating. It must return a tensor of the same shape. Only randomness
            from torch's global generators is replayed.

    Raises:
        TypeError: If the module cannot be called, or does not return a tensor.
        ValueError: If the module changes the shape.

    Examples:
        >>> from kornia.augmentation import RandomSolarize
        >>> views, g = Appearance(RandomSolarize(p=0.2))(torch.rand(4, 3, 64, 64))
    """

    module: Callable[[Tensor], Any]

    def __post_init__(self) -> None:
        if not callable(self.module):
            raise type_error("module", "something to call with a batch of images", describe(self.module))
        fault = fault_of_module(self.module)
        if fault:
            warnings.warn(f"module: {fault}", UserWarning, stacklevel=3)  # past the dataclass's own __init__

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        return filtering(Wrapped(self.module, draw._seed_on_host(generator)), batch_size, 1, generator)


@final
@dataclass(frozen=True)
class Wrapped(Filter):
    """Runs a module on all views, with the global generators seeded by its own seed.

    ``frames`` views in a row belong to one clip. The module is then called with the first frame of all clips, with the
    second, and so on, and draws the same for each.
    """

    module: Callable[[Tensor], Any]
    seed: int
    frames: int = 1

    @override
    def _select(self, index: Any) -> Self:
        return replace(super()._select(index), frames=1)  # what is left need not be whole clips

    @override
    def _repeat(self, index: Tensor, repeats: int) -> Self:
        return replace(super()._repeat(index, repeats), frames=self.frames * repeats)

    @override
    def apply(self, views: Tensor, anchor: Tensor | None = None) -> Tensor:
        if self.frames > 1:
            each = views.unflatten(0, (-1, self.frames)).unbind(1)
            return torch.stack([self._call(frame) for frame in each], 1).flatten(0, 1)
        return self._call(views)

    def _call(self, views: Tensor) -> Tensor:
        with seeded(views.device, self.seed):
            result = self.module(views.clone())
        if not isinstance(result, Tensor):
            raise type_error("module", "a module that returns a tensor", f"{describe(result)} from {self.module!r}")
        if result.shape != views.shape:
            fix = "Appearance must not move pixels or resize. For that, give the matrix: Affine.from_pixels."
            raise value_error(
                "module", f"views of shape {tuple(views.shape)}", f"{describe(result)} from {self.module!r}", fix
            )
        return result.to(views.dtype)
