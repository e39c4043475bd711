"""The labelled hands of ``finetune_freihand.py``."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, Subset

from equicon.data import SkipCorrupt
from equicon.hands import FreiHAND, Hand, SyntheticHands
from equicon.hands.recipes._pretrain_data import render
from equicon.hands.recipes._pretrain_options import is_freihand


class Repeated(Dataset[Hand]):
    """A data set, over and over, up to a length."""

    def __init__(self, data: Any, length: int) -> None:
        self.data, self.length = data, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Hand:
        if not 0 <= index < self.length:
            raise IndexError(f"index: expected 0 to {self.length - 1}, got {index}.")
        hand: Hand = self.data[index % len(self.data)]
        return hand


@dataclass(frozen=True)
class Data:
    """What a run learns from and is validated on.

    Args:
        labelled: The images whose labels are used.
        validation: Other hands, an image of each.
        count: How many images make an epoch, whose labels are used or not.
        name: What it is, for people.
    """

    labelled: Any
    validation: Any
    count: int
    name: str

    @property
    def train(self) -> Repeated:
        """An epoch of the labelled images, each as often as needed."""
        return Repeated(self.labelled, self.count)

    def __str__(self) -> str:
        used = "" if len(self.labelled) == self.count else f", of which {len(self.labelled):,} are labelled"
        return f"{self.count:,} {self.name}{used}; validated on {len(self.validation):,} other hands"

    def skipped(self) -> list[Path]:
        """List the corrupt images that others stood in for."""
        parts = self.labelled, self.validation
        return [path for part in parts if isinstance(part, SkipCorrupt) for path in part.skipped]


def load_data(args: argparse.Namespace, *, quiet: bool) -> Data:
    if args.data == "synthetic":
        held = max(1, round(args.holdout * args.hands))
        labelled = known(args.hands, args.fraction)
        source = SyntheticHands(args.hands + held, args.size, args.seed)
        wanted = [*range(labelled), *range(args.hands, len(source))]
        train, validation = render(Subset(source, wanted), labelled, quiet=quiet)
        return Data(train, validation, args.hands, "rendered hands")
    root = Path(args.data)
    if not root.is_dir():
        raise ValueError(f"expected 'synthetic' or the folder of FreiHAND, got {root}, which is no folder.")
    if not is_freihand(args.data):
        raise ValueError(f"expected the folder of FreiHAND, got {root}, which has no folder 'training'.")
    rest, held_out = FreiHAND(root).holdout(args.holdout, seed=args.seed)
    chosen = torch.randperm(len(rest.samples), generator=torch.Generator().manual_seed(args.seed))
    few = rest.select(chosen[: known(len(rest.samples), args.fraction)].sort().values)

    def reader(data: FreiHAND) -> Any:
        return SkipCorrupt(data) if args.skip_corrupt else data

    what = f"images of FreiHAND in {root}"
    return Data(reader(few), reader(held_out.select(versions=[0])), len(rest), what)


def known(count: int, fraction: float) -> int:
    """Count the hands whose labels are used; those of a smaller fraction are among those of a larger one."""
    return max(1, round(fraction * count))
