"""Small-matrix algebra in closed form: it never waits for the device, and autocast cannot round it.

``torch.linalg`` waits for the device to report singular matrices, and ``@`` on tensors is rounded to half precision
under autocast. The matrices here are 2 × 2 to 7 × 7, for which sums of products are as quick.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from equicon._checks import describe, type_error


def at_least_float32(tensor: Tensor) -> Tensor:
    """Keep float64, and convert every other type to float32."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def constant(values: Sequence[float], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Make a tensor (N,) of known numbers without waiting for the device.

    On an accelerator each number travels as an argument of a kernel. A copy from the host's memory would wait, and
    could not be captured in a CUDA graph.
    """
    if device.type == "cpu":
        return torch.tensor(values, dtype=dtype, device=device)
    return torch.stack([torch.full((), value, device=device, dtype=dtype) for value in values])


def rows(batch: Tensor, index: Any) -> Tensor:
    """Select part of a batch (B, ...) by an int, a slice, a list or a tensor (N,). An int gives a batch of one."""
    several = getattr(index, "ndim", 0) > 1
    if several or isinstance(index, str | tuple | float | bool) or index is None or index is Ellipsis:
        expected = "an int, a slice, a list or a tensor (N,), of the batch alone"
        raise type_error("index", expected, describe(index))
    chosen = batch[index]
    return chosen[None] if chosen.ndim < batch.ndim else chosen


def normalize(z: Tensor) -> Tensor:
    """Divide rows (B, D) by their norm. A row of zeros stays as it is, and its gradient is finite."""
    # Rows are first divided by their largest entry, since the squares of 1e-30 and 1e30 do not fit in float32. This
    # factor cancels, so it needs no gradient. It is not vector_norm of order ∞, which for 512 rows of 128 took 25 times
    # as long: an eighth of all of NT-Xent.
    largest = z.detach().abs().amax(-1, keepdim=True)
    none = largest == 0
    z = z / largest.masked_fill(none, 1.0)
    return z * z.square().sum(-1, keepdim=True).masked_fill(none, 1.0).rsqrt()


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Multiply matrices (..., n, k) and (..., k, m)."""
    return (a.unsqueeze(-1) * b.unsqueeze(-3)).sum(-2)


def matvec(a: Tensor, v: Tensor) -> Tensor:
    """Apply matrices (B, n, k) to vectors (B, ..., k)."""
    a = a.reshape(a.shape[0], *(1,) * (v.ndim - 2), *a.shape[1:])
    return (a * v.unsqueeze(-2)).sum(-1)


def affine_matrix(linear: Tensor, translation: Tensor) -> Tensor:
    """Put a linear part (B, 2, 2) and a translation (B, 2) into matrices (B, 3, 3)."""
    zero, one = torch.zeros_like(translation[:, :1]), torch.ones_like(translation[:, :1])
    bottom = torch.cat([zero, zero, one], -1).unsqueeze(-2)
    return torch.cat([torch.cat([linear, translation.unsqueeze(-1)], -1), bottom], -2)


def linear_matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Put entries (B,) into matrices [[a, b], [c, d]] (B, 2, 2)."""
    return torch.stack([a, b, c, d], -1).reshape(-1, 2, 2)


def determinant(linear: Tensor) -> Tensor:
    """Determinants (B,) of (B, 2, 2)."""
    return linear[:, 0, 0] * linear[:, 1, 1] - linear[:, 0, 1] * linear[:, 1, 0]


def inverse_affine(matrix: Tensor) -> Tensor:
    """Invert affine matrices (B, 3, 3): [L t]⁻¹ = [L⁻¹ −L⁻¹t]."""
    linear, translation = matrix[:, :2, :2], matrix[:, :2, 2]
    adjugate = linear_matrix(linear[:, 1, 1], -linear[:, 0, 1], -linear[:, 1, 0], linear[:, 0, 0])
    inverse = adjugate / determinant(linear)[:, None, None]
    return affine_matrix(inverse, -matvec(inverse, translation))


def rotation(radians: Tensor) -> Tensor:
    """Make matrices (B, 2, 2) that turn counter-clockwise on the screen (x right, y down) by angles (B,)."""
    cos, sin = radians.cos(), radians.sin()
    return linear_matrix(cos, sin, -sin, cos)


def polar_angle(linear: Tensor) -> tuple[Tensor, Tensor]:
    """Find the orthogonal polar factor of matrices (B, 2, 2): its angle in radians (B,), and whether it reflects (B,).

    The factor is ``rotation(angle)``; where it reflects, a horizontal flip comes before the rotation.
    """
    a, b, c, d = linear.flatten(1).unbind(-1)
    reflects = determinant(linear) < 0
    return torch.where(reflects, torch.atan2(b + c, d - a), torch.atan2(b - c, a + d)), reflects


def polar_factor(linear: Tensor) -> Tensor:
    """Find the orthogonal matrices (B, 2, 2) nearest to matrices (B, 2, 2). They may be reflections."""
    radians, reflects = polar_angle(linear)
    sign = torch.where(reflects, -1.0, 1.0).to(linear.dtype)
    turn = rotation(radians)
    return torch.stack([turn[:, :, 0] * sign[:, None], turn[:, :, 1]], -1)
