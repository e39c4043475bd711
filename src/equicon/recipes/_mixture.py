"""Several data sets as one. All images are square, have one size, and have a box around the hand."""

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from equicon.data import Boxed, KeypointSample
from equicon.hands import Hand


class Mixture(Dataset[Boxed]):
    """The items of one data set, then the items of the next, and so on.

    By default, smaller images are extended with zeros to the right and below, and nothing is resampled. A view shows
    zeros beyond an image anyway. Where a view shrinks the image, it blurs the right and lower edges a little
    differently. A view that repeats, reflects or hides the border would take the zeros for a part of the image. For
    such views, set ``enlarge``.

    Args:
        parts: Data sets of ``Hand`` or ``Boxed``. Each has square images of one size.
        enlarge: Whether to enlarge smaller images instead of extending them.
    """

    def __init__(self, parts: Sequence[Dataset[Any]], *, enlarge: bool = False) -> None:
        self.parts, self.enlarge = parts, enlarge
        self.counts = tuple(len(part) for part in parts)  # type: ignore[arg-type]
        self._ends = list(itertools.accumulate(self.counts))
        self.size = max(side for part in parts for side in part[0].image.shape[-2:])

    def __len__(self) -> int:
        return self._ends[-1]

    @property
    def groups(self) -> Tensor:
        """The group of each item (n,), int64. No group spans two data sets."""
        return number_apart([part.groups for part in self.parts])  # type: ignore[attr-defined]  # SOURCES have them

    def part_of(self, index: int) -> tuple[Dataset[Any], int]:
        """Find the data set of an item, and the index in the mixture of the first item of that data set."""
        which = bisect_right(self._ends, index)
        return self.parts[which], self._ends[which] - self.counts[which]

    def __getitem__(self, index: int) -> Boxed:
        part, start = self.part_of(index)
        image, box = boxed(part[index - start])
        height, width = image.shape[-2:]
        if max(height, width) > self.size:
            first = f"image {index} has {width} × {height} pixels, the first images have at most {self.size}"
            raise ValueError(f"expected images of one size in each data set, got several sizes: {first}.")
        if self.enlarge:
            scale = self.size / width
            larger = F.interpolate(image[None], (self.size, self.size), mode="bilinear", antialias=True)[0]
            return Boxed(larger, (box + 0.5) * scale - 0.5)  # a resize scales pixel edges, not centres
        return Boxed(F.pad(image, (0, self.size - width, 0, self.size - height)), box)


def number_apart(numbers: Sequence[Tensor]) -> Tensor:
    """Shift the whole numbers of several data sets so that no two data sets share a number."""
    found: list[Tensor] = []
    for each in numbers:
        found.append(each - each.min() + (found[-1].max() + 1 if found else 0))
    return torch.cat(found)


def boxed(item: Hand | Boxed | KeypointSample) -> Boxed:
    """Put a box around a hand. Anything else has one.

    ``Affine.from_boxes`` makes the same frame of it as ``Affine.from_points`` of the joints.
    """
    if isinstance(item, Boxed):
        return item
    if isinstance(item, KeypointSample):
        return Boxed(item.image, item.box)
    centre = item.xy.mean(-2)
    reach = (item.xy - centre).norm(dim=-1).amax()
    return Boxed(item.image, torch.cat([centre - reach, centre + reach]))
