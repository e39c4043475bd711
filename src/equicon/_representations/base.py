"""How a group element acts on an embedding, and how to undo it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from equicon._checks import check_batch, check_int, type_error, value_error
from equicon._groups.affine import Affine, check_affine
from equicon._plane.frames import map_points
from equicon._plane.matrix import at_least_float32, matvec, normalize, polar_factor


@dataclass(frozen=True)
class Representation(ABC):
    """How an ``Affine`` acts on embeddings (B, D), and the way back to the canonical frame.

    To write your own, make a frozen dataclass with ``_act`` and ``_canonicalize`` (and ``_check_width``), which may
    trust their input, and hold it against ``equicon.testing.assert_representation``.

    Laws: ``canonicalize(g, act(g, z)) = canonicalize(e, z)`` and ``act(e, z) = z`` for the identity e. ``act(g @ h,
    z) = act(g, act(h, z))`` holds for all but ``PeCLRPoints``, so ``canonicalize`` is not derived from ``inverse()``.

    Examples:
        >>> representation: Representation = Points()
        >>> representation.canonicalize(RandomRotation(45).sample(4).affine, torch.rand(4, 128)).shape
        torch.Size([4, 128])
    """

    @abstractmethod
    def _act(self, g: Affine, z: Tensor) -> Tensor:
        """Act on embeddings (B, D) of float32 or float64."""

    @abstractmethod
    def _canonicalize(self, g: Affine, z: Tensor) -> Tensor:
        """Undo the action on embeddings (B, D) of float32 or float64."""

    def _check_width(self, width: int) -> None:  # noqa: B027 - any width fits unless a representation says otherwise
        """Refuse embeddings of a width that does not fit, with a ``ValueError``."""

    @final
    def act(self, g: Affine, z: Tensor) -> Tensor:
        """Move embeddings as ``g`` moved the pictures.

        Args:
            g: B elements.
            z: (B, D).

        Returns:
            (B, D), float32 at least.

        Examples:
            >>> Points().act(Affine.from_linear(2 * torch.eye(2)[None]), torch.tensor([[0.1, 0.2]]))
            tensor([[0.2000, 0.4000]])
        """
        return self._act(g, self._prepare(g, z))

    @final
    def canonicalize(self, g: Affine, z: Tensor) -> Tensor:
        """Undo on embeddings what ``g`` did to the pictures.

        Args:
            g: B elements.
            z: (B, D).

        Returns:
            (B, D), float32 at least.

        Examples:
            >>> Points().canonicalize(Affine.from_linear(2 * torch.eye(2)[None]), torch.tensor([[0.2, 0.4]]))
            tensor([[0.1000, 0.2000]])
        """
        return self._canonicalize(g, self._prepare(g, z))

    def _prepare(self, g: Affine, z: Tensor) -> Tensor:
        check_affine("g", g)
        check_embeddings("z", z)
        check_batch("g", len(g), len(z), "z")
        if g.device != z.device:
            raise value_error(
                "g", f"an Affine on {z.device}, where z is", f"one on {g.device}", "Move it with .to(device)."
            )
        self._check_width(z.shape[1])
        return at_least_float32(z)


@final
@dataclass(frozen=True)
class Points(Representation):
    """The embedding is m points (x, y) in the unit frame; ``g`` acts on them exactly, shear and flips included.

    Laws: ``canonicalize(g, act(g, z)) = z``; ``act(g @ h, z) = act(g, act(h, z))``; ``canonicalize(g, z) =
    act(g⁻¹, z)``.

    Examples:
        >>> z, g = torch.rand(4, 128), RandomAffine(45, 0.1, (0.8, 1.2), 10).sample(4).affine
        >>> torch.testing.assert_close(Points().canonicalize(g, Points().act(g, z)), z)
    """

    def _check_width(self, width: int) -> None:
        _check_even(width)

    def _act(self, g: Affine, z: Tensor) -> Tensor:
        return map_points(g.matrix, _as_points(z)).flatten(1).to(z.dtype)

    def _canonicalize(self, g: Affine, z: Tensor) -> Tensor:
        return self._act(g.inverse(), z)


@final
@dataclass(frozen=True)
class PeCLRPoints(Representation):
    """The paper's own: m points whose frame is the embedding's, not the image's.

    ``canonicalize``: L2-normalise; shift by −translation / 2 times the points' own range on each axis; turn back
    about the points' centroid by the orthogonal polar factor of the linear part, reflection included; L2-normalise.
    The range and the centroid are detached, as in the authors' program, so gradients are not those of the formula.
    Scale and shear are left to the normalisation. ``act`` turns about the centroid and shifts by translation / 2 ·
    range, without normalising.

    Laws: ``canonicalize(g, act(g, z)) = z / ‖z‖`` under rotation, reflection, translation and uniform scale. It is
    not a
    homomorphism: the range of turned points is not that of the points.

    Examples:
        >>> z, g = torch.rand(4, 128), RandomAffine(45, 0.1).sample(4).affine
        >>> PeCLRPoints().canonicalize(g, z).norm(dim=1)
        tensor([1.0000, 1.0000, 1.0000, 1.0000])

    Source: Spurr et al., ICCV 2021, arXiv 2106.05953, section 3.2, equations 2 and 3.
    """

    def _check_width(self, width: int) -> None:
        _check_even(width)

    def _act(self, g: Affine, z: Tensor) -> Tensor:
        points = _as_points(z)
        turned = _about_centroid(polar_factor(g.linear), points)
        return (turned + _shift(g, turned)).flatten(1).to(z.dtype)

    def _canonicalize(self, g: Affine, z: Tensor) -> Tensor:
        points = _as_points(normalize(z))
        turned = _about_centroid(polar_factor(g.linear).transpose(-2, -1), points - _shift(g, points))
        return normalize(turned.flatten(1).to(z.dtype))


@final
@dataclass(frozen=True)
class Invariant(Representation):
    """The embedding does not move: plain contrastive learning.

    Examples:
        >>> z, g = torch.rand(4, 128), RandomRotation(45).sample(4).affine
        >>> bool((Invariant().canonicalize(g, z) == z).all())
        True
    """

    def _act(self, g: Affine, z: Tensor) -> Tensor:
        return z

    def _canonicalize(self, g: Affine, z: Tensor) -> Tensor:
        return z


@final
@dataclass(frozen=True)
class DirectSum(Representation):
    """Split the embedding into parts, each with a representation of its own.

    Args:
        parts: pairs (representation, width); the widths add up to that of the embedding.

    Raises:
        ValueError: if there is none, or a width does not fit its representation.
        TypeError: if a part is not such a pair.

    Examples:
        >>> half = DirectSum([(Points(), 42), (Invariant(), 22)])
        >>> half.canonicalize(RandomRotation(45).sample(4).affine, torch.rand(4, 64)).shape
        torch.Size([4, 64])
    """

    parts: Sequence[tuple[Representation, int]]

    def __post_init__(self) -> None:
        if not isinstance(self.parts, Sequence):
            raise type_error("parts", "a list of pairs (representation, width)", self.parts)
        if len(self.parts) == 0:
            raise value_error("parts", "at least one pair (representation, width)", "none")
        for i, part in enumerate(self.parts):
            if not isinstance(part, Sequence) or len(part) != 2 or not isinstance(part[0], Representation):
                raise type_error(f"parts[{i}]", "a pair (representation, width)", part)
            part[0]._check_width(check_int(f"parts[{i}]", part[1], low=1))
        object.__setattr__(self, "parts", tuple((part, width) for part, width in self.parts))

    def _check_width(self, width: int) -> None:
        widths = [width for _, width in self.parts]
        if sum(widths) != width:
            raise value_error("z", f"a width of {' + '.join(map(str, widths))} = {sum(widths)}", f"a width of {width}")

    def _act(self, g: Affine, z: Tensor) -> Tensor:
        return torch.cat([part._act(g, piece) for part, piece in self._split(z)], 1)

    def _canonicalize(self, g: Affine, z: Tensor) -> Tensor:
        return torch.cat([part._canonicalize(g, piece) for part, piece in self._split(z)], 1)

    def _split(self, z: Tensor) -> list[tuple[Representation, Tensor]]:
        pieces = z.split([width for _, width in self.parts], 1)
        return [(part, piece) for (part, _), piece in zip(self.parts, pieces, strict=True)]


def check_embeddings(argument: str, z: Any) -> Tensor:
    """Check for embeddings (B, D), floating and not empty."""
    if not isinstance(z, Tensor):
        raise type_error(argument, "embeddings (B, D)", z)
    if z.ndim != 2 or 0 in z.shape:
        raise value_error(argument, "embeddings of shape (B, D), neither 0", z, "Flatten each with z.flatten(1).")
    if not z.is_floating_point():
        raise type_error(argument, "embeddings of a floating type", z)
    return z


def _check_even(width: int) -> None:
    if width % 2:
        fix = f"Make it {width + 1}, or put the odd rest under Invariant with DirectSum."
        raise value_error("z", "an even width, m points (x, y)", f"a width of {width}", fix)


def _as_points(z: Tensor) -> Tensor:
    return z.reshape(len(z), -1, 2)


def _shift(g: Affine, points: Tensor) -> Tensor:
    """Scale the view's translation to the frame of the points: (B, 1, 2)."""
    extent = (points.amax(1) - points.amin(1)).detach()
    return (g.translation / 2 * extent)[:, None]


def _about_centroid(linear: Tensor, points: Tensor) -> Tensor:
    center = points.mean(1, keepdim=True).detach()
    return matvec(linear, points - center) + center
