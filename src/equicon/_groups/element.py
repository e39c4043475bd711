"""``GroupElement``: the methods that losses, representations and ``GradCache`` need of a batch of transforms."""

from collections.abc import Sequence
from typing import Any, Protocol, Self, runtime_checkable

import torch
from typing_extensions import TypeIs

from equicon._checks import describe, type_error
from equicon._hints import FIX_MATRIX

_ASKED = ("__len__", "__getitem__", "__matmul__", "inverse", "to", "device", "identity", "cat")


@runtime_checkable
class GroupElement(Protocol):
    """A batch of elements of a group: what a transform did to each image, and how to undo it.

    ``Affine`` is a group element. Any other class with these methods is one too, without deriving from this protocol:
    rotations of space, permutations, or whatever acts on an embedding through a ``Representation`` of its own.

    Laws: ``(f @ g) @ h = f @ (g @ h)``, ``g.inverse() @ g = identity(len(g))``, ``cat([g[:n], g[n:]]) = g``.

    Examples:
        >>> g = RandomRotation(45).sample(4).affine
        >>> isinstance(g, GroupElement), isinstance(g.matrix, GroupElement)
        (True, False)
    """

    @classmethod
    def identity(cls, batch_size: int, /) -> Self:
        """Make the identity, ``batch_size`` times."""
        ...

    @classmethod
    def cat(cls, elements: Sequence[Any], /) -> Self:
        """Join batches into one, as ``torch.cat`` does."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the elements are."""
        ...

    def __len__(self) -> int:
        """Count the elements of the batch."""
        ...

    def __getitem__(self, index: Any, /) -> Self:
        """Select part of the batch; the result is a batch."""
        ...

    def __matmul__(self, other: Any, /) -> Self:
        """Compose: the right operand acts first."""
        ...

    def inverse(self) -> Self:
        """Invert each element."""
        ...

    def to(self, device: Any, /) -> Self:
        """Move to a device."""
        ...


def is_element(value: object) -> TypeIs[GroupElement]:
    """Whether a value has all methods of a group element."""
    # Not isinstance, because torch.compile does not support it for protocols.
    return all(hasattr(value, name) for name in _ASKED)


def check_element(argument: str, value: object) -> GroupElement:
    """Check for a group element. The error for a bare matrix says how to make one of it."""
    if not is_element(value):
        if isinstance(value, torch.Tensor):
            fix = FIX_MATRIX
        elif isinstance(getattr(value, "affine", None), GroupElement):
            fix = "Take the element of the Action: action.affine."
        else:
            fix = f"It lacks {', '.join(name for name in _ASKED if not hasattr(value, name))}."
        raise type_error(argument, "a group element, such as an equicon.Affine", describe(value), fix)
    return value
