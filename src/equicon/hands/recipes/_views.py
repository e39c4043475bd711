"""The two views of each image that pre-training compares."""

import argparse
from typing import Any

import torch
from torch import Tensor

import equicon as eq
from equicon.hands.recipes._pretrain_data import Batch, frame_of


def two_views(
    augment: eq.EquivariantTransform, batch: Batch, args: argparse.Namespace, dtype: torch.dtype
) -> tuple[Tensor, eq.Affine, Tensor, eq.Affine]:
    """Make two views of each image on the training device, as the encoder takes them.

    Args:
        augment: Draws the transforms.
        batch: The images.
        args: The options of ``pretrain_freihand.py``.
        dtype: The type that the encoder computes in.

    Returns:
        The first views and their transforms, then the second.
    """
    images = batch.image.to(args.device, non_blocking=True)
    frame, size = frame_of(batch, args.data).to(args.device), (args.size, args.size)
    written: dict[str, Any] = {"dtype": dtype, "memory_format": torch.channels_last}
    x1, g1 = augment(images, size=size, frame=frame, **written)
    x2, g2 = augment(images, size=size, frame=frame, **written)
    return x1, g1, x2, g2
