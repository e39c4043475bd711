"""What an encoder has learned of hands, by probes on its frozen features."""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

import equicon as eq
from equicon.hands import Hand
from equicon.hands.recipes._pretrain_data import frame_of, labelled_batches
from equicon.hands.recipes._run_data import PretrainData
from equicon.probes import Features, ProbeResult, extract_features, format_probes, probe_table

ERRORS = {"px": "2D [px]", "mm": "3D [mm]", "pa_mm": "aligned 3D [mm]"}
_MARGIN = 1.2  # the middle of the paper's margins
_BATCH = 128


def probe_hands(
    encoder: nn.Module, data: PretrainData, args: argparse.Namespace, dtype: torch.dtype
) -> list[ProbeResult]:
    """Look for joints in the frozen features, with 1 %, 10 % and all of the labels, as far as that is enough.

    Args:
        encoder: On the device.
        data: Of which the labelled hands are used; without them there is nothing to find.
        args: The options of ``pretrain_freihand.py``.
        dtype: The type that the encoder computes in.
    """
    if data.labelled is None:
        return []
    train, test = (_embed(encoder, hands, args, dtype) for hands in data.labelled)
    fractions = [fraction for fraction in (0.01, 0.1, 1.0) if round(fraction * len(train.z)) >= 5]
    return probe_table(train, test, fractions=fractions, progress=partial(tqdm, desc="probe", leave=False))


def explain_probes(args: argparse.Namespace, before: Sequence[ProbeResult], after: Sequence[ProbeResult]) -> str:
    """Show what probes found before and after, and say how to read it.

    Args:
        args: The options of ``pretrain_freihand.py``.
        before: Before pre-training.
        after: After it.
    """
    return (
        f"\nHow far probes on frozen features miss the joints of hands they never saw: 2D [pixels of\n"
        f"{args.size}], 3D from the wrist [mm] and the same aligned (PA), by labels. 'mean' looks at no\n"
        f"image, and 'mlp' falls back to it on few labels. Before: weights '{args.weights}'.\n"
        f"After: {args.method} pre-training.\n\n" + format_probes({"before": before, "after": after})
    )


def _embed(encoder: nn.Module, hands: Dataset[Hand], args: argparse.Namespace, dtype: torch.dtype) -> Features:
    loader, normalize = labelled_batches(hands, args, _BATCH), eq.Normalize.imagenet()
    device = torch.device(args.device)

    def framed() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for hand in loader:
            frame, source = frame_of(hand, args.data, _MARGIN), (hand.image.shape[-2], hand.image.shape[-1])
            size = (args.size, args.size)
            images = frame.to(device).warp(hand.image.to(device, non_blocking=True), size)
            views = normalize(images)[0].contiguous(memory_format=torch.channels_last)
            yield views, frame.points(hand.xy, source, size), hand.xyz

    bar = partial(tqdm, desc="embed", total=len(loader), leave=False)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        return extract_features(encoder, framed(), progress=bar)


def named_errors(rows: Sequence[ProbeResult]) -> dict[str, float]:
    """Name what probes found as TensorBoard groups it."""
    return {
        f"probe, {title}/{row.kind}, {row.labels} labels": getattr(row, name)
        for row in rows
        for name, title in ERRORS.items()
    }
