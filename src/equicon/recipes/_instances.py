"""Which items show the same hand. The versions of a FreiHAND sample are not negatives of each other."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from equicon.data import SkipCorrupt
from equicon.hands import FreiHAND
from equicon.recipes._mixture import Mixture, number_apart


def instances_of(images: Any) -> Tensor:
    """Number the items of a data set (n,).

    Items with the same number show the same hand at the same moment.
    """
    if isinstance(images, SkipCorrupt):
        return instances_of(images.dataset)
    if isinstance(images, Mixture):
        return number_apart([instances_of(part) for part in images.parts])
    return images.instances if isinstance(images, FreiHAND) else torch.arange(len(images), device="cpu")


class Numbered(Dataset[tuple[Any, Tensor]]):
    """The items of a data set, each with the number of what it shows.

    If an image stands in for a corrupt one, its own number is given.

    Args:
        images: The data set.
        numbers: The number of each item (n,).
    """

    def __init__(self, images: Any, numbers: Tensor) -> None:
        self.images, self.numbers = images, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> tuple[Any, Tensor]:
        item = self.images[index]  # read the image first: only then is it known whether it is corrupt
        return item, self.numbers[_stand_in(self.images, index)]


def _stand_in(images: Any, index: int) -> int:
    if isinstance(images, SkipCorrupt):
        return images.stand_in(index)
    if isinstance(images, Mixture):
        part, start = images.part_of(index)
        return start + _stand_in(part, index - start)
    return index
