"""The images of ``pretrain_freihand.py``: where they come from, and where in them the hand is."""

import argparse
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import equicon as eq
from equicon.data import Boxed
from equicon.data._grouped import check_groups
from equicon.hands import Hand
from equicon.hands.recipes._dataset_table import beyond, find_unlabelled, is_rendered, unlabelled_hands
from equicon.hands.recipes._instances import Numbered, instances_of
from equicon.hands.recipes._mixture import Mixture
from equicon.hands.recipes._run_data import NO_LABELS, PretrainData
from equicon.training import ALONE, Batches, Ranks, Shares, loading, seed_of

Batch: TypeAlias = Hand | Boxed
"""Images, with labels or with boxes around the hands."""


def load_pretrain_data(args: argparse.Namespace, *, quiet: bool) -> PretrainData:
    """Open what ``--data`` names, and mix it if it names several.

    Args:
        args: The options of ``pretrain_freihand.py``.
        quiet: Whether to show no progress.

    Raises:
        ValueError: If it cannot be opened, or batches cannot be drawn from ``--groups-per-batch`` groups.
    """
    data = _open(args, quiet=quiet)
    if args.groups_per_batch and data.images is not None and data.count >= args.batch_size:
        check_groups(data.images.groups, args.batch_size, args.groups_per_batch)  # type: ignore[attr-defined]
    return data


def _open(args: argparse.Namespace, *, quiet: bool) -> PretrainData:
    found = [find_unlabelled(name).pretrain(args, name, quiet) for name in args.data]
    if len(found) == 1:
        return found[0]
    labelled = next((data.labelled for data in found if data.labelled), None)
    unprobed = next((data.unprobed for data in found if data.unprobed != NO_LABELS), NO_LABELS)
    names = " and ".join(f"{data.count:,} {data.name}" for data in found)
    images = Mixture([data.images for data in found if data.images is not None], enlarge=beyond(args) != "zeros")
    notes = tuple(note for data in found for note in data.notes)
    return PretrainData(images, len(images), labelled, f"images, which are {names}", unprobed, notes)


def training_batches(
    data: PretrainData, args: argparse.Namespace, first: int, last: int, ranks: Ranks = ALONE
) -> Iterator[tuple[Batch, Tensor | None]]:
    """Load this rank's parts of batches ``first`` to ``last``; what is rendered without end is rendered in place.

    Each comes with labels (B,) for the loss: the numbers of the hands that its images show. They are None where no two
    images of the data show the same.

    Args:
        data: What to load.
        args: The options of ``pretrain_freihand.py``.
        first: The number of the first batch.
        last: The one before which to stop.
        ranks: The processes of the run.
    """
    if data.images is None:
        return _stream(args, range(first, last), ranks.part(args.batch_size))
    images, shares, groups = data.images, None, {}
    if args.data_weights:
        shares = Shares(data.counts, args.data_weights)
    if args.groups_per_batch:
        groups = {"groups": images.groups, "groups_per_batch": args.groups_per_batch}  # type: ignore[attr-defined]
    sampler = Batches(data.count, args.batch_size, args.seed, first, last, ranks, shares, **groups)
    numbers = instances_of(images)
    if shares or len(numbers.unique()) < len(numbers):  # by shares, an image may come twice in an epoch
        return iter(DataLoader(Numbered(images, numbers), batch_sampler=sampler, **loading(args)))
    return ((batch, None) for batch in DataLoader(images, batch_sampler=sampler, **loading(args)))


def _stream(args: argparse.Namespace, wanted: range, part: slice) -> Iterator[tuple[Hand, None]]:
    hands = unlabelled_hands(args, 2**62)
    for number in wanted:
        yield hands.render(_indices(args, number)[part], device=args.device), None


def _indices(args: argparse.Namespace, number: int) -> Sequence[int]:
    """Say which hands of the stream make a batch: the next ones, or the next ones of a few scenes."""
    if not args.groups_per_batch:
        return range(number * args.batch_size, (number + 1) * args.batch_size)
    generator = torch.Generator().manual_seed(seed_of(args.seed, 3, number))
    scenes = torch.randperm(args.scenes, generator=generator, device="cpu")[: args.groups_per_batch].tolist()
    each = args.batch_size // args.groups_per_batch
    # They take turns, so that each rank has hands of all of them.
    return [scene + args.scenes * (number * each + k) for k in range(each) for scene in scenes]


def labelled_batches(hands: Dataset[Hand], args: argparse.Namespace, batch_size: int) -> DataLoader[Hand]:
    """Load hands in their order."""
    return DataLoader(hands, batch_size, **loading(args))


def frame_of(batch: Batch, args: argparse.Namespace, margin: float = 1.0) -> eq.Affine:
    """Frame the hand: by its joints as the paper does, in place of a detector; by its box; or, rendered, by its square.

    Args:
        batch: The images.
        args: The options of ``pretrain_freihand.py``, which say what they are of.
        margin: Half-side of the frame over that of the hand; the square has one of its own.
    """
    size = (batch.image.shape[-2], batch.image.shape[-1])
    if isinstance(batch, Boxed):
        return eq.Affine.from_boxes(batch.box, size, margin)
    if is_rendered(args.data):
        square = torch.eye(2, device=batch.image.device) * (min(size) / args.size)
        return eq.Affine.from_linear(square.expand(len(batch.image), 2, 2))
    return eq.Affine.from_points(batch.xy, size, margin)
