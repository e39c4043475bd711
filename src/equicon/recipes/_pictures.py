"""The picture of the views that pre-training sees."""

import argparse

import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import equicon as eq
from equicon.hands import Hand
from equicon.recipes._drawing import draw_bones
from equicon.recipes._pretrain_data import Batch, frame_of
from equicon.recipes._views import draw_action


def draw_views(batch: Batch, views: eq.EquivariantTransform, args: argparse.Namespace, *, seed: int) -> Figure:
    """Draw images, two views of each, and these views mapped back. Joints are drawn if they are known.

    Args:
        batch: The images, on the CPU.
        views: The transform that draws the views.
        args: The options of ``pretrain_freihand.py``.
        seed: The seed of the views.

    Returns:
        The figure. Close it after you have written it.
    """
    source, size, frame = (batch.image.shape[-2], batch.image.shape[-1]), (args.size, args.size), frame_of(batch, args)
    joints = batch.xy if isinstance(batch, Hand) else None
    columns, back = [("image", batch.image / 255, joints)], []
    generator = torch.Generator().manual_seed(seed)
    for name in ("view 1", "view 2"):
        action = draw_action(views, batch.image, frame, args, generator)
        x, g = action(batch.image, size=size, frame=frame, padding_mode=args.padding_mode), action.affine
        seen = None if joints is None else (g @ frame).points(joints, source, size)
        columns.append((name, x, seen))
        home = g.inverse()
        back.append((f"{name}, brought back", home.warp(x), None if seen is None else home.points(seen, size)))
    columns += back
    rows = len(batch.image)
    figure, axes = plt.subplots(rows, len(columns), figsize=(2.2 * len(columns), 2.2 * rows + 0.3), squeeze=False)
    for row, shown in enumerate(axes):
        for axis, (name, images, xy) in zip(shown, columns, strict=True):
            axis.imshow(images[row].permute(1, 2, 0).clamp(0, 1).numpy())
            if xy is not None:
                draw_bones(axis, xy[row])
            axis.set(xlim=(-0.5, images.shape[-1] - 0.5), ylim=(images.shape[-2] - 0.5, -0.5))
            axis.axis("off")
            if row == 0:
                axis.set_title(name)
    figure.tight_layout()
    return figure
