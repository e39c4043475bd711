"""What an encoder has learned of hands, by probes on its frozen features."""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

import equicon as eq
from equicon.hands import Hand
from equicon.hands.recipes._pretrain_data import frame_of, labelled_batches
from equicon.hands.recipes._run_data import PretrainData
from equicon.probes import Features, ProbeResult, extract_features, predict_keypoints, probe_table

ERRORS = {"px": "2D [px]", "mm": "3D [mm]", "pa_mm": "aligned 3D [mm]"}
_MARGIN = 1.2  # the middle of the paper's margins
_BATCH = 128
SHOWN = 6
"""How many hands are drawn with what a probe sees."""


class Probed(NamedTuple):
    """What probes found in an encoder's features.

    Args:
        rows: The errors of each probe; none where there are no labels.
        shown: (N, 21, 2) where the linear probe with all labels sees the joints of the first few hands of the test, in
            pixels of the views.
    """

    rows: list[ProbeResult]
    shown: Tensor


def probe_hands(encoder: nn.Module, data: PretrainData, args: argparse.Namespace, dtype: torch.dtype) -> Probed:
    """Look for joints in the frozen features, with 1 %, 10 % and all of the labels, as far as that is enough.

    Args:
        encoder: On the device.
        data: Of which the labelled hands are used; without them there is nothing to find.
        args: The options of ``pretrain_freihand.py``.
        dtype: The type that the encoder computes in.
    """
    if data.labelled is None:
        return Probed([], torch.empty(0, 21, 2, device="cpu"))
    train, test = (_embed(encoder, hands, args, dtype) for hands in data.labelled)
    fractions = [fraction for fraction in (0.01, 0.1, 1.0) if round(fraction * len(train.z)) >= 5]
    bar = partial(tqdm, desc="probe", leave=False)
    kinds: list[Any] = ["mean", "linear", *(["mlp"] if args.mlp_probe else [])]
    rows = probe_table(train, test, kinds=kinds, fractions=fractions, progress=bar)
    first = Features(*(value[:SHOWN] for value in test if value is not None))
    return Probed(rows, predict_keypoints(train, first).float())


def _embed(encoder: nn.Module, hands: Dataset[Hand], args: argparse.Namespace, dtype: torch.dtype) -> Features:
    loader, normalize = labelled_batches(hands, args, _BATCH), eq.Normalize.imagenet()
    device = torch.device(args.device)

    def framed() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for hand in loader:
            views, xy = plain_views(hand, args)
            yield normalize(views)[0].contiguous(memory_format=torch.channels_last), xy, hand.xyz

    bar = partial(tqdm, desc="embed", total=len(loader), leave=False)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        return extract_features(encoder, framed(), progress=bar)


def plain_views(hand: Hand, args: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Cut hands out of their images as the probes see them.

    Args:
        hand: A batch.
        args: The options of ``pretrain_freihand.py``.

    Returns:
        The views (B, 3, h, w) on the device, and the joints (B, 21, 2) in their pixels.
    """
    frame, source, size = frame_of(hand, args, _MARGIN), (hand.image.shape[-2], hand.image.shape[-1]), (args.size,) * 2
    views = frame.to(args.device).warp(hand.image.to(args.device, non_blocking=True), size)
    return views, frame.points(hand.xy, source, size)


def named_errors(rows: Sequence[ProbeResult]) -> dict[str, float]:
    """Name what probes found as TensorBoard groups it."""
    return {
        f"probe, {title}/{row.kind}, {row.labels} labels": getattr(row, name)
        for row in rows
        for name, title in ERRORS.items()
    }
