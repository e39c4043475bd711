"""The data of a run: hands to pre-train on, and hands with labels to fine-tune on."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset
from tqdm import tqdm

from equicon.data import Boxed, SkipCorrupt, VideoFrames
from equicon.hands import Hand, SyntheticHands
from equicon.recipes._mixture import Mixture

NO_LABELS = "no probes, because there are no labels"


@dataclass(frozen=True)
class PretrainData:
    """The data that pre-training learns from and is probed on.

    Args:
        images: The images to learn from, without labels. None if new hands are rendered all the time.
        count: The number of images in an epoch.
        labelled: Labelled images to fit a probe on, and others to test it on. None without labels.
        name: The name of the data, for people.
        unprobed: The reason why there are no probes.
        notes: Further lines about the data.
    """

    images: Dataset[Any] | None
    count: int
    labelled: tuple[Dataset[Any], Dataset[Any]] | None
    name: str
    unprobed: str = NO_LABELS
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        probes = self.unprobed
        if self.labelled:
            fit, test = (len(part) for part in self.labelled)  # type: ignore[arg-type]
            probes = f"probes learn from {fit:,} labelled images and are tested on {test:,} others"
        return "\n".join((f"{self.count:,} {self.name}; {probes}", *self.notes))

    @property
    def counts(self) -> tuple[int, ...]:
        """The number of images in each data set that is mixed."""
        return self.images.counts if isinstance(self.images, Mixture) else (self.count,)

    def skipped(self) -> list[Path]:
        """List the corrupt images that were replaced by other images."""
        sources = self.images.parts if isinstance(self.images, Mixture) else (self.images,)
        return _skipped(*sources, *(self.labelled or ()))


@dataclass(frozen=True)
class FinetuneData:
    """The data that fine-tuning learns from and is validated on.

    Args:
        labelled: The images whose labels are used.
        validation: Other items, such as one image of each of other hands.
        count: The number of images in an epoch. It also counts images whose labels are not used.
        name: The name of the data, for people.
        unlabelled: Pictures without labels to learn from too, if there are any.
    """

    labelled: Any
    validation: Any
    count: int
    name: str
    unlabelled: PretrainData | None = None

    def __str__(self) -> str:
        used = "" if len(self.labelled) == self.count else f", of which {len(self.labelled):,} are labelled"
        return f"{self.count:,} {self.name}{used}; validated on {len(self.validation):,} other hands{self.beside}"

    @property
    def beside(self) -> str:
        """The pictures without labels, for people."""
        more = self.unlabelled
        return "\n".join((f"\nBeside them, {more.count:,} {more.name} without labels", *more.notes)) if more else ""

    @property
    def counts(self) -> tuple[int, ...]:
        """The number of images in an epoch, and the number of those without labels in each of their data sets."""
        return (self.count, *(self.unlabelled.counts if self.unlabelled else ()))

    @property
    def train(self) -> "Repeated":
        """An epoch of labelled images. Images repeat if there are fewer than in an epoch."""
        return Repeated(self.labelled, self.count)

    def skipped(self) -> list[Path]:
        """List the corrupt images that were replaced by other images."""
        return _skipped(self.labelled, self.validation) + (self.unlabelled.skipped() if self.unlabelled else [])


def _skipped(*parts: object) -> list[Path]:
    return [path for part in parts if isinstance(part, SkipCorrupt) for path in part.skipped]


class Repeated(Dataset[Hand]):
    """A data set that repeats itself up to a length."""

    def __init__(self, data: Any, length: int) -> None:
        self.data, self.length = data, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Hand:
        if not 0 <= index < self.length:
            raise IndexError(f"index: expected 0 to {self.length - 1}, got {index}.")
        hand: Hand = self.data[index % len(self.data)]
        return hand


class Rendered(Dataset[Hand]):
    """Hands in memory, and the group (n,) of each hand."""

    def __init__(self, hands: list[Hand], groups: Tensor) -> None:
        self.hands, self.groups = hands, groups

    def __len__(self) -> int:
        return len(self.hands)

    def __getitem__(self, index: int) -> Hand:
        return self.hands[index]


class Held(Dataset[Boxed]):
    """Frames of a video in memory, and the group (n,) of each."""

    def __init__(self, images: Tensor, boxes: Tensor, groups: Tensor) -> None:
        self.images, self.boxes, self.groups = images, boxes, groups

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Boxed:
        return Boxed(self.images[index], self.boxes[index])


def hold_frames(video: VideoFrames | SkipCorrupt[Boxed], *, quiet: bool = False) -> Held:
    """Decode all frames of a video, and hold them in memory.

    Args:
        video: The frames, of which those that cannot be decoded may be skipped.
        quiet: Whether to hide the progress bar.
    """
    first = video[0].image
    images = torch.empty(len(video), *first.shape, dtype=torch.uint8, device="cpu")
    boxes = torch.empty(len(video), 4, device="cpu")
    for i in tqdm(range(len(video)), desc="decode video", unit="frame", disable=quiet):
        images[i], boxes[i] = video[i]
    return Held(images, boxes, video.groups)


def render(source: SyntheticHands | Subset[Hand], *counts: int, quiet: bool = False) -> Iterator[Rendered]:
    """Render a data set, and split it into parts.

    Args:
        source: The hands to render.
        *counts: The number of hands in the first part, the second part and so on. The last part has the remaining
            hands.
        quiet: Whether to hide the progress bar.

    Returns:
        The parts, in memory.
    """
    hands: list[Hand] = []
    with tqdm(total=len(source), desc="render hands", unit="hand", disable=quiet) as bar:
        for start in range(0, len(source), 64):
            hands += source.__getitems__([*range(start, min(start + 64, len(source)))])
            bar.update(len(hands) - bar.n)
    edges = [0, *itertools.accumulate(counts), len(source)]
    groups = _scenes(source)
    return (Rendered(hands[start:end], groups[start:end]) for start, end in itertools.pairwise(edges))


def _scenes(source: SyntheticHands | Subset[Hand]) -> Tensor:
    """Give the number of the scene (n,) of each hand."""
    if isinstance(source, SyntheticHands):
        return source.groups
    groups: Tensor = source.dataset.groups  # type: ignore[attr-defined]  # a subset of SyntheticHands
    return groups[torch.tensor(source.indices, device="cpu")]
