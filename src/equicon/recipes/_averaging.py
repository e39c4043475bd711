"""Poses that are averaged over several views of each picture, as ``--views`` asks for."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

import equicon as eq
from equicon._averages.moments import Moments
from equicon._plane.frames import pixel_points, unit_points
from equicon.hands import Pose, lift, predict_two_pass

MILD = eq.RandomAffine(degrees=15, translate=0.05, scale=(0.9, 1.1))
"""How the views that are averaged differ: less than those of training. No flips, since left and right would swap."""


def views_generator() -> torch.Generator:
    """Make the source of randomness of the views, so that a program gives the same each time."""
    return torch.Generator().manual_seed(0)


class AveragedPose(NamedTuple):
    """A pose that was averaged over views.

    Args:
        pose: The pose, with xy in pixels of the plain view.
        frame: The frame of the plain view.
        spread: (B, 21, 2) standard deviation of xy over the views, in these pixels.
    """

    pose: Pose
    frame: eq.Affine
    spread: Tensor


def average_pose(
    model: Callable[[Tensor, Tensor], Pose],
    images: Tensor,
    K: Tensor,
    *,
    views: int,
    size: int,
    first: float,
    normalize: eq.Normalize,
    generator: torch.Generator,
    augment: eq.EquivariantTransform = MILD,
) -> AveragedPose:
    """Predict hands by ``predict_two_pass``, and average the second prediction over several views.

    Joints move with a view, and their relative depths and the palm's depth do not: the camera moves with the view. The
    first view is the plain one, so one view gives exactly what ``predict_two_pass`` gives.

    Args:
        model: As in ``predict_two_pass``.
        images: (B, 3, H, W), uint8 or in [0, 1].
        K: (B, 3, 3) intrinsics in pixels of the images.
        views: The number of views, with the plain one.
        size: Side of the square views in pixels.
        first: As in ``predict_two_pass``.
        normalize: The normalisation of the views.
        generator: The source of randomness.
        augment: The transform that draws the other views. It does not normalise.
    """
    pose, frame = predict_two_pass(
        model, images, K, size=size, first=first, normalize=lambda plain: normalize(plain)[0]
    )
    if views == 1:
        return AveragedPose(pose, frame, torch.zeros_like(pose.xy))
    source, view = (images.shape[-2], images.shape[-1]), (size, size)
    joints = pose.xy.shape[1]
    parts = eq.DirectSum([(eq.Points(), 2 * joints), (eq.Invariant(), joints + 1)])
    chain = eq.Compose([augment, normalize])
    moments = Moments(plain := _flat(pose, view))
    moments.add(plain)
    for _ in range(views - 1):
        drawn, g = chain(images, size=view, frame=frame, generator=generator)
        moved = model(drawn, (g @ frame).intrinsics(K, source, view))
        moments.add(parts.canonicalize(g, _flat(moved, view)))
    units, depth, root = moments.mean.split([2 * joints, joints, 1], 1)
    xy = pixel_points(units.unflatten(1, (joints, 2)), view)
    spread = moments.spread[:, : 2 * joints].unflatten(1, (joints, 2)) * (size / 2)
    lifted = lift(xy, depth, root[:, 0], frame.intrinsics(K, source, view))
    return AveragedPose(Pose(xy, depth, root[:, 0], lifted), frame, spread)


def _flat(pose: Pose, view: tuple[int, int]) -> Tensor:
    """Write a pose as (B, 42 + 22): joints in the unit frame, and depths."""
    return torch.cat([unit_points(pose.xy, view).flatten(1), pose.depth, pose.root[:, None]], 1)
