"""``Filter``: an operation on views that is neither geometry nor an affine map of colour."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Self, final

import torch
from torch import Tensor

from equicon._checks import describe, type_error
from equicon._groups.affine import Affine
from equicon._plane.matrix import rows
from equicon._views.color import ColorMap


@dataclass(frozen=True, kw_only=True, eq=False)
class Filter(ABC):
    """An operation on views, with the parameters drawn for each of them: blur, noise, erasing, or any other.

    To write your own, make a frozen dataclass with a field for each drawn parameter, and one method ``apply``. A field
    that holds a tensor, an ``Affine`` or a ``ColorMap`` has the batch as its first dimension; ``where``, ``to`` and
    ``[]`` act on each of them. Two filters are equal only if they are the same object, since ``==`` of tensors has no
    single answer.

    For clips (B, T, C, H, W), ``apply`` gets all frames as one batch. The rows of each field are repeated for it, so
    the frames of a clip share what was drawn.

    Args:
        applied: (B,) of type bool: which images the filter is applied to. None means all.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Fog(Filter):
        ...     density: torch.Tensor
        ...     def apply(self, views, anchor=None): return views + self.density[:, None, None, None] * (1 - views)
        >>> views = Action(Affine.identity(2), filters=(Fog(torch.tensor([0.0, 1.0])),))(torch.zeros(2, 3, 8, 8))
    """

    applied: Tensor | None = None

    __iter__ = None  # its [] would make it iterable, and hide the missing comma of filters=(fog)

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        # @dataclass keeps the methods that a class already has. Its own would compare and hash tensors.
        for name in ("__eq__", "__hash__"):
            if name not in vars(cls):
                setattr(cls, name, getattr(object, name))

    @abstractmethod
    def apply(self, views: Tensor, anchor: Tensor | None = None) -> Tensor:
        """Filter all views, without changing them in place.

        Args:
            views: (B, C, h, w), floating in [0, 1], after geometry and colour.
            anchor: (B, 2), a point of each view in its pixels, or None if the caller gave none.

        Returns:
            Views of the same shape and type.
        """

    @final
    def where(self, applied: Tensor) -> Self:
        """Restrict the filter to the images where ``applied`` (B,), of type bool, is True."""
        return self._replace(applied=applied if self.applied is None else self.applied & applied)

    @final
    def to(self, device: torch.device | str) -> Self:
        """Move to a device without waiting for it."""
        return self._each(
            lambda tensor: tensor.to(device, non_blocking=tensor.device.type == "cpu"), lambda value: value.to(device)
        )

    @final
    def __getitem__(self, index: Any) -> Self:
        """Select part of the batch, as ``Affine[...]`` does."""
        return self._select(index)

    def _select(self, index: Any) -> Self:
        return self._each(lambda tensor: rows(tensor, index), lambda value: value[index])

    def _repeat(self, index: Tensor, repeats: int) -> Self:
        """Repeat each image's parameters for the frames of a clip: ``index`` (B · repeats,) is that of their images."""
        return self._select(index)

    @final
    def _run(self, views: Tensor, anchor: Tensor | None) -> Tensor:
        """Filter the views where ``applied`` is True, and keep the others."""
        filtered = self.apply(views, anchor)
        if not isinstance(filtered, Tensor) or filtered.shape != views.shape or filtered.dtype != views.dtype:
            wanted = f"views of shape {tuple(views.shape)} and type {views.dtype} in return"
            raise type_error(f"{type(self).__name__}.apply", wanted, describe(filtered))
        if self.applied is None:
            return filtered
        return torch.where(self.applied[:, None, None, None], filtered, views)

    def _each(self, change: Callable[[Tensor], Tensor], change_other: Callable[[Any], Any]) -> Self:
        changed: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                changed[field.name] = change(value)
            elif isinstance(value, Affine | ColorMap):
                changed[field.name] = change_other(value)
        return self._replace(**changed)

    def _replace(self, **changed: Any) -> Self:
        try:
            return replace(self, **changed)
        except TypeError as error:
            kind = type(self).__name__
            fix = f"Write @dataclass(frozen=True) above class {kind}, a field for each parameter, and no __init__."
            raise type_error(kind, "a frozen dataclass", f"one that cannot be made again: {error}", fix) from error
