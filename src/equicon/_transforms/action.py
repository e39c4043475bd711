"""``Action``: the parameters drawn for each image, to be applied and replayed."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from equicon._checks import (
    check_batch,
    check_images,
    check_int,
    describe,
    type_error,
    value_error,
)
from equicon._groups.affine import Affine, check_affine
from equicon._plane.matrix import affine_matrix
from equicon._transforms.apply import apply_action
from equicon._transforms.filter import Filter
from equicon._views.color import ColorMap, Normalization
from equicon._views.view import Backend, choose
from equicon._views.warp import PaddingMode


@final
@dataclass(frozen=True, eq=False)
class Action:
    """The parameters drawn for a batch of images: one affine map, one colour map, filters and a normalisation.

    Call an action to apply it. Call it again to replay it exactly, noise included. It warps the images, then maps their
    colours, then runs the filters in the order given, then normalises. This order does not depend on the order of the
    transforms that drew the action. ``second @ first`` applies ``first`` first. ``action[index]`` selects part of the
    batch; if an index occurs twice, so does its image. ``action[i](x[i])`` equals ``action(x)[i]``, except for
    ``Appearance``, which draws for the whole batch. On clips (B, T, C, H, W), a draw holds for all frames of a clip.

    Args:
        affine: The map from the source (or the frame) to the view. The loss needs it.
        color: The fused colour map, or None.
        filters: The filters that run after the colour map, in their order.
        normalization: The normalisation that comes last, or None.

    Examples:
        >>> action = RandomRotation(45).sample(4)
        >>> views = action(torch.rand(4, 3, 64, 64), size=(32, 32))
        >>> bool((views == action(torch.zeros(4, 3, 64, 64), size=(32, 32))).all())
        False
    """

    affine: Affine
    color: ColorMap | None = None
    filters: tuple[Filter, ...] = ()
    normalization: Normalization | None = None

    def __post_init__(self) -> None:
        check_affine("affine", self.affine)
        if self.color is not None:
            if not isinstance(self.color, ColorMap):
                fix = "Write ColorMap.make(matrices)."
                raise type_error("color", "an equicon.ColorMap or None", describe(self.color), fix)
            check_batch("color", self.color, self.affine, "affine")
        if not isinstance(self.filters, tuple | list) or not all(isinstance(f, Filter) for f in self.filters):
            fix = "Write filters=(one,), with the comma, for one."
            raise type_error("filters", "a tuple of equicon.Filter", describe(self.filters), fix)
        object.__setattr__(self, "filters", tuple(self.filters))
        if self.normalization is not None and not isinstance(self.normalization, Normalization):
            raise type_error("normalization", "an equicon.Normalization or None", describe(self.normalization))

    def __len__(self) -> int:
        return self.affine.matrix.shape[0]

    def __getitem__(self, index: Any) -> "Action":
        """Select part of the batch by an int, a slice, a list or a tensor (N,). An int gives a batch of one.

        On an accelerator, an int or a slice does not wait for the device. A list or a tensor on the CPU is copied to
        it, and the True values of a mask are counted; these do wait.
        """
        affine = self.affine[index]
        color = None if self.color is None else self.color[index]
        return Action(affine, color, tuple(f[index] for f in self.filters), self.normalization)

    def repeat_interleave(self, repeats: int) -> "Action":
        """Repeat each image's action, for images that belong together and are not stacked as clips (B, T, C, H, W).

        Args:
            repeats: How often, at least 1. The first action is that of the first ``repeats`` images, and so on.

        Examples:
            >>> frames = torch.rand(10, 3, 64, 64)  # of two clips of five frames
            >>> views = RandomRotation(45).sample(2).repeat_interleave(5)(frames)
        """
        repeats = check_int("repeats", repeats, low=1)
        return self._with(self.affine.repeat_interleave(repeats), repeats)

    def path(self, to: "Action", steps: int) -> "Action":
        """Move the view of each clip from this action's to another one's, as ``Affine.path`` does.

        Only the geometry moves. Colour, filters and normalisation are this action's in all frames.

        Args:
            to: An action of as many draws. Only its ``affine`` counts.
            steps: Number of frames of each clip, at least 1. The first frame has this action, the last one ``to``'s.

        Returns:
            An action of B · steps draws, for clips (B, steps, C, H, W).

        Raises:
            ValueError: If batch sizes or devices do not fit, or steps is below 1.
            TypeError: If ``to`` is not an ``Action``, or steps is not a whole number.

        Examples:
            >>> clips, augment = torch.rand(2, 5, 3, 64, 64), RandomAffine(45, 0.1, (0.8, 1.2))
            >>> moving = augment.sample(2).path(augment.sample(2), 5)
            >>> moving(clips, size=(32, 32)).shape, len(moving.affine)
            (torch.Size([2, 5, 3, 32, 32]), 10)
        """
        if not isinstance(to, Action):
            raise type_error("to", "an equicon.Action", describe(to), "Draw one: transform.sample(batch_size).")
        steps = check_int("steps", steps, low=1)
        return self._with(self.affine.path(to.affine, steps), steps)

    def _with(self, affine: Affine, repeats: int) -> "Action":
        """Repeat everything but the map, which is given for each of the images."""
        index = torch.arange(self.affine.matrix.shape[0], device=self.affine.device).repeat_interleave(repeats)
        color = None if self.color is None else self.color[index]
        filters = tuple(drawn._repeat(index, repeats) for drawn in self.filters)
        return Action(affine, color, filters, self.normalization)

    def to(self, device: torch.device | str) -> "Action":
        """Move to a device without waiting for it."""
        if isinstance(device, torch.dtype):
            raise type_error("device", "a device", describe(device), "Give the type of the views in the call: dtype=.")
        if torch.device(device) == self.affine.device:
            return self
        color = None if self.color is None else self.color.to(device)
        return Action(self.affine.to(device), color, tuple(f.to(device) for f in self.filters), self.normalization)

    def where(self, applied: Tensor) -> "Action":
        """Keep the action where ``applied`` (B,), of type bool, is True, and do nothing elsewhere.

        Raises:
            ValueError: If the action normalises. All views are normalised, or none.
        """
        if self.normalization is not None:
            fix = "Take Normalize out of RandomApply, and put it last."
            raise value_error("where", "an Action without a normalisation", "one that normalises", fix)
        identity = torch.eye(3, device=self.affine.device, dtype=self.affine.dtype)
        matrix = torch.where(applied[:, None, None], self.affine.matrix, identity)
        color = None if self.color is None else self.color.where(applied)
        return Action(Affine._of(matrix), color, tuple(f.where(applied) for f in self.filters))

    def __matmul__(self, other: "Action") -> "Action":
        return self._after(other) if isinstance(other, Action) else NotImplemented

    def _after(self, other: "Action") -> "Action":
        check_batch("right operand of @", other, self, "the left operand")
        if other.normalization is not None:
            fix = "Put Normalize last: what comes after it would not see values in [0, 1]."
            raise value_error("right operand of @", "an Action that does not normalise", "one that does", fix)
        color = other.color if self.color is None else self.color
        if self.color is not None and other.color is not None:
            color = self.color._after(other.color)
        return Action(self.affine._after(other.affine), color, other.filters + self.filters, self.normalization)

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
    ) -> Tensor:
        """Make the views: one interpolation, one colour map, then the filters, then the normalisation.

        For clips, an action of B draws holds for all frames of a clip, noise and erased rectangles included. An action
        of B · T draws, such as from ``path``, has one for each frame.

        On a CPU, a few pixels of each image are checked. A ``UserWarning`` says if their values are not those that
        colour or ``Normalize`` expect. ``equicon.testing.check_pipeline`` checks more, on any device.

        Args:
            images: (B, C, H, W), or clips (B, T, C, H, W), uint8 or floating in [0, 1].
            size: (h, w) of the views; the source's by default.
            frame: Applied before the action, such as a crop around the hand (``Affine.from_points``). It is part of the
                same interpolation. For clips, B elements, or B · T.
            anchor: (B, 2), a point of the source in pixels, such as a joint, for transforms that use one
                (``RandomErasing``). For clips, (B, 2), or (B · T, 2).
            dtype: Type of the views. By default float32 for uint8 images, else the images' own. Under autocast, give
                the encoder's type.
            memory_format: Memory format of the views, and of each frame of a clip. Give ``torch.channels_last`` if the
                encoder uses it.
            padding_mode: What lies outside the source: ``zeros``, ``border`` (the outermost pixels repeated) or
                ``reflection`` (about their centres). ``inside`` makes an action whose views show nothing outside.
            rgb_first: Whether images of more than three channels begin with red, green and blue, on which colour then
                acts, and on these alone. Geometry, filters and ``Normalize`` always act on all channels.

        Returns:
            Views (B, C, h, w), or (B, T, C, h, w) of clips.

        Raises:
            ValueError: If shapes, batch sizes or devices do not fit, or memory_format or padding_mode is not known.
            TypeError: If images are of an integer type other than uint8, frame is not an ``Affine``, or dtype is not
                float16, bfloat16, float32 or float64.
        """
        check_images(images, clips=True)
        return apply_action(self, images, size, frame, anchor, dtype, memory_format, padding_mode, rgb_first)

    def inside(
        self, source: tuple[int, int], view: tuple[int, int] | None = None, frame: Affine | None = None
    ) -> "Action":
        """Magnify each view by the least factor that leaves nothing outside the source, as ``Affine.inside`` does.

        Colour, filters and normalisation do not change. The returned action has another ``affine``: give that one to
        the loss.

        Args:
            source: (H, W) of the images.
            view: (h, w) of the views, the ``size`` of the call; the images' by default.
            frame: The ``frame`` of the call.

        Returns:
            The action. Its views are the same for every ``padding_mode``.

        Raises:
            ValueError: If a size or batch size does not fit, or the source is one pixel wide or high.
            TypeError: If frame is not an ``Affine``.

        Examples:
            >>> images, augment = torch.rand(4, 3, 48, 64), RandomAffine(45, 0.1)
            >>> action = augment.sample(4).inside((48, 64), view=(32, 32))
            >>> views, g = action(images, size=(32, 32)), action.affine
        """
        affine = self.affine.inside(source, view, frame)
        return Action(affine, self.color, self.filters, self.normalization)

    def backend(self, images: Tensor) -> Backend:
        """Return the backend that makes the views of these images: ``"triton"``, ``"torch"`` or ``"kornia"``.

        All backends give the same views up to rounding:

        - ``triton``, on a CUDA GPU with Triton: one kernel does geometry, colour and normalisation in one pass over
          images of three channels in uint8, half precision or float32, unless a gradient is needed.
        - ``torch``, on a CPU: ``grid_sample`` on a few images at a time, so that they stay in the cache. It also serves
          compiled calls and TF32 products, where Kornia's matrices would be inexact.
        - ``kornia``: Kornia's ``warp_affine`` for everything else, such as ``vmap``, or gradients and other channels on
          a GPU.

        The environment variable ``EQUICON_BACKEND`` asks for one of them.

        Args:
            images: (B, C, H, W), or clips (B, T, C, H, W), as they would be given to the ``Action``.

        Raises:
            ValueError: If ``EQUICON_BACKEND`` is none of the three, or cannot make these views. The message says why.

        Examples:
            >>> RandomRotation(45).sample(4).backend(torch.rand(4, 3, 64, 64))
            'torch'
        """
        images = check_images(images, clips=True)
        return choose(images[:, 0] if images.ndim == 5 else images, self.affine.matrix, self.color)


def geometry(linear: Tensor, translation: Tensor | None = None) -> Action:
    """Make an action of geometry alone from linear parts (B, 2, 2) and translations (B, 2)."""
    if translation is None:
        translation = torch.zeros_like(linear[:, 0])
    return Action(Affine._of(affine_matrix(linear, translation)))
