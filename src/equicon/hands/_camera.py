"""The pinhole camera."""

from torch import Tensor

from equicon._checks import check_floating, value_error
from equicon._plane.values import check_intrinsics


def project(xyz: Tensor, K: Tensor) -> Tensor:
    """Project points of the camera frame to pixels.

    ``(x, y) = (p₀ / p₂, p₁ / p₂)`` with ``p = K · xyz``.

    Convention: camera frame x right, y down, z forward; pixel centres are integers. A point in the camera's own plane
    (``p₂ = 0``) has no image and gives infinities or NaN. A point behind the camera is mirrored through it.

    Args:
        xyz: (..., N, 3) points, in the unit of your choice.
        K: (..., 3, 3) intrinsics in pixels, last row (0, 0, 1), invertible; its leading dimensions broadcast with those
            of ``xyz``.

    Returns:
        (..., N, 2) pixels.

    Raises:
        TypeError: An argument is not a floating tensor.
        ValueError: A shape is wrong or, where its values are on the CPU, K cannot be intrinsics.

    Examples:
        >>> K = torch.tensor([[100.0, 0.0, 32.0], [0.0, 100.0, 32.0], [0.0, 0.0, 1.0]])
        >>> project(torch.tensor([[0.1, 0.0, 1.0]]), K)
        tensor([[42., 32.]])
    """
    check_floating("xyz", xyz, "(..., N, 3)", last=(3,))
    if xyz.ndim < 2:
        raise value_error("xyz", "a tensor of shape (..., N, 3)", xyz, "Add the dimension of the points: xyz[None].")
    check_floating("K", K, "(..., 3, 3)", last=(3, 3))
    check_intrinsics("K", K)
    x, y, z = xyz[..., None].unbind(-2)
    # Written out: a matrix product rounds differently for different batch sizes (and in TF32 on a GPU).
    p = x * K[..., None, :, 0] + y * K[..., None, :, 1] + z * K[..., None, :, 2]
    return p[..., :2] / p[..., 2:]


def in_front(xyz: Tensor) -> Tensor:
    """Tell for which hands (..., N, 3) all points are finite and in front of the camera: (...)."""
    return (xyz.isfinite().all(-1) & (xyz[..., 2] > 0)).all(-1)
