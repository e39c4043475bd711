"""``Points``: m points in the unit frame, on which ``Affine`` acts exactly."""

from dataclasses import dataclass
from typing import final

from torch import Tensor
from typing_extensions import override

from equicon._checks import value_error
from equicon._groups.affine import Affine, check_affine
from equicon._plane.frames import map_points
from equicon._representations.base import Representation


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

    @override
    def _check_shape(self, shape: tuple[int, ...]) -> None:
        check_points(shape)

    @override
    def _act(self, g: Affine, z: Tensor) -> Tensor:
        return _map(check_affine("g", g).matrix, z)

    @override
    def _canonicalize(self, g: Affine, z: Tensor) -> Tensor:
        return _map(check_affine("g", g).inverse().matrix, z)


def check_points(shape: tuple[int, ...]) -> None:
    """Check that the shape of an embedding is that of points (x, y)."""
    if len(shape) != 1:
        fix = "Flatten each with z.flatten(1)."
        raise value_error(
            "z", "embeddings of shape (B, 2m), m points (x, y)", f"one of shape {shape} for each image", fix
        )
    (width,) = shape
    if width % 2:
        fix = f"Make it {width + 1}, or give the last number to Invariant in a DirectSum."
        raise value_error("z", "an even width, m points (x, y)", f"a width of {width}", fix)


def _map(matrix: Tensor, z: Tensor) -> Tensor:
    return map_points(matrix, as_points(z)).flatten(1).to(z.dtype)


def as_points(z: Tensor) -> Tensor:
    """View embeddings (B, 2m) as points (B, m, 2)."""
    return z.reshape(z.shape[0], -1, 2)
