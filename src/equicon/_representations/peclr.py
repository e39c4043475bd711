"""``PeCLRPoints``: the paper's way to undo a transform on an embedding."""

from dataclasses import dataclass
from typing import final

from torch import Tensor
from typing_extensions import override

from equicon._groups.affine import Affine, check_affine
from equicon._plane.matrix import matvec, normalize, polar_factor
from equicon._representations.base import Representation
from equicon._representations.points import as_points, check_points


@final
@dataclass(frozen=True)
class PeCLRPoints(Representation):
    """The paper's representation: m points in a frame that the embedding itself sets, not the image.

    ``canonicalize`` does this: L2-normalise; shift by −translation / 2 times the range of the points on each axis; turn
    back about the centroid of the points by the orthogonal polar factor of the linear part, reflection included;
    L2-normalise. Range and centroid are detached, as in the authors' program, so gradients are not those of the
    formula. Scale and shear are not undone; only the normalisation acts on them.

    ``act`` turns about the centroid and shifts by translation / 2 times the range, without normalising.

    Laws: ``canonicalize(g, act(g, z)) = z / ‖z‖`` under rotation, reflection, translation and uniform scale. It is
    not a homomorphism, since turning the points changes their range.

    Examples:
        >>> z, g = torch.rand(4, 128), RandomAffine(45, 0.1).sample(4).affine
        >>> torch.testing.assert_close(PeCLRPoints().canonicalize(g, z).norm(dim=1), torch.ones(4))

    Source: Spurr et al., ICCV 2021, arXiv 2106.05953, section 3.2, equations 2 and 3.
    """

    @override
    def _check_shape(self, shape: tuple[int, ...]) -> None:
        check_points(shape)

    @override
    def _act(self, g: Affine, z: Tensor) -> Tensor:
        check_affine("g", g)
        points = as_points(z)
        turned = _about_centroid(polar_factor(g.linear), points)
        return (turned + _shift(g, turned)).flatten(1).to(z.dtype)

    @override
    def _canonicalize(self, g: Affine, z: Tensor) -> Tensor:
        check_affine("g", g)
        points = as_points(normalize(z))
        turned = _about_centroid(polar_factor(g.linear).transpose(-2, -1), points - _shift(g, points))
        return normalize(turned.flatten(1).to(z.dtype))


def _shift(g: Affine, points: Tensor) -> Tensor:
    """Scale the view's translation to the frame of the points: (B, 1, 2)."""
    extent = (points.amax(1) - points.amin(1)).detach()
    return (g.translation / 2 * extent)[:, None]


def _about_centroid(linear: Tensor, points: Tensor) -> Tensor:
    center = points.mean(1, keepdim=True).detach()
    return matvec(linear, points - center) + center
