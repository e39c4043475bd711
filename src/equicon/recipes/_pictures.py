"""The picture of the views that pre-training sees."""

import argparse

import torch
from matplotlib.figure import Figure

import equicon as eq
from equicon import show
from equicon.data import KeypointSample
from equicon.hands import BONES, Hand
from equicon.recipes._pretrain_data import Batch, frame_of


def draw_views(batch: Batch, views: eq.EquivariantTransform, args: argparse.Namespace, *, seed: int) -> Figure:
    """Draw images, two views of each, and these views mapped back. Joints and keypoints are drawn if they are known.

    Args:
        batch: The images, on the CPU.
        views: The transform that draws the views.
        args: The options of ``pretrain_freihand.py``.
        seed: The seed of the views.

    Returns:
        The figure.
    """
    points = batch.xy if isinstance(batch, Hand) else None
    if isinstance(batch, KeypointSample):
        points = batch.xy.masked_fill((batch.visible == 0)[..., None], torch.nan)
    return show.views(
        batch.image,
        views,
        points=points,
        skeleton=BONES if isinstance(batch, Hand) else None,
        size=(args.size, args.size),
        frame=frame_of(batch, args),
        padding_mode=args.padding_mode,
        inside=args.inside,
        n=2,
        back=2,
        generator=torch.Generator().manual_seed(seed),
    )
