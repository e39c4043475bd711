"""A data set of rendered hands, made as they are asked for."""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.utils.data import Dataset

from equicon._checks import check_int, describe, plain_fields
from equicon.hands._rendered.background import Scene, draw_scene, paint_scene
from equicon.hands._rendered.cones import Cones, join
from equicon.hands._rendered.domain import DomainName, find_domain
from equicon.hands._rendered.draws import Draws, to_device
from equicon.hands._rendered.flesh import clothe
from equicon.hands._rendered.kinematics import pose_hands
from equicon.hands._rendered.render import trace
from equicon.hands._rendered.sensor import Sensor, draw_sensor, expose
from equicon.hands._rendered.shade import Look, draw_look, light_hand
from equicon.hands._rendered.shadow import compose
from equicon.hands._rendered.things import draw_arm, draw_occluder
from equicon.hands._skeleton import Hand


@final
@dataclass(frozen=True)
class SyntheticHands(Dataset[Hand]):
    """Rendered hands with exact joints: a map-style data set that needs no files.

    Left and right hands within the limits of their joints, seen from random sides. The joints fill 45 to 80 % of the
    image and all lie inside it. Sample i of a seed is always the same, whatever the batch, the order or the worker
    process, and another seed shares no sample with it. A ``DataLoader`` fetches its batches at once, and ``render``
    makes them on an accelerator.

    There are two domains, as the data of a paper with and without labels differ. In ``"studio"`` eight skin colours
    stand in steady light before a few plain backdrops; in ``"wild"`` skin, light and background vary, other arms and
    skin-coloured things lie behind the hand and things in it or before it, and the camera is not a good one. Sample i
    of one seed has the same bones, pose and camera in both, so what a domain costs can be measured hand by hand.

    Args:
        num_samples: Number of samples, at least 0. A larger set begins with the smaller one.
        size: Height and width of the images in pixels, at least 8.
        seed: At least 0.
        domain: ``"wild"`` or ``"studio"``.

    Raises:
        TypeError: An argument is not a whole number.
        ValueError: An argument is too small, or the domain is not known.

    Examples:
        >>> from torch.utils.data import DataLoader
        >>> hands = SyntheticHands(num_samples=8, size=64, domain="studio")
        >>> batch = next(iter(DataLoader(hands, batch_size=4)))
        >>> batch.image.shape, batch.xy.shape
        (torch.Size([4, 3, 64, 64]), torch.Size([4, 21, 2]))
    """

    num_samples: int
    size: int = 64
    seed: int = 0
    domain: DomainName = "wild"

    def __post_init__(self) -> None:
        plain_fields(self)
        check_int("num_samples", self.num_samples, low=0)
        check_int("size", self.size, low=8)
        check_int("seed", self.seed, low=0)
        find_domain(self.domain)

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
        return render_hands(wanted, self.size, self.seed, self.domain, device=device)


@dataclass(frozen=True)
class Pictures:
    """All that is random in a batch: joints and intrinsics, solid things, their light, background and camera."""

    xyz: Tensor
    K: Tensor
    cones: Cones
    look: Look
    scene: Scene
    sensor: Sensor


def render_hands(
    indices: Sequence[int],
    size: int,
    seed: int,
    domain: DomainName,
    *,
    version: int = 0,
    device: torch.device | str | None = None,
) -> Hand:
    """Render a batch. Another version is the same hand in the same light, but before another background."""
    # On the CPU as many images at a time as its cache holds, elsewhere as many as keep the device busy.
    pixels = 2**19 if device is None or torch.device(device).type == "cpu" else 2**23
    chunk = max(1, pixels // size**2)
    starts = range(0, max(1, len(indices)), chunk)
    drawn = (draw_pictures(indices[k : k + chunk], size, seed, domain, version=version) for k in starts)
    parts = [_render(to_device(pictures, device), size) for pictures in drawn]
    return Hand(*(torch.cat(field) for field in zip(*parts, strict=True)))


def draw_pictures(indices: Sequence[int], size: int, seed: int, domain: DomainName, *, version: int = 0) -> Pictures:
    """Draw and pose a batch, on the CPU."""
    look = find_domain(domain)
    hand = pose_hands(Draws.of(seed, indices, 0, 200), size)  # the same in every domain
    draws = Draws.of(seed, indices, look.stream, 100)  # the same in every version
    place = Draws.of(seed, indices, look.stream + 1 + version, 200)
    cones = clothe(hand, draws.chance(look.sleeve))
    things = draw_arm(draws, look, hand, cones, size), draw_occluder(draws, look, hand, cones)
    return Pictures(
        hand.xyz,
        hand.K,
        join(cones, *things),
        draw_look(draws, look),
        draw_scene(place, look),
        draw_sensor(place, look),
    )


def _render(pictures: Pictures, size: int) -> Hand:
    lit = light_hand(trace(pictures.cones, size), pictures.look, size)
    light = compose(lit, paint_scene(pictures.scene, size), pictures.look)
    return Hand(expose(light, pictures.sensor), pictures.xyz, pictures.K)
