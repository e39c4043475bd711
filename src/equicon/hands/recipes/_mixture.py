"""Several data sets as one, of square images of one size with a box around the hand."""

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from equicon.data import Boxed
from equicon.hands import Hand


class Mixture(Dataset[Boxed]):
    """The items of one data set, then those of the next, and so on.

    Smaller images are extended by zeros to the right and below, which are what a view shows beyond an image anyway. So
    nothing is resampled; a view that shrinks blurs the image's right and lower end a little differently. Views that are
    to show no zeros would take these for a part of the image: for them, smaller images are enlarged.

    Args:
        parts: Data sets of ``Hand`` or ``Boxed``, each of square images of one size.
        enlarge: Whether smaller images are enlarged rather than extended.
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
        """The group of each item (n,), int64; no two parts share one."""
        return number_apart([part.groups for part in self.parts])  # type: ignore[attr-defined]  # all of the table have

    def part_of(self, index: int) -> tuple[Dataset[Any], int]:
        """Find the data set of an item, and the index here of that one's first item."""
        which = bisect_right(self._ends, index)
        return self.parts[which], self._ends[which] - self.counts[which]

    def __getitem__(self, index: int) -> Boxed:
        part, start = self.part_of(index)
        image, box = boxed(part[index - start])
        height, width = image.shape[-2:]
        if max(height, width) > self.size:
            first = f"image {index} has {width} × {height} pixels, and the first ones at most {self.size}"
            raise ValueError(f"expected images of one size in each data set, got others: {first}.")
        if self.enlarge:
            scale = self.size / width
            larger = F.interpolate(image[None], (self.size, self.size), mode="bilinear", antialias=True)[0]
            return Boxed(larger, (box + 0.5) * scale - 0.5)  # edges are what a resize scales
        return Boxed(F.pad(image, (0, self.size - width, 0, self.size - height)), box)


def number_apart(numbers: Sequence[Tensor]) -> Tensor:
    """Put the whole numbers of several data sets behind each other, so that no two of them share one."""
    found: list[Tensor] = []
    for each in numbers:
        found.append(each - each.min() + (found[-1].max() + 1 if found else 0))
    return torch.cat(found)


def boxed(item: Hand | Boxed) -> Boxed:
    """Put the box around a hand that ``Affine.from_boxes`` frames as ``Affine.from_points`` does its joints."""
    if isinstance(item, Boxed):
        return item
    centre = item.xy.mean(-2)
    reach = (item.xy - centre).norm(dim=-1).amax()
    return Boxed(item.image, torch.cat([centre - reach, centre + reach]))
