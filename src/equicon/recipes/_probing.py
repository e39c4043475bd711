"""Measure what an encoder has learned, with probes on its frozen features."""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

import equicon as eq
from equicon.data import KeypointDataset, KeypointSample
from equicon.data._keypoints import MARGIN as VIEW_MARGIN
from equicon.hands import Hand
from equicon.probes import Features, ProbeResult, extract_features, predict_keypoints, probe_table
from equicon.probes._labels import choose_labels
from equicon.recipes._opening import unwrapped
from equicon.recipes._pretrain_data import frame_of, labelled_batches
from equicon.recipes._run_data import PretrainData

ERRORS = {"px": "2D [px]", "mm": "3D [mm]", "pa_mm": "aligned 3D [mm]"}
_MARGIN = 1.2  # for hands: the middle of the paper's margins
_BATCH = 128
SHOWN = 6
"""The number of images that are drawn with the keypoints that a probe predicts."""


class Probed(NamedTuple):
    """What probes found in the features of an encoder.

    Args:
        rows: The errors of each probe. Empty if there are no labels.
        shown: The keypoints (N, K, 2) that the linear probe with all labels predicts for the first few test images, in
            pixels of the views.
    """

    rows: list[ProbeResult]
    shown: Tensor


def probe_hands(encoder: nn.Module, data: PretrainData, args: argparse.Namespace, dtype: torch.dtype) -> Probed:
    """Predict keypoints from frozen features, with 1 %, 10 % and all of the labels.

    A share is left out if it has fewer than five labels, none of a keypoint, or labels of one group only.

    Args:
        encoder: The encoder, on the device.
        data: The data. Only its labelled images are used; without them, nothing is measured.
        args: The options of ``pretrain_freihand.py``.
        dtype: The type in which the encoder computes.
    """
    if data.labelled is None:
        return Probed([], torch.empty(0, 0, 2, device="cpu"))
    train, test = (_embed(encoder, hands, args, dtype) for hands in data.labelled)
    fractions = [fraction for fraction in (0.01, 0.1, 1.0) if _enough(train, fraction)]
    if not fractions:
        return Probed([], torch.empty(0, 0, 2, device="cpu"))
    bar = partial(tqdm, desc="probe", leave=False)
    kinds: list[Any] = ["mean", "linear", *(["mlp"] if args.mlp_probe else [])]
    rows = probe_table(train, test, kinds=kinds, fractions=fractions, progress=bar)
    first = Features(*(None if value is None else value[:SHOWN] for value in test))  # type: ignore[arg-type]
    return Probed(rows, predict_keypoints(train, first).float())


def _enough(train: Features, fraction: float) -> bool:
    try:
        choose_labels(train, fraction, 0, 0, "fractions")
    except ValueError:
        return False
    return True


def _embed(encoder: nn.Module, data: Dataset[Any], args: argparse.Namespace, dtype: torch.dtype) -> Features:
    loader, normalize = labelled_batches(data, args, _BATCH), eq.Normalize.imagenet()
    device = torch.device(args.device)

    def framed() -> Iterator[Features]:
        for batch in loader:
            views, xy = plain_views(batch, args, margin_of(data))
            images = normalize(views)[0].contiguous(memory_format=torch.channels_last)
            if isinstance(batch, Hand):
                yield Features(images, xy, batch.xyz)
            else:
                groups = data.groups[batch.index]  # type: ignore[attr-defined]  # it is a KeypointDataset
                yield Features(images, xy, None, batch.visible, groups)

    bar = partial(tqdm, desc="embed", total=len(loader), leave=False)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        return extract_features(encoder, framed(), progress=bar)


def margin_of(data: Any) -> float:
    """Choose how much more than the hand or the box the views for the probes show.

    Args:
        data: Hands or keypoints, or a ``SkipCorrupt`` of them.
    """
    items = unwrapped(data)
    if isinstance(items, KeypointDataset):
        return VIEW_MARGIN if items.margin > 1 else 1.0  # whole pictures have nothing around them
    return _MARGIN


def plain_views(batch: Hand | KeypointSample, args: argparse.Namespace, margin: float) -> tuple[Tensor, Tensor]:
    """Cut hands or other things out of their images for the probes, without random changes.

    Args:
        batch: A batch of images with labels.
        args: The options of ``pretrain_freihand.py``.
        margin: The value of ``margin_of`` for the data.

    Returns:
        The views (B, 3, h, w) on the device, and the keypoints (B, K, 2) in pixels of the views.
    """
    frame, source, size = (
        frame_of(batch, args, margin),
        (batch.image.shape[-2], batch.image.shape[-1]),
        (args.size,) * 2,
    )
    views = frame.to(args.device).warp(batch.image.to(args.device, non_blocking=True), size)
    return views, frame.points(batch.xy, source, size)


def named_errors(rows: Sequence[ProbeResult]) -> dict[str, float]:
    """Name the errors of the probes as TensorBoard groups them."""
    return {
        f"probe, {title}/{row.kind}, {row.labels} labels": getattr(row, name)
        for row in rows
        for name, title in ERRORS.items()
        if getattr(row, name) is not None
    }
