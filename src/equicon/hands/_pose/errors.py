"""Errors of predicted hands."""

from typing import NamedTuple

from torch import Tensor

from equicon._checks import check_batch, check_floating
from equicon._devices import in_float64
from equicon.hands._camera import project
from equicon.metrics import auc, epe, procrustes_align


class PoseErrors(NamedTuple):
    """The errors of predicted hands: means over joints and hands.

    Args:
        px: 2D error in pixels of the given K.
        mm: 3D error with both wrists at the origin, in millimetres.
        epe_mm: 3D error from the camera (EPE), in millimetres.
        pa_mm: 3D error after Procrustes alignment (PA-EPE), in millimetres.
        auc: Area under the PCK curve of the error from the camera, from 0 to 5 cm, in [0, 1].
        pa_auc: The same after alignment.

    Examples:
        >>> hand = SyntheticHands(num_samples=4, size=64).render(range(4))
        >>> errors = pose_errors(hand.xyz, hand.xyz, hand.K)
        >>> errors.px, errors.epe_mm, errors.auc
        (0.0, 0.0, 1.0)
    """

    px: float
    mm: float
    epe_mm: float
    pa_mm: float
    auc: float
    pa_auc: float


def pose_errors(joints: Tensor, xyz: Tensor, K: Tensor) -> PoseErrors:
    """Compare predicted joints with the true joints, in float64.

    Convention: FreiHAND's joint order, the wrist for joint 0; camera frame x right, y down, z forward.

    Args:
        joints: (N, 21, 3) predicted joints in metres, such as ``Pose.joints`` gives.
        xyz: (N, 21, 3) true joints in metres.
        K: (N, 3, 3) intrinsics, in whose pixels 2D errors are measured.

    Returns:
        The errors, by ``epe``, ``auc`` and ``procrustes_align``, as in FreiHAND's official evaluation.

    Raises:
        TypeError: If an argument is not a floating tensor.
        ValueError: If shapes are wrong or differ, or there are no hands. On the CPU also if a joint is not finite, or K
            cannot be intrinsics.
        torch.linalg.LinAlgError: If a joint on another device is not finite.

    Examples:
        >>> hand = SyntheticHands(num_samples=4, size=64).render(range(4))
        >>> errors = pose_errors(hand.xyz + torch.tensor([0.0, 0.0, 0.01]), hand.xyz, hand.K)
        >>> round(errors.epe_mm, 3), round(errors.pa_mm, 3)
        (10.0, 0.0)

    Source: Zimmermann et al., ICCV 2019 (FreiHAND).
    """
    check_floating("joints", joints, "(N, 21, 3)", last=(21, 3), ndim=3)
    check_floating("xyz", xyz, "(N, 21, 3)", last=(21, 3), ndim=3)
    check_floating("K", K, "(N, 3, 3)", last=(3, 3), ndim=3)
    check_batch("xyz", xyz, joints, "joints")
    check_batch("K", K, joints, "joints")
    joints, xyz, K = (in_float64(value) for value in (joints, xyz, K))
    aligned = procrustes_align(joints, xyz)
    return PoseErrors(
        px=epe(project(joints, K), project(xyz, K)).item(),
        mm=1000 * epe(joints - joints[:, :1], xyz - xyz[:, :1]).item(),
        epe_mm=1000 * epe(joints, xyz).item(),
        pa_mm=1000 * epe(aligned, xyz).item(),
        auc=auc(joints, xyz).item(),
        pa_auc=auc(aligned, xyz).item(),
    )
