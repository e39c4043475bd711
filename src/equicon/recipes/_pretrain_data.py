"""The images of ``pretrain_freihand.py``: where they come from, and where the hand is in each image."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import equicon as eq
from equicon.data import Boxed, KeypointSample
from equicon.data._grouped import check_groups
from equicon.hands import Hand
from equicon.recipes._dataset_table import find_unlabelled, is_rendered, unlabelled_hands
from equicon.recipes._instances import Numbered, instances_of
from equicon.recipes._mixture import Mixture
from equicon.recipes._opening import beyond
from equicon.recipes._run_data import NO_LABELS, PretrainData
from equicon.training import ALONE, Batches, Ranks, Shares, loading, seed_of

Batch: TypeAlias = Hand | Boxed | KeypointSample
"""A batch of images, with labels or with boxes around what they show."""


def load_pretrain_data(args: argparse.Namespace, *, quiet: bool) -> PretrainData:
    """Open the data set that ``--data`` names. If it names several, mix them.

    Args:
        args: The options of ``pretrain_freihand.py``.
        quiet: Whether to hide progress bars.

    Raises:
        ValueError: If a data set cannot be opened, or batches cannot be drawn from ``--groups-per-batch`` groups.
    """
    found = [find_unlabelled(name).pretrain(args, name, quiet) for name in args.data]
    data = mixed(found, enlarge=len(found) > 1 and beyond(args) != "zeros")
    if args.groups_per_batch and data.images is not None and data.count >= args.batch_size:
        check_groups(data.images.groups, args.batch_size, args.groups_per_batch)  # type: ignore[attr-defined]
    return data


def mixed(found: Sequence[PretrainData], *, enlarge: bool) -> PretrainData:
    """Mix data sets, if they are several.

    Args:
        found: The data sets.
        enlarge: As for ``Mixture``.
    """
    if len(found) == 1:
        return found[0]
    labelled = next((data.labelled for data in found if data.labelled), None)
    unprobed = next((data.unprobed for data in found if data.unprobed != NO_LABELS), NO_LABELS)
    names = " and ".join(f"{data.count:,} {data.name}" for data in found)
    images = Mixture([data.images for data in found if data.images is not None], enlarge=enlarge)
    notes = tuple(note for data in found for note in data.notes)
    return PretrainData(images, len(images), labelled, f"images, which are {names}", unprobed, notes)


def training_batches(
    data: PretrainData, args: argparse.Namespace, first: int, last: int, ranks: Ranks = ALONE
) -> Iterator[tuple[Batch, Tensor | None]]:
    """Load this rank's parts of the batches from ``first`` up to, but not including, ``last``.

    The hands of ``--data stream`` are rendered here. Each batch comes with labels (B,) for the loss: the number of the
    hand that each image shows. The labels are None if no two images of the data show the same hand.

    Args:
        data: The data to load.
        args: The options of ``pretrain_freihand.py``.
        first: The number of the first batch.
        last: The number of the batch before which to stop.
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
    if shares or len(numbers.unique()) < len(numbers):  # with shares, an epoch may have an image twice
        return iter(DataLoader(Numbered(images, numbers), batch_sampler=sampler, **loading(args)))
    return ((batch, None) for batch in DataLoader(images, batch_sampler=sampler, **loading(args)))


def _stream(args: argparse.Namespace, wanted: range, part: slice) -> Iterator[tuple[Hand, None]]:
    hands = unlabelled_hands(args, 2**62)
    for number in wanted:
        yield hands.render(_indices(args, number)[part], device=args.device), None


def _indices(args: argparse.Namespace, number: int) -> Sequence[int]:
    """Choose the hands of the stream for a batch: the next ones or, with groups, the next ones of a few scenes."""
    if not args.groups_per_batch:
        return range(number * args.batch_size, (number + 1) * args.batch_size)
    generator = torch.Generator().manual_seed(seed_of(args.seed, 3, number))
    scenes = torch.randperm(args.scenes, generator=generator, device="cpu")[: args.groups_per_batch].tolist()
    each = args.batch_size // args.groups_per_batch
    # The scenes take turns, so that each rank gets hands of every scene.
    return [scene + args.scenes * (number * each + k) for k in range(each) for scene in scenes]


def labelled_batches(data: Dataset[Any], args: argparse.Namespace, batch_size: int) -> DataLoader[Any]:
    """Load labelled images in their order."""
    return DataLoader(data, batch_size, **loading(args))


def frame_of(batch: Batch, args: argparse.Namespace, margin: float = 1.0) -> eq.Affine:
    """Make the frame around the hand in each image.

    A box gives the frame if the images have boxes. A rendered hand is framed by its square. Other hands are framed by
    their joints, as in the paper: the joints replace a hand detector.

    Args:
        batch: The images.
        args: The options of ``pretrain_freihand.py``. They tell whether the hands are rendered.
        margin: The half-side of the frame over the half-side of the hand. Not used for rendered hands, since their
            square has a margin.
    """
    size = (batch.image.shape[-2], batch.image.shape[-1])
    if isinstance(batch, Boxed | KeypointSample):
        return eq.Affine.from_boxes(batch.box, size, margin)
    if is_rendered(args.data):
        square = torch.eye(2, device=batch.image.device) * (min(size) / args.size)
        return eq.Affine.from_linear(square.expand(len(batch.image), 2, 2))
    return eq.Affine.from_points(batch.xy, size, margin)
