"""A data set of rendered hands, which are made when they are requested."""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor
from torch.utils.data import Dataset

from equicon._checks import check_int, describe, plain_fields
from equicon._groups.affine import Affine
from equicon.hands._rendered.domain import DomainName
from equicon.hands._rendered.pictures import render_hands
from equicon.hands._rendered.settings import Settings, Side
from equicon.hands._skeleton import Hand


@final
@dataclass(frozen=True)
class SyntheticHands(Dataset[Hand]):
    """Rendered hands with exact joints: a map-style data set that needs no files.

    It shows left and right hands from random sides, within the limits of their joints. The joints fill 45 to 80 % of
    the hand's square, which is the whole image by default, and all lie inside it. Sample i of a seed is always the
    same, whatever the batch, the order or the worker process. Different seeds share no sample. A ``DataLoader`` fetches
    a whole batch at once, and ``render`` makes a batch on an accelerator.

    There are two domains, since labelled and unlabelled data usually differ. In ``"studio"``, eight skin colours appear
    in steady light, in front of a few plain backdrops. In ``"wild"``, skin, light and background vary. Other arms and
    skin-coloured things lie behind the hand, there are things in it or in front of it, and the camera is poor. Sample i
    of one seed has the same bones, pose and camera in both, so the effect of a domain can be measured hand by hand.

    For contrastive learning, ``context`` gives views something to show outside the hand's square, so that no border
    tells how a view was cut. ``scenes`` lets hands share everything but what is to be learned. ``clip`` shows hands in
    motion.

    Args:
        num_samples: Number of samples, at least 0. A larger set begins with the samples of a smaller one.
        size: Height and width of the hand's square in pixels, at least 8.
        seed: At least 0.
        domain: ``"wild"`` or ``"studio"``.
        context: Width of the images divided by the width of the hand's square, at least 1. Images have round(context ·
            size) pixels to a side, with the square in the middle. Hand and viewpoint do not change; ``xy`` and K are in
            pixels of the image.
        scenes: How many scenes the hands share, at least 1. As in the frames of a video, a scene has one person (skin,
            bone lengths, sleeve), one light, background and camera, and the same other arms and things in front of the
            hand. Pose, viewpoint, place and the sensor's noise differ. With None, each hand or clip has its own scene.
        clip: How many samples in a row, at least 1, show one hand in smooth motion: samples k · clip to
            k · clip + clip − 1. A frame needs the poses of its whole clip, so batches of whole clips are cheapest.
        side: ``"left"`` or ``"right"`` for hands of that side only, or ``"both"``. Hands of the other side are mirrored
            before they are viewed, so bones, pose and viewpoint stay the same.

    Raises:
        TypeError: If an argument is not a number, or not a whole number where it must be.
        ValueError: If an argument is too small, or a name is not known.

    Examples:
        >>> from torch.utils.data import DataLoader
        >>> hands = SyntheticHands(num_samples=8, size=64, domain="studio", context=1.5, scenes=2)
        >>> batch = next(iter(DataLoader(hands, batch_size=4)))
        >>> batch.image.shape, hands.frame(4).warp(batch.image, (64, 64)).shape
        (torch.Size([4, 3, 96, 96]), torch.Size([4, 3, 64, 64]))
        >>> hands.groups
        tensor([0, 1, 0, 1, 0, 1, 0, 1])
    """

    num_samples: int
    size: int = 64
    seed: int = 0
    domain: DomainName = "wild"
    context: float = field(default=1.0, kw_only=True)
    scenes: int | None = field(default=None, kw_only=True)
    clip: int = field(default=1, kw_only=True)
    side: Side = field(default="both", kw_only=True)

    def __post_init__(self) -> None:
        plain_fields(self)
        check_int("num_samples", self.num_samples, low=0)
        self._settings()

    def _settings(self) -> Settings:
        return Settings(self.size, self.seed, self.domain, self.context, self.scenes, self.clip, self.side)

    def __len__(self) -> int:
        return self.num_samples

    @property
    def groups(self) -> Tensor:
        """The scene of each sample, (num_samples,) int64, for a sampler that draws batches from few of them.

        Sample i has the scene ``(i // clip) % scenes``, or ``i // clip`` without ``scenes``.
        """
        return self._settings().groups(range(self.num_samples))

    def frame(self, batch_size: int, *, device: torch.device | str | None = None) -> Affine:
        """Make the frame that cuts the hand's square out of the images.

        Through it, views of ``size`` pixels show what images without context show. Views that are turned, shifted or
        shrunk also show what lies around: ``augment(images, size=(64, 64), frame=hands.frame(len(images)))``.

        Args:
            batch_size: How many frames to make, at least 0. They are all the same.
            device: The device to make them on; None takes the CPU.

        Returns:
            A batch of magnifications, by the width of the image divided by that of the square.
        """
        return self._settings().frame(batch_size, device)

    def __getitem__(self, index: int) -> Hand:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Hand]:
        """Make a list of samples at once; a ``DataLoader`` calls this with the indices of a batch."""
        return [Hand(*sample) for sample in zip(*self.render(indices), strict=True)]

    def render(self, indices: Iterable[int], *, device: torch.device | str | None = None) -> Hand:
        """Render a batch on a device.

        All random numbers are drawn on the CPU, so the hands are the same on every device. Between the CPU and an
        accelerator, pixels differ by rounding.

        Args:
            indices: Samples, each in [-num_samples, num_samples).
            device: The device to render on; None takes the CPU.

        Returns:
            A ``Hand`` with a batch dimension.

        Raises:
            IndexError: If an index is out of range.
        """
        known = range(self.num_samples)
        try:
            wanted = [known[operator.index(index)] for index in indices]
        except IndexError:
            span = f"[{-self.num_samples}, {self.num_samples - 1}]"
            raise IndexError(f"indices: expected whole numbers in {span}, got {describe(indices)}.") from None
        return render_hands(wanted, self._settings(), device=device)
