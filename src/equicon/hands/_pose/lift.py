"""From 2.5D to 3D: the root's depth from the length of one bone, and points along their rays."""

import torch
from torch import Tensor

from equicon._checks import check_batch, check_floating
from equicon._plane.frames import map_points
from equicon._plane.matrix import at_least_float32, inverse_affine
from equicon._plane.values import check_intrinsics
from equicon.hands._skeleton import SCALE_BONE

_M, _N = SCALE_BONE  # its length is 1
_EPS = 1e-8


def palm_from_wrist(joints: Tensor) -> Tensor:
    """Replace joint 0, the wrist, by the palm: the middle of wrist and middle MCP (joint 9).

    The inverse of ``wrist_from_palm``. It is the root of the official PeCLR program (Spurr et al., ICCV 2021).

    Convention: FreiHAND's joint order.

    Args:
        joints: (..., 21, D), in any unit.

    Returns:
        (..., 21, D), a new tensor.

    Raises:
        TypeError: If the joints are not a floating tensor.
        ValueError: If there are not 21 of them.

    Examples:
        >>> joints = torch.arange(21.0)[:, None].expand(21, 3)
        >>> palm_from_wrist(joints)[:2, 0]
        tensor([4.5000, 1.0000])
    """
    _check_hand("joints", joints)
    return torch.cat([(joints[..., :1, :] + joints[..., _M : _M + 1, :]) / 2, joints[..., 1:, :]], -2)


def wrist_from_palm(joints: Tensor) -> Tensor:
    """Replace joint 0, the palm, by the wrist: ``2 · palm − middle MCP``.

    The inverse of ``palm_from_wrist``; exact in 3D, and in 2D as nearly as a middle projects to a middle.

    Convention: FreiHAND's joint order.

    Args:
        joints: (..., 21, D), in any unit.

    Returns:
        (..., 21, D), a new tensor.

    Raises:
        TypeError: If the joints are not a floating tensor.
        ValueError: If there are not 21 of them.

    Examples:
        >>> joints = torch.rand(8, 21, 3)
        >>> torch.allclose(wrist_from_palm(palm_from_wrist(joints)), joints, atol=1e-6)
        True
    """
    _check_hand("joints", joints)
    return torch.cat([2 * joints[..., :1, :] - joints[..., _M : _M + 1, :], joints[..., 1:, :]], -2)


def root_depth(xy: Tensor, depth: Tensor, K: Tensor) -> Tensor:
    """Find the depth of the root at which the bone from joint 9 to joint 10 has the length 1.

    The rays of these two joints, m and n, have the points ``(X, Y, 1)``, and z are their relative depths. The root's
    depth is the larger solution of ``a·Z² + b·Z + c = 0``. As in the official program, the leading coefficient and the
    discriminant are raised to at least 1e-8, so that a bone that points at the camera gives finite values and
    gradients. Iqbal et al., ECCV 2018, equations 6 and 7.

    Convention: FreiHAND's joint order; camera frame, z forward; pixel centres are integers. Every view of a camera
    gives the same result: ``A·K`` with points that A has moved.

    Args:
        xy: (B, 21, 2) joints in pixels.
        depth: (B, 21) depths of the joints minus the root's, in bone lengths.
        K: (B, 3, 3) intrinsics in the same pixels, last row (0, 0, 1), invertible, such as ``Affine.intrinsics`` gives;
            it need not be triangular.

    Returns:
        (B,) depths of the root, in bone lengths, in float32 at least.

    Raises:
        TypeError: If an argument is not a floating tensor.
        ValueError: If shapes are wrong or differ, or K cannot be intrinsics.

    Examples:
        >>> xyz = torch.rand(4, 21, 3) + torch.tensor([0.0, 0.0, 12.0])
        >>> xyz[:, 10] = xyz[:, 9] + torch.tensor([0.6, 0.0, 0.8])
        >>> K = torch.tensor([[[200.0, 0.0, 64.0], [0.0, 200.0, 64.0], [0.0, 0.0, 1.0]]]).repeat(4, 1, 1)
        >>> root_depth(project(xyz, K), xyz[..., 2] - 12, K)
        tensor([12.0000, 12.0000, 12.0000, 12.0000])
    """
    _check_points(xy, depth)
    _check_hand("xy", xy)
    return root_of_rays(rays(xy, K), depth)


def lift(xy: Tensor, depth: Tensor, root: Tensor, K: Tensor) -> Tensor:
    """Lift points to 3D: ``K⁻¹ · (x, y, 1) · (depth + root)``.

    It undoes ``project``. Iqbal et al., ECCV 2018, the 2.5D representation.

    Convention: camera frame x right, y down, z forward; pixel centres are integers.

    Args:
        xy: (B, N, 2) points in pixels.
        depth: (B, N) depths of the points minus the root's, in any unit.
        root: (B,) depths of the root, in that unit.
        K: (B, 3, 3) intrinsics in the same pixels, last row (0, 0, 1), invertible.

    Returns:
        (B, N, 3) points in that unit, in float32 at least.

    Raises:
        TypeError: If an argument is not a floating tensor.
        ValueError: If shapes are wrong or differ, or K cannot be intrinsics.

    Examples:
        >>> xyz = torch.rand(4, 21, 3) + torch.tensor([0.0, 0.0, 12.0])
        >>> K = torch.tensor([[[200.0, 0.0, 64.0], [0.0, 200.0, 64.0], [0.0, 0.0, 1.0]]]).repeat(4, 1, 1)
        >>> again = lift(project(xyz, K), xyz[..., 2] - 12, torch.full((4,), 12.0), K)
        >>> torch.allclose(again, xyz, atol=1e-4)
        True
    """
    _check_points(xy, depth)
    check_floating("root", root, f"({xy.shape[0]},), one for each hand", last=(xy.shape[0],), ndim=1)
    return along_rays(rays(xy, K), depth + root[:, None])


def rays(xy: Tensor, K: Tensor) -> Tensor:
    """Return the points (B, N, 2) at depth 1 that are seen at pixels (B, N, 2), in float32 at least."""
    check_floating("K", K, "(B, 3, 3)", last=(3, 3), ndim=3)
    check_batch("K", K, xy, "the points")
    check_intrinsics("K", K)
    # K maps the plane at depth 1 to pixels. The closed-form inverse does not wait, and autocast does not round it.
    return map_points(inverse_affine(at_least_float32(K)), xy)


def root_of_rays(rays: Tensor, depth: Tensor) -> Tensor:
    """Solve for the root's depth (B,) on points (B, 21, 2) at depth 1 and relative depths (B, 21)."""
    (xm, ym), (xn, yn) = rays[:, _M].unbind(-1), rays[:, _N].unbind(-1)
    zm, zn = depth[:, _M], depth[:, _N]
    across = xm * xn + ym * yn
    a = (xn - xm).square() + (yn - ym).square()
    b = 2 * (zn * (xn.square() + yn.square() - across) + zm * (xm.square() + ym.square() - across))
    c = (xn * zn - xm * zm).square() + (yn * zn - ym * zm).square() + (zn - zm).square() - 1
    d = b.square() - 4 * a * c
    return (d.clamp(min=_EPS).sqrt() - b) / (2 * a.clamp(min=_EPS))


def along_rays(rays: Tensor, z: Tensor) -> Tensor:
    """Put points (B, N, 2) of depth 1 at depths (B, N): (B, N, 3)."""
    return torch.cat([rays, torch.ones_like(rays[..., :1])], -1) * z[..., None]


def _check_hand(argument: str, joints: Tensor) -> None:
    last = (21, *joints.shape[-1:]) if isinstance(joints, Tensor) else (21,)
    check_floating(argument, joints, "(..., 21, D)", last=last)


def _check_points(xy: Tensor, depth: Tensor) -> None:
    check_floating("xy", xy, "(B, N, 2)", last=(2,), ndim=3)
    check_floating("depth", depth, "(B, N)", last=(xy.shape[1],), ndim=2)
    check_batch("depth", depth, xy, "xy")
