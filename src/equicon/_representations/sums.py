"""``Invariant``, and ``DirectSum``, which puts representations side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from equicon._checks import check_int, describe, type_error, value_error
from equicon._groups.element import GroupElement
from equicon._representations.base import Representation

Part: TypeAlias = tuple[Representation[Any], int]


@final
@dataclass(frozen=True)
class Invariant(Representation[GroupElement]):
    """The embedding does not move: plain contrastive learning.

    Examples:
        >>> z, g = torch.rand(4, 128), RandomRotation(45).sample(4).affine
        >>> bool((Invariant().canonicalize(g, z) == z).all())
        True
    """

    @override
    def _act(self, g: GroupElement, z: Tensor) -> Tensor:
        return z

    @override
    def _canonicalize(self, g: GroupElement, z: Tensor) -> Tensor:
        return z


@final
class DirectSum(Representation[Any], nn.Module):
    """Split the embedding into parts, each with a representation of its own.

    The sum is a module. It holds the parameters of those parts that learn.

    Args:
        parts: Pairs (representation, width). The widths add up to the width of the embedding.

    Raises:
        ValueError: If there are no parts, or a width does not fit its representation.
        TypeError: If a part is not such a pair.

    Examples:
        >>> half = DirectSum([(Points(), 42), (Invariant(), 22)])
        >>> half.canonicalize(RandomRotation(45).sample(4).affine, torch.rand(4, 64)).shape
        torch.Size([4, 64])
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()
        if not isinstance(parts, Sequence):
            raise type_error("parts", "a list of pairs (representation, width)", describe(parts))
        if len(parts) == 0:
            raise value_error("parts", "at least one pair (representation, width)", "none")
        for i, part in enumerate(parts):
            if not isinstance(part, Sequence) or len(part) != 2 or not isinstance(part[0], Representation):
                raise type_error(f"parts[{i}]", "a pair (representation, width)", describe(part))
        self._widths = tuple(check_int(f"parts[{i}]", width, low=1) for i, (_, width) in enumerate(parts))
        for (representation, _), width in zip(parts, self._widths, strict=True):
            representation._check_shape((width,))
        self._plain = {i: part for i, (part, _) in enumerate(parts) if not isinstance(part, nn.Module)}
        self.learned = nn.ModuleDict({str(i): part for i, (part, _) in enumerate(parts) if isinstance(part, nn.Module)})

    @property
    def parts(self) -> tuple[Part, ...]:
        """The pairs (representation, width)."""
        found = [self._plain[i] if i in self._plain else self.learned[str(i)] for i in range(len(self._widths))]
        return tuple(zip(found, self._widths, strict=True))  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"DirectSum([{', '.join(f'({part!r}, {width})' for part, width in self.parts)}])"

    @override
    def _check_shape(self, shape: tuple[int, ...]) -> None:
        widths = self._widths
        if len(shape) != 1 or sum(widths) != shape[0]:
            wanted = f"a width of {' + '.join(map(str, widths))} = {sum(widths)}"
            raise value_error("z", wanted, f"a width of {shape[0]}" if len(shape) == 1 else f"{shape} for each image")

    @override
    def _act(self, g: GroupElement, z: Tensor) -> Tensor:
        return self._each(z, lambda part, piece: part._act(g, piece))

    @override
    def _canonicalize(self, g: GroupElement, z: Tensor) -> Tensor:
        return self._each(z, lambda part, piece: part._canonicalize(g, piece))

    def _each(self, z: Tensor, move: Callable[[Representation[Any], Tensor], Tensor]) -> Tensor:
        moved: list[Tensor] = []
        for (part, _), piece in zip(self.parts, z.split(self._widths, 1), strict=True):
            found = move(part, piece)
            if not isinstance(found, Tensor) or found.shape != piece.shape:
                where = f"parts[{len(moved)}], {type(part).__name__}"
                raise type_error(where, f"embeddings of shape {tuple(piece.shape)} in return", describe(found))
            moved.append(found)
        return torch.cat(moved, 1)
