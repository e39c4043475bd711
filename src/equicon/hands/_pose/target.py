"""Inputs and targets of a 2.5D model."""

from typing import NamedTuple

import torch
from torch import Tensor

from equicon._checks import (
    check_batch,
    check_floating,
    check_images,
    check_int,
    check_positive_values,
    first_bad,
    readable,
    value_error,
)
from equicon._groups.affine import Affine
from equicon._plane.values import check_intrinsics
from equicon.hands._camera import in_front, project
from equicon.hands._pose.lift import palm_from_wrist
from equicon.hands._pose.two_pass import pose_frame
from equicon.hands._skeleton import Hand, bone_length


class PoseTarget(NamedTuple):
    """Views of hands as a ``Pose25D`` gets them, and what it should predict.

    Convention: as in ``Pose``: FreiHAND's joint order with the palm for joint 0, camera frame x right, y down,
    z forward, pixel centres are integers.

    Args:
        images: (B, 3, h, w) views.
        K: (B, 3, 3) intrinsics in pixels of the views.
        xy: (B, 21, 2) joints in pixels of the views.
        xyz: (B, 21, 3) joints in bone lengths in the camera frame.
        scale: (B,) the length in metres of the bone from joint 9 to joint 10.

    Examples:
        >>> hand = SyntheticHands(num_samples=2, size=64).render(range(2))
        >>> target = pose_target(hand, hand.image, Affine.identity(2))
        >>> target.xy.shape, target.scale.shape
        (torch.Size([2, 21, 2]), torch.Size([2]))
    """

    images: Tensor
    K: Tensor
    xy: Tensor
    xyz: Tensor
    scale: Tensor


def pose_crop(hand: Hand, size: int) -> Affine:
    """Crop around labelled hands, as the second pass of ``predict_two_pass`` crops around the first prediction.

    The box is the extent of the joints, with the palm instead of the wrist. It fills 0.7 of the view (``pose_frame``).

    Convention: as in ``pose_frame``.

    Args:
        hand: A batch of hands.
        size: Height and width of the views in pixels, at least 1.

    Returns:
        The frames, from the images to the views.

    Raises:
        TypeError: If a tensor is not a floating one, or the size not a whole number.
        ValueError: If a shape or the size is wrong. On the CPU also if a joint is not in front of the camera, or K
            cannot be intrinsics.

    Examples:
        >>> hand = SyntheticHands(num_samples=2, size=64).render(range(2))
        >>> pose_crop(hand, 48).warp(hand.image, (48, 48)).shape
        torch.Size([2, 3, 48, 48])
    """
    views = (check_int("size", size, low=1),) * 2
    _check_hands(hand)
    xy = project(palm_from_wrist(hand.xyz), hand.K)
    boxes = torch.cat([xy.amin(1), xy.amax(1)], -1)
    return pose_frame(boxes, (hand.image.shape[-2], hand.image.shape[-1]), views)


def pose_target(hand: Hand, images: Tensor, g: Affine) -> PoseTarget:
    """Compute the targets for views that ``g`` made of the images of hands.

    ``K' = A·K`` and ``xy' = project(xyz, K')``, with A the map of ``g`` in pixels. The map moves pixels only: the
    joints in space stay where they are, in the frame of the camera that took the images.

    Convention: as in ``PoseTarget``.

    Args:
        hand: A batch of B hands, the wrist for joint 0.
        images: (B, 3, h, w) the views; they are passed on as they are.
        g: B maps from the images of the hands to the views.

    Returns:
        The views with their intrinsics and joints.

    Raises:
        TypeError: If a tensor is of the wrong type.
        ValueError: If a shape is wrong, or there is not a view and a map for each hand. On the CPU also if a joint is
            not in front of the camera, the bone from joint 9 to joint 10 has no length, or K cannot be intrinsics.

    Examples:
        >>> hand = SyntheticHands(num_samples=2, size=64).render(range(2))
        >>> g = pose_crop(hand, 48)
        >>> target = pose_target(hand, g.warp(hand.image, (48, 48)), g)
        >>> torch.allclose(target.xy, project(target.xyz, target.K), atol=1e-3)
        True
    """
    _check_hands(hand)
    scale = bone_length(hand.xyz)
    check_positive_values("hand.xyz, from joint 9 to joint 10", scale)
    check_images(images)
    check_batch("images", images, hand.xyz, "hand")
    check_batch("g", g, hand.xyz, "hand")
    source, size = (hand.image.shape[-2], hand.image.shape[-1]), (images.shape[-2], images.shape[-1])
    K = g.intrinsics(hand.K, source, size)
    palm = palm_from_wrist(hand.xyz)
    return PoseTarget(images, K, project(palm, K), palm / scale[:, None, None], scale)


def _check_hands(hand: Hand) -> None:
    check_images(hand.image)
    check_floating("hand.xyz", hand.xyz, "(B, 21, 3)", last=(21, 3), ndim=3)
    check_floating("hand.K", hand.K, "(B, 3, 3)", last=(3, 3), ndim=3)
    check_intrinsics("hand.K", hand.K)
    if readable(hand.xyz) and (bad := first_bad(in_front(hand.xyz))) is not None:
        raise value_error("hand.xyz", "joints in front of the camera: finite, z above 0", f"others at index {bad}")
