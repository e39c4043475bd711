"""The rendered hands that the gallery shows, and the places on them that move along."""

from functools import cache

import torch
from torch import Tensor

import equicon as eq
from equicon.hands import Hand, SyntheticHands

Size = tuple[int, int]


class Shown(Hand):
    """Rendered hands: several, or one of them several times."""

    @property
    def size(self) -> Size:
        """Height and width of the images."""
        return (self.image.shape[-2], self.image.shape[-1])

    def shrunk(self, size: Size) -> tuple[Tensor, Tensor]:
        """Shrink the first image (3, h, w) and its joints (21, 2) to a size: what a panel shows as the source."""
        same = eq.Affine.identity(1)
        return same.warp(self.image[:1], size)[0], same.points(self.xy[:1], self.size, size)[0]

    def times(self, count: int) -> "Shown":
        """Repeat one hand."""
        return Shown(*(field.expand(count, *field.shape[1:]) for field in self))


@cache
def render(*indices: int, side: int, wild: bool = False, context: float = 1.0) -> Shown:
    """Render right hands of the gallery's seed; ``side`` is that of the hand's square in pixels."""
    hands = SyntheticHands(60, max(side, 16), 1, "wild" if wild else "studio", context=context, side="right")
    return Shown(*hands.render(indices))


def lattice_of(size: Size, parts: int = 4) -> Tensor:
    """Make the lines (N, 2, 2) that divide a picture, its edges included, in its pixels."""
    height, width = size
    lines = []
    for k in range(parts + 1):
        x, y = width * k / parts - 0.5, height * k / parts - 0.5
        lines += [[[x, -0.5], [x, height - 0.5]], [[-0.5, y], [width - 0.5, y]]]
    return torch.tensor(lines)


def corners_of(size: Size) -> Tensor:
    """Give the corners (4, 2) of a picture in its pixels, from the top left clockwise."""
    right, bottom = size[1] - 0.5, size[0] - 0.5
    return torch.tensor([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]])


def seen_by(g: eq.Affine, view: Size, source: Size) -> Tensor:
    """Tell which quadrilateral (B, 4, 2) of the source each view shows."""
    return g.inverse().points(corners_of(view).expand(len(g), 4, 2), view, source)


def seeded(seed: int) -> torch.Generator:
    """Make a generator that always draws the same."""
    return torch.Generator().manual_seed(seed)
