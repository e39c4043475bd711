"""The settings of a set of synthetic hands: all that a picture depends on, except the number of its sample."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from equicon._checks import check_choice, check_int, check_number, plain_fields
from equicon._groups.affine import Affine
from equicon.hands._rendered.domain import DomainName, find_domain

Side: TypeAlias = Literal["both", "left", "right"]


@dataclass(frozen=True)
class Settings:
    """The settings of a set of synthetic hands. ``SyntheticHands`` explains each.

    Raises:
        TypeError: If an argument is not a number.
        ValueError: If an argument is too small, or a name is not known.
    """

    size: int
    seed: int
    domain: DomainName
    context: float = 1.0
    scenes: int | None = None
    clip: int = 1
    side: Side = "both"
    run: int = 1  # clips in a row that have one scene

    def __post_init__(self) -> None:
        plain_fields(self)
        check_int("size", self.size, low=8)
        check_int("seed", self.seed, low=0)
        find_domain(self.domain)
        check_number("context", self.context, low=1.0)
        if self.scenes is not None:
            check_int("scenes", self.scenes, low=1)
        check_int("clip", self.clip, low=1)
        check_choice("side", self.side, ("both", "left", "right"))

    @property
    def width(self) -> int:
        """Height and width of a picture in pixels; ``size`` is the side of the hand's square in it."""
        return round(self.context * self.size)

    @property
    def shares(self) -> bool:
        """Whether several clips have one scene."""
        return self.scenes is not None or self.run > 1

    def scene(self, clip: int) -> int:
        """Return the scene of a clip."""
        return clip // self.run if self.scenes is None else clip // self.run % self.scenes

    def group(self, index: int) -> int:
        """Return the scene of a sample."""
        return self.scene(index // self.clip)

    def groups(self, indices: Iterable[int]) -> Tensor:
        """Return the scenes of samples: (B,) int64."""
        return torch.tensor([self.group(index) for index in indices], dtype=torch.int64, device="cpu")

    def frame(self, batch_size: int, device: torch.device | str | None) -> Affine:
        """Make the frame that cuts the hand's square out of each picture."""
        batch_size = check_int("batch_size", batch_size, low=0)
        square = torch.eye(2, dtype=torch.float32, device=device or "cpu") * (self.width / self.size)
        return Affine.from_linear(square.repeat(batch_size, 1, 1))
