"""``EquivariantTransform``, ``Compose`` and ``RandomApply``: distributions over actions."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import final

import torch
from torch import Tensor
from typing_extensions import override

from equicon import draw
from equicon._checks import (
    check_batch,
    check_generator,
    check_images,
    check_int,
    check_probability,
    describe,
    is_several,
    plain_fields,
    type_error,
    value_error,
)
from equicon._groups.affine import Affine
from equicon._transforms.action import Action
from equicon._transforms.apply import apply_action
from equicon._views.warp import PaddingMode


@dataclass(frozen=True)
class EquivariantTransform(ABC):
    """A distribution over actions on images: draw one for each image, apply it, keep its matrix.

    A transform holds its configuration and nothing that was drawn. To write your own, make a frozen dataclass with a
    method ``_draw(batch_size, generator) -> Action``. The method draws with the functions of ``equicon.draw``, on the
    generator's device, or on the CPU if the generator is None. Test your transform with
    ``equicon.testing.assert_transform``.

    Laws: the returned ``Affine`` moves points to where the pixels under them go; the same CPU generator gives the same
    parameters on every device; images are not changed in place.

    Examples:
        >>> augment: EquivariantTransform = Compose([RandomRotation(45), RandomGrayscale(0.2)])
        >>> views, g = augment(torch.rand(4, 3, 64, 64), size=(32, 32))
    """

    @abstractmethod
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        """Draw one action for each of ``batch_size`` images, on the generator's device."""

    @property
    def _normalizes(self) -> bool:
        """Whether the transform's actions normalise. If so, nothing may come after it."""
        return False

    @final
    def _checked_draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        action = self._draw(batch_size, generator)
        if not isinstance(action, Action):
            fix = "Write Action(affine)."
            raise type_error(f"{type(self).__name__}._draw", "an Action in return", describe(action), fix)
        check_batch(f"{type(self).__name__}._draw", action, batch_size, "the images")
        return action

    def sample(
        self,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> Action:
        """Draw one action for each image, without waiting for a device.

        Args:
            batch_size: How many images to draw for.
            generator: Source of randomness; None takes torch's global CPU generator.
            device: The device where the action will be applied. By default the device where it was drawn: the
                generator's, or the CPU.

        Examples:
            >>> len(RandomRotation(45).sample(8, generator=torch.Generator().manual_seed(0)))
            8
        """
        batch_size = check_int("batch_size", batch_size, low=0)
        check_generator(generator)
        action = self._checked_draw(batch_size, generator)
        return action if device is None else action.to(device)

    def __call__(
        self,
        images: Tensor,
        *,
        size: tuple[int, int] | None = None,
        frame: Affine | None = None,
        anchor: Tensor | None = None,
        dtype: torch.dtype | None = None,
        memory_format: torch.memory_format = torch.contiguous_format,
        padding_mode: PaddingMode = "zeros",
        rgb_first: bool = False,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Affine]:
        """Draw an action and apply it.

        On a CPU, a few pixels of each image are checked. A ``UserWarning`` says if their values are not those that
        colour or ``Normalize`` expect. ``equicon.testing.check_pipeline`` checks more, on any device.

        Args:
            images: (B, C, H, W), or clips (B, T, C, H, W), uint8 or floating in [0, 1]. All frames of a clip have one
                draw.
            size: (h, w) of the views; the source's by default.
            frame: Applied before the action, such as a crop around the hand. For clips, B elements, or B · T.
            anchor: (B, 2), a point of the source in pixels, for transforms that use one (``RandomErasing``). For clips,
                (B, 2), or (B · T, 2).
            dtype: Type of the views. By default float32 for uint8 images, else the images' own.
            memory_format: Memory format of the views. Give ``torch.channels_last`` if the encoder uses it.
            padding_mode: What lies outside the source: ``zeros``, ``border`` or ``reflection``.
            rgb_first: Whether images of more than three channels begin with red, green and blue, on which colour acts.
            generator: Source of randomness; None takes torch's global CPU generator.

        Returns:
            Views (B, C, h, w), and the ``Affine`` from the source (or the frame) to the views. For clips, views
            (B, T, C, h, w), and an ``Affine`` of B elements: ``g.points`` moves points (B, T, K, 2) of all frames.

        Raises:
            ValueError: If shapes, batch sizes or devices do not fit, or memory_format or padding_mode is not known.
            TypeError: If images are of an integer type other than uint8, frame is not an ``Affine``, generator is not a
                ``torch.Generator``, or dtype is not float16, bfloat16, float32 or float64.

        Examples:
            >>> views, g = RandomRotation(45)(torch.rand(4, 3, 64, 64), size=(32, 32))
        """
        check_images(images, clips=True)
        action = self.sample(images.shape[0], generator=generator, device=images.device)
        given = (size, frame, anchor, dtype, memory_format, padding_mode, rgb_first)
        return apply_action(action, images, *given), action.affine


@final
@dataclass(frozen=True, repr=False)
class Compose(EquivariantTransform):
    """Chain transforms into one warp, one colour map, and the filters that cannot be fused.

    Geometry and colour commute. So geometry runs first, as one warp, and then colour, as one map that is clamped once.
    Filters (blur, noise, erasing, Sobel, anything in ``Appearance``) run after both, in the order given. ``Normalize``
    comes last.

    Args:
        transforms: A list of at least one transform. A ``Compose`` may contain others.

    Raises:
        ValueError: If there are no transforms, or any comes after ``Normalize``.
        TypeError: If one is not an ``EquivariantTransform``.

    Examples:
        >>> augment = Compose([RandomRotation(45), RandomScale((0.8, 1.2)), ColorJitter(0.4, 0.4, 0.4, 0.1)])
        >>> views, g = augment(torch.rand(4, 3, 64, 64))
    """

    transforms: Sequence[EquivariantTransform]

    def __post_init__(self) -> None:
        if not is_several(self.transforms):
            raise type_error("transforms", "a list of transforms", describe(self.transforms))
        if len(self.transforms) == 0:
            raise value_error("transforms", "at least one transform", "none")
        for i, transform in enumerate(self.transforms):
            check_transform(f"transforms[{i}]", transform)
        for i, transform in enumerate(self.transforms[:-1]):
            if transform._normalizes:
                after = f"transforms[{i}] with {type(self.transforms[i + 1]).__name__} after it"
                raise value_error("transforms", "Normalize last, and once", after, "Move Normalize to the end.")
        object.__setattr__(self, "transforms", tuple(self.transforms))

    @property
    @override
    def _normalizes(self) -> bool:
        return self.transforms[-1]._normalizes

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        actions = [transform._checked_draw(batch_size, generator) for transform in self.transforms]
        return reduce(lambda first, second: second._after(first), actions)

    def __repr__(self) -> str:
        lines = ",\n".join(repr(t) for t in self.transforms).replace("\n", "\n    ")
        return f"Compose([\n    {lines},\n])"


@final
@dataclass(frozen=True)
class RandomApply(EquivariantTransform):
    """Apply a transform to each image with probability p, and leave the others as they are.

    Args:
        transform: Any transform. A ``Compose`` is applied to an image as a whole, or not at all.
        p: Probability in [0, 1], drawn for each image separately.

    Examples:
        >>> views, g = RandomApply(RandomRotation(45), p=0.5)(torch.rand(4, 3, 64, 64))
    """

    transform: EquivariantTransform
    p: float = 0.5

    def __post_init__(self) -> None:
        plain_fields(self)
        check_transform("transform", self.transform)
        check_probability("p", self.p)
        if self.transform._normalizes:
            fix = "Put Normalize after RandomApply: it is done to all views or none."
            raise value_error("transform", "one that does not normalise", self.transform, fix)

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> Action:
        applied = draw.bernoulli(batch_size, self.p, generator)
        return self.transform._checked_draw(batch_size, generator).where(applied)


def check_transform(argument: str, value: object) -> None:
    """Check for a transform."""
    if not isinstance(value, EquivariantTransform):
        fix = "Wrap an operation on image batches in equicon.Appearance." if callable(value) else ""
        raise type_error(argument, "an EquivariantTransform", describe(value), fix)
