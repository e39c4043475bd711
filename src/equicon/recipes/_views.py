"""The two views of each image that pre-training compares."""

import argparse
from typing import Any

import torch
from torch import Tensor

import equicon as eq
from equicon.recipes._pretrain_data import Batch, frame_of


def two_views(
    augment: eq.EquivariantTransform, batch: Batch, args: argparse.Namespace, dtype: torch.dtype
) -> tuple[Tensor, eq.Affine, Tensor, eq.Affine]:
    """Make two views of each image, on the training device and in the encoder's type and memory format.

    Args:
        augment: The transform that draws the views.
        batch: The images.
        args: The options of ``pretrain_freihand.py``.
        dtype: The type in which the encoder computes.

    Returns:
        The first views, their transforms, the second views, and their transforms.
    """
    images, frame = batch.image.to(args.device, non_blocking=True), frame_of(batch, args).to(args.device)
    made: list[Any] = []
    for _ in range(2):
        action = draw_action(augment, images, frame, args)
        made += [
            action(
                images,
                size=(args.size, args.size),
                frame=frame,
                dtype=dtype,
                memory_format=torch.channels_last,
                padding_mode=args.padding_mode,
            ),
            action.affine,
        ]
    return tuple(made)


def draw_action(
    augment: eq.EquivariantTransform,
    images: Tensor,
    frame: eq.Affine,
    args: argparse.Namespace,
) -> eq.Action:
    """Draw transforms. With ``--inside``, magnify each view until it shows nothing outside its image.

    Args:
        augment: The transform that draws the views.
        images: The images (B, 3, H, W).
        frame: The frame around the hand in each image.
        args: The options of ``pretrain_freihand.py``.
    """
    action = augment.sample(len(images), device=images.device)
    if not args.inside:
        return action
    return action.inside((images.shape[-2], images.shape[-1]), (args.size, args.size), frame)
