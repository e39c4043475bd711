"""The images of ``pretrain_freihand.py``: where they come from, and where in them the hand is."""

import argparse
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

import equicon as eq
from equicon.data import Boxed, SkipCorrupt, UnlabelledImages
from equicon.hands import FreiHAND, Hand, SyntheticHands, SyntheticHandStream, YouTube3DHands
from equicon.hands.recipes._mixture import Mixture
from equicon.hands.recipes._pretrain_options import is_freihand, is_rendered, is_youtube
from equicon.training._batches import Batches, Shares, loading
from equicon.training._ranks import ALONE, Ranks

Batch: TypeAlias = Hand | Boxed
_NO_LABELS = "no labels, nothing to probe"
_OTHERS = 2**31  # labelled hands of the endless stream: of the same seed, but from another one's samples


@dataclass(frozen=True)
class Data:
    """What a run learns from and is measured on.

    Args:
        images: To learn from, without labels; None where they are rendered without end.
        count: How many images make an epoch.
        labelled: Hands to fit a probe on and hands to test it on; None without labels.
        name: What it is, for people.
        unprobed: Why there is nothing to probe.
        notes: What else to say about it.
    """

    images: Dataset[Any] | None
    count: int
    labelled: tuple[Dataset[Hand], Dataset[Hand]] | None
    name: str
    unprobed: str = _NO_LABELS
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        probes = self.unprobed
        if self.labelled:
            fit, test = (len(part) for part in self.labelled)  # type: ignore[arg-type]
            probes = f"probes learn from {fit:,} other hands and are tested on {test:,}"
        return "\n".join((f"{self.count:,} {self.name}; {probes}", *self.notes))

    @property
    def counts(self) -> tuple[int, ...]:
        """How many images each of the data sets has that are mixed."""
        return self.images.counts if isinstance(self.images, Mixture) else (self.count,)

    def skipped(self) -> list[Path]:
        """List the corrupt images that others stood in for."""
        sources = self.images.parts if isinstance(self.images, Mixture) else (self.images,)
        parts = (*sources, *(self.labelled or ()))
        return [path for part in parts if isinstance(part, SkipCorrupt) for path in part.skipped]


class Rendered(Dataset[Hand]):
    """Hands in memory."""

    def __init__(self, hands: list[Hand]) -> None:
        self.hands = hands

    def __len__(self) -> int:
        return len(self.hands)

    def __getitem__(self, index: int) -> Hand:
        return self.hands[index]


def load_data(args: argparse.Namespace, ranks: Ranks = ALONE) -> Data:
    """Open what ``--data`` names, and mix it if it names several."""
    if is_rendered(args.data):
        return _load_rendered(args, quiet=not ranks.first)
    found = [_load_folder(args, Path(name)) for name in args.data]
    if len(found) == 1:
        return found[0]
    labelled = next((data.labelled for data in found if data.labelled), None)
    unprobed = next((data.unprobed for data in found if data.unprobed != _NO_LABELS), _NO_LABELS)
    names = " and ".join(f"{data.count:,} {data.name}" for data in found)
    images = Mixture([data.images for data in found if data.images is not None])
    notes = tuple(note for data in found for note in data.notes)
    return Data(images, len(images), labelled, f"images, which are {names}", unprobed, notes)


def _load_rendered(args: argparse.Namespace, quiet: bool) -> Data:
    counts = _probe_counts(args)
    if args.data[0] == "stream":
        labelled = SyntheticHands(sum(counts), args.size, args.seed + _OTHERS)
        fitting, testing = render(labelled, args.labelled, quiet=quiet)
        return Data(None, args.hands, (fitting, testing), "rendered hands to an epoch, without end")
    source = SyntheticHands(args.hands + sum(counts), args.size, args.seed)
    images, fitting, testing = render(source, args.hands, args.labelled, quiet=quiet)
    return Data(images, args.hands, (fitting, testing), "rendered hands")


def _probe_counts(args: argparse.Namespace) -> tuple[int, int]:
    return args.labelled, math.ceil(args.labelled / 2)


def _load_folder(args: argparse.Namespace, root: Path) -> Data:
    def reader(data: Any) -> Any:
        return SkipCorrupt(data) if args.skip_corrupt else data

    if not root.is_dir():
        raise ValueError(f"expected 'synthetic', 'stream' or a folder, got {root}, which is no folder.")
    # A view that shrinks, turns and shifts reaches to the corners of a square 2.5 times the box.
    margin = 2.5
    around = round(margin * args.size)
    if is_youtube(str(root)):
        if is_freihand(str(root)):
            raise ValueError(f"expected one data set in a folder, got {root}, which holds FreiHAND and YouTube3DHands.")
        hands = YouTube3DHands(root, size=around, margin=margin, mirror_left=args.mirror_left)
        what = f"hands of YouTube3DHands in {root}"
        return Data(reader(hands), len(hands), None, what, notes=(f"YouTube3DHands: {hands.summary}",))
    if is_freihand(str(root)):
        everything = FreiHAND(root)
        if args.holdout == 0:
            return Data(reader(everything), len(everything), None, f"images of FreiHAND in {root}")
        training, probing = everything.holdout(args.holdout, seed=args.seed)
        fit, test = probing.select(versions=[0]).holdout(1 / 3, seed=args.seed)
        fit, test = (
            part.select(range(min(n, len(part)))) for part, n in zip((fit, test), _probe_counts(args), strict=True)
        )
        what = f"images of FreiHAND in {root}"
        if len(fit) < 5:
            few = f"{len(probing.samples)} labelled hands are too few to probe, raise --holdout"
            return Data(reader(training), len(training), None, what, few)
        return Data(reader(training), len(training), (reader(fit), reader(test)), what)
    for near in (root.parent, *sorted(root.iterdir())):
        for name, known in (("FreiHAND", "training_K.json"), ("YouTube3DHands", "youtube_train.json")):
            if (near / known).exists():
                raise ValueError(f"expected a folder of photographs, got {root}, but {name} is {near}: give that.")
    photographs = UnlabelledImages(root, around if args.boxes else 2 * args.size, boxes=args.boxes, margin=margin)
    what = f"boxes in photographs in {root}" if args.boxes else f"photographs in {root}"
    return Data(reader(photographs), len(photographs), None, what)


def render(source: SyntheticHands | Subset[Hand], *counts: int, quiet: bool = False) -> Iterator[Rendered]:
    """Render a set and split it after the given counts."""
    hands: list[Hand] = []
    with tqdm(total=len(source), desc="render hands", unit="hand", disable=quiet) as bar:
        for start in range(0, len(source), 64):
            hands += source.__getitems__([*range(start, min(start + 64, len(source)))])
            bar.update(len(hands) - bar.n)
    edges = [0, *itertools.accumulate(counts), len(source)]
    return (Rendered(hands[start:end]) for start, end in itertools.pairwise(edges))


def training_batches(
    data: Data, args: argparse.Namespace, first: int, last: int, ranks: Ranks = ALONE
) -> Iterator[Batch]:
    """Load this rank's parts of batches ``first`` to ``last``; what is rendered without end is rendered in place."""
    if data.images is None:
        return _stream(args, range(first, last), ranks.part(args.batch_size))
    shares = Shares(data.counts, args.data_weights) if args.data_weights else None
    sampler = Batches(data.count, args.batch_size, args.seed, first, last, ranks, shares)
    return iter(DataLoader(data.images, batch_sampler=sampler, **loading(args)))


def _stream(args: argparse.Namespace, wanted: range, part: slice) -> Iterator[Hand]:
    for number in wanted:
        start = number * args.batch_size + part.start
        yield next(
            iter(SyntheticHandStream(part.stop - part.start, args.size, args.seed, first=start, device=args.device))
        )


def labelled_batches(hands: Dataset[Hand], args: argparse.Namespace, batch_size: int) -> DataLoader[Hand]:
    """Load hands in their order."""
    return DataLoader(hands, batch_size, **loading(args))


def frame_of(batch: Batch, data: Sequence[str], margin: float = 1.0) -> eq.Affine:
    """Frame the hand: by its joints as the paper does, in place of a detector, or by its box; or take all of it."""
    size = (batch.image.shape[-2], batch.image.shape[-1])
    if isinstance(batch, Boxed):
        return eq.Affine.from_boxes(batch.box, size, margin)
    if is_rendered(data):
        return eq.Affine.identity(len(batch.image), device=batch.image.device)
    return eq.Affine.from_points(batch.xy, size, margin)
