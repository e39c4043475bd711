"""``Action``: what was drawn for each image, to be applied and applied again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias, final

import torch
from torch import Tensor

from equicon._checks import check_batch, check_floating, check_images, check_size, value_error
from equicon._groups.affine import Affine, check_affine
from equicon._plane.matrix import affine_matrix
from equicon._views.color import ColorMap, Normalization
from equicon._views.view import Backend, check_output, choose, make_view

Operation: TypeAlias = Callable[[Tensor, Tensor, int, Tensor | None], Tensor]
"""``(views (B, C, h, w), parameters (B, k), seed, anchor (B, 2) in view pixels or None) -> views`` of that shape."""


@final
@dataclass(frozen=True, eq=False)
class Filter:
    """An operation on views that is neither geometry nor an affine map of colour, with what was drawn for it.

    Args:
        operation: what to run.
        parameters: (B, k), what was drawn for each image.
        seed: of what is random while it runs, such as noise; 0 where nothing is.
        applied: (B,), the images that it is applied to; all where None.
    """

    operation: Operation
    parameters: Tensor
    seed: int = 0
    applied: Tensor | None = None

    def where(self, applied: Tensor) -> "Filter":
        """Restrict to the images where ``applied`` (B,)."""
        return replace(self, applied=applied if self.applied is None else self.applied & applied)

    def to(self, device: torch.device | str) -> "Filter":
        """Move to a device without waiting for it."""
        from_host = self.parameters.device.type == "cpu"
        applied = None if self.applied is None else self.applied.to(device, non_blocking=from_host)
        return replace(self, parameters=self.parameters.to(device, non_blocking=from_host), applied=applied)

    def apply(self, views: Tensor, anchor: Tensor | None) -> Tensor:
        """Run on views, where applied."""
        filtered = self.operation(views, self.parameters, self.seed, anchor)
        if self.applied is None:
            return filtered
        return torch.where(self.applied[:, None, None, None], filtered, views)


@final
@dataclass(frozen=True, eq=False)
class Action:
    """What was drawn for a batch of images: one affine map, one colour map, and the filters that remain.

    Calling it applies it, calling it again replays it exactly, noise included. Views are warped, then coloured, then
    filtered in the order given, however the transforms that drew them were mixed. ``second @ first`` applies
    ``first`` first.

    Args:
        affine: from the source (or the frame) to the view; what the loss needs.
        color: the fused colour map, or None.
        filters: what runs after it, in order.

    Examples:
        >>> action = RandomRotation(45).sample(4)
        >>> views = action(torch.rand(4, 3, 64, 64), size=(32, 32))
        >>> bool((views == action(torch.zeros(4, 3, 64, 64), size=(32, 32))).all())
        False
    """

    affine: Affine
    color: ColorMap | None = None
    filters: tuple[Filter, ...] = ()

    def __len__(self) -> int:
        return len(self.affine)

    def to(self, device: torch.device | str) -> "Action":
        """Move to a device without waiting for it."""
        if torch.device(device) == self.affine.device:
            return self
        color = None if self.color is None else self.color.to(device)
        return Action(self.affine.to(device), color, tuple(f.to(device) for f in self.filters))

    def where(self, applied: Tensor) -> "Action":
        """Keep the action where ``applied`` (B,) of type bool, and do nothing elsewhere."""
        identity = torch.eye(3, device=self.affine.device, dtype=self.affine.dtype)
        matrix = torch.where(applied[:, None, None], self.affine.matrix, identity)
        color = None if self.color is None else self.color.where(applied)
        return Action(Affine._of(matrix), color, tuple(f.where(applied) for f in self.filters))

    def __matmul__(self, other: "Action") -> "Action":
        return self._after(other) if isinstance(other, Action) else NotImplemented

    def _after(self, other: "Action") -> "Action":
        check_batch("right operand of @", len(other), len(self), "the left operand")
        color = other.color if self.color is None else self.color
        if self.color is not None and other.color is not None:
            color = self.color._after(other.color)
        return Action(self.affine._after(other.affine), color, other.filters + self.filters)

    def __call__(
        self,
        images: Tensor,
        *,
        size: tuple[int, int] | None = None,
        frame: Affine | None = None,
        anchor: Tensor | None = None,
        dtype: torch.dtype | None = None,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> Tensor:
        """Make the views: one interpolation, one colour map, then the filters.

        Args:
            images: (B, C, H, W), uint8 or floating in [0, 1].
            size: (h, w) of the views; the source's by default.
            frame: applied first, such as a crop around the hand (``Affine.from_points``); warped in the same
                interpolation.
            anchor: (B, 2), a point of the source in pixels, such as a joint, for transforms that want one
                (``RandomErasing``).
            dtype: of the views; by default float32 for uint8 images, else the images' own. Under autocast, give the
                encoder's.
            memory_format: of the views; give ``torch.channels_last`` where the encoder has it.

        Returns:
            Views (B, C, h, w).

        Raises:
            ValueError: if shapes, batch sizes or devices do not fit, or memory_format is another one.
            TypeError: if images are of an integer type other than uint8, frame is not an ``Affine``, or dtype is not
                float16, bfloat16, float32 or float64.
        """
        return self._apply(images, size, frame, anchor, dtype, memory_format)

    def _apply(
        self,
        images: Tensor,
        size: tuple[int, int] | None,
        frame: Affine | None,
        anchor: Tensor | None,
        dtype: torch.dtype | None,
        memory_format: torch.memory_format,
    ) -> Tensor:
        # Transforms call it by this name: in a compiled graph, torch 2.11 cannot call an object that was made there.
        check_images(images)
        check_batch("images", len(images), len(self), "the Action")
        total = self.affine
        if frame is not None:
            check_batch("frame", len(check_affine("frame", frame)), len(images), "images")
            total = total._after(frame.to(total.device))
        if images.device != total.device:
            raise value_error(
                "images", f"images on {total.device}", f"images on {images.device}", "Move the Action with .to(device)."
            )
        source = (images.shape[-2], images.shape[-1])
        out_size = source if size is None else check_size("size", size)
        if anchor is not None:
            check_floating("anchor", anchor, "(B, 2), pixels of the source", last=(2,), ndim=2)
            check_batch("anchor", len(anchor), len(images), "images")
            from_host = anchor.device.type == "cpu"
            anchor = total.points(anchor.to(total.device, non_blocking=from_host), source, out_size)
        computed = torch.promote_types(images.dtype, torch.float32)
        kept = check_output(dtype or (images.dtype if images.is_floating_point() else computed), memory_format)
        normalization, filters = self._split()
        with torch.autocast(images.device.type, enabled=False):
            views = make_view(
                images,
                total.matrix,
                out_size,
                dtype=computed if filters else kept,
                color=self.color,
                normalization=normalization,
                memory_format=torch.contiguous_format if filters else memory_format,
            )
            for drawn in filters:
                views = drawn.apply(views, anchor)
        return views.to(kept, memory_format=memory_format)

    def _split(self) -> tuple[Normalization | None, tuple[Filter, ...]]:
        """Tell a normalisation of all views, where it comes first, from the filters that remain."""
        if self.filters and self.filters[0].applied is None:
            operation = self.filters[0].operation
            if isinstance(operation, Normalization):
                return operation, self.filters[1:]
        return None, self.filters

    def backend(self, images: Tensor) -> Backend:
        """Tell what makes the views of these images: ``"triton"``, ``"torch"`` or ``"kornia"``.

        They give the same views up to rounding. ``triton``: on a CUDA GPU with Triton, one kernel makes geometry,
        colour and normalisation in one pass over uint8, half or float32 images of three channels, as far as no
        gradient is asked for. ``torch``: on a CPU, ``grid_sample`` on a few images at a time, while they are in the
        cache. ``kornia``: Kornia's ``warp_affine`` for everything else, such as gradients and other channels on a GPU,
        or ``vmap``; but ``torch`` where a compiled call or TF32 products would make Kornia's matrices inexact.

        The environment variable ``EQUICON_BACKEND`` asks for one of them.

        Args:
            images: (B, C, H, W), as they would be given to the ``Action``.

        Raises:
            ValueError: if ``EQUICON_BACKEND`` is none of the three, or cannot make these views; it says why.

        Examples:
            >>> RandomRotation(45).sample(4).backend(torch.rand(4, 3, 64, 64))
            'torch'
        """
        return choose(check_images(images), self.affine.matrix, self.color)


def geometry(linear: Tensor, translation: Tensor | None = None) -> Action:
    """Make an action of geometry alone from (B, 2, 2) and (B, 2)."""
    if translation is None:
        translation = torch.zeros_like(linear[:, 0])
    return Action(Affine._of(affine_matrix(linear, translation)))
