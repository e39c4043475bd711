"""``Heatmaps``: maps of the view, on which ``Affine`` acts as on pictures."""

from dataclasses import dataclass
from typing import final

from torch import Tensor
from typing_extensions import override

from equicon._checks import value_error
from equicon._groups.affine import Affine, check_affine
from equicon._representations.base import Representation


@final
@dataclass(frozen=True)
class Heatmaps(Representation):
    """The prediction is K maps (K, h, w) that cover the view; ``g`` moves them as it moves pictures.

    Maps are interpolated, without a low-pass filter, so a peak keeps its amplitude. Values may be negative, such as
    logits. What lies outside a map is 0. To bring maps home is to move them by ``g⁻¹``: they come back in their own
    size, as maps of what a view shows that nothing moved. That is the whole source if it has the view's ratio of height
    to width, else the part of it that ``size=`` cuts out; and the frame if the views were made with one.

    Laws: ``act(e, z) = z`` and ``canonicalize(g, z) = act(g⁻¹, z)``. Where the views saw a map, and up to the error of
    the interpolation, which is small for smooth maps: ``canonicalize(g, act(g, z)) ≈ z`` and ``act(g @ h, z) ≈
    act(g, act(h, z))``.

    Convention: a map covers the whole view, so both have the same ratio of height to width.

    Examples:
        >>> maps = torch.zeros(1, 17, 16, 16)
        >>> maps[..., 4, 4] = 1.0
        >>> turn = Affine.from_linear(torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]]))  # to the left
        >>> moved = Heatmaps().act(turn, maps)
        >>> round(moved[0, 0, 11, 4].item(), 3), Heatmaps().canonicalize(turn, moved).shape
        (1.0, torch.Size([1, 17, 16, 16]))
    """

    @override
    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 3:
            came, fix = f"one of shape {shape} for each image", "Points are moved by Points()."
            raise value_error("z", "maps of shape (B, K, h, w)", came, fix)

    @override
    def _act(self, g: Affine, z: Tensor) -> Tensor:
        return check_affine("g", g).warp(z, antialias=False)

    @override
    def _canonicalize(self, g: Affine, z: Tensor) -> Tensor:
        return check_affine("g", g).inverse().warp(z, antialias=False)
