"""The pieces that ``reproduce.py`` runs: what each is, and what it is called."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Results: TypeAlias = Mapping[str, Mapping[str, Any]]
"""What pieces found, by key."""


@dataclass(frozen=True)
class Pretrain:
    """A pre-training by ``pretrain_freihand.py``.

    Args:
        method: One of ``simclr``, ``peclr`` and ``exact``.
        data: The names of the sets that it learns from. A video is ``SET video``.
        size: The side of the views [pixels].
        groups: The number of groups in a step; 0 for none.
        rate: The highest learning rate.
        seed: The seed of everything random.
    """

    method: str
    data: tuple[str, ...]
    size: int
    groups: int
    rate: float
    seed: int

    @property
    def key(self) -> str:
        """Name the piece, for files and for people."""
        return f"{self.method} on {' and '.join(self.data)}, {self.size} px, rate {self.rate:g}, seed {self.seed}"


@dataclass(frozen=True)
class Supervised:
    """A fine-tuning by ``finetune_freihand.py`` on rendered hands with labels.

    Args:
        size: The side of the views [pixels].
        seed: The seed of everything random.
    """

    size: int
    seed: int

    @property
    def key(self) -> str:
        """Name the piece, for files and for people."""
        return f"labels of rendered hands, {self.size} px, seed {self.seed}"


@dataclass(frozen=True)
class Given:
    """Weights that no piece makes.

    Args:
        weights: ``none`` for random weights, or a name of ``equicon.list_pretrained``.
    """

    weights: str

    @property
    def key(self) -> str:
        """Name the weights, for people."""
        return "scratch" if self.weights == "none" else self.weights


Start: TypeAlias = Pretrain | Supervised | Given
"""What a fine-tuning starts from."""


@dataclass(frozen=True)
class FineTune:
    """A fine-tuning on photographs, and its test.

    Args:
        on: The name of the set.
        share: The share of the training labels.
        rate: The highest learning rate.
        seed: The seed of everything random.
        start: What it starts from.
        steps: Its number of steps.
        unlabelled: The names of the sets without labels that it learns from too.
    """

    on: str
    share: float
    rate: float
    seed: int
    start: Start
    steps: int
    unlabelled: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Name the piece, for files and for people."""
        beside = f", consistent on {' and '.join(self.unlabelled)}" if self.unlabelled else ""
        words = f"{self.on}, {100 * self.share:.3g} % of the labels, rate {self.rate:g}, seed {self.seed}"
        return f"{words}, {self.steps} steps{beside}, after {self.start.key}"


Piece: TypeAlias = Pretrain | Supervised | FineTune
"""One or two commands of the example programs."""
