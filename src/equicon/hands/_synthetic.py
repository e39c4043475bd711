"""A data set of rendered hands, made as they are asked for."""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch.utils.data import Dataset

from equicon._checks import check_int, describe
from equicon.hands._background import draw_scene, paint_scene
from equicon.hands._draws import Draws, to_device
from equicon.hands._flesh import clothe
from equicon.hands._kinematics import pose_hands
from equicon.hands._render import trace
from equicon.hands._shade import draw_exposure, draw_look, expose, light_hand
from equicon.hands._skeleton import Hand


@final
@dataclass(frozen=True)
class SyntheticHands(Dataset[Hand]):
    """Rendered hands with exact joints: a map-style data set that needs no files.

    Left and right hands of all skin colours, in random poses, seen from random sides under random light before random
    backgrounds. The joints fill 45 to 80 % of the image and all lie inside it. Sample i of a seed is always the same,
    whatever the batch, the order or the worker process, and another seed shares no sample with it. A ``DataLoader``
    fetches its batches at once, and ``render`` makes them on an accelerator.

    Args:
        num_samples: Number of samples, at least 0. A larger set begins with the smaller one.
        size: Height and width of the images in pixels, at least 8.
        seed: At least 0.

    Raises:
        TypeError: An argument is not a whole number.
        ValueError: An argument is too small.

    Examples:
        >>> from torch.utils.data import DataLoader
        >>> hands = SyntheticHands(num_samples=8, size=64)
        >>> batch = next(iter(DataLoader(hands, batch_size=4)))
        >>> batch.image.shape, batch.xy.shape
        (torch.Size([4, 3, 64, 64]), torch.Size([4, 21, 2]))
    """

    num_samples: int
    size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        check_int("num_samples", self.num_samples, low=0)
        check_int("size", self.size, low=8)
        check_int("seed", self.seed, low=0)

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, index: int) -> Hand:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Hand]:
        """Make a list of samples at once; a ``DataLoader`` calls this with the indices of a batch."""
        return [Hand(*sample) for sample in zip(*self.render(indices), strict=True)]

    def render(self, indices: Iterable[int], *, device: torch.device | str | None = None) -> Hand:
        """Render a batch, on the device where it is wanted.

        What is random is drawn on the CPU, so the hands are the same on every device; between the CPU and an
        accelerator pixels differ by rounding.

        Args:
            indices: Samples, each in [-num_samples, num_samples).
            device: Where to render; the CPU when it is None.

        Returns:
            A ``Hand`` with a batch dimension.

        Raises:
            IndexError: An index is out of range.
        """
        known = range(self.num_samples)
        try:
            wanted = [known[operator.index(index)] for index in indices]
        except IndexError:
            span = f"[{-self.num_samples}, {self.num_samples - 1}]"
            raise IndexError(f"indices: expected whole numbers in {span}, got {describe(indices)}.") from None
        return render_hands(wanted, self.size, self.seed, device=device)


def render_hands(
    indices: Sequence[int], size: int, seed: int, *, version: int = 0, device: torch.device | str | None = None
) -> Hand:
    """Render a batch. Another version is the same hand before another background, with another exposure."""
    chunk = max(1, 2**18 // size**2)  # images at a time, so that what is in work fits into the processor's cache
    starts = range(0, max(1, len(indices)), chunk)
    parts = [_render_chunk(indices[k : k + chunk], size, seed, version, device) for k in starts]
    return Hand(*(torch.cat(field) for field in zip(*parts, strict=True)))


def _render_chunk(
    indices: Sequence[int], size: int, seed: int, version: int, device: torch.device | str | None
) -> Hand:
    hand, place = Draws(seed, indices, 0, 100), Draws(seed, indices, 1 + version, 600)
    posed = pose_hands(hand, size)
    cones = to_device(clothe(hand, posed), device)
    color, cover = light_hand(trace(cones, size), to_device(draw_look(hand), device), size)
    background = paint_scene(to_device(draw_scene(place), device), size)
    image = expose(color + background * (1.0 - cover), to_device(draw_exposure(place), device))
    return Hand(image, posed.xyz.float().to(device), posed.K.float().to(device))
