"""The alignment of predictions to their targets."""

import torch
from torch import Tensor

from equicon._devices import in_float64
from equicon.metrics._inputs import check_finite, check_pair, check_visible


def procrustes_align(pred: Tensor, target: Tensor, *, visible: Tensor | None = None) -> Tensor:
    """Align each prediction to its target by the best translation, scale and orthogonal matrix.

    The aligned prediction is ``scale · pred @ R + shift`` with an orthogonal R. It minimises the sum of squared
    distances to the target. As in the official evaluation, R may be a reflection, so a left hand can be aligned to a
    right one.

    Args:
        pred: Predicted keypoints (N, K, 3), or (N, K, 2); the official evaluation takes metres.
        target: True keypoints, of the same shape.
        visible: Which keypoints have a label, as in ``epe``. The others are moved along.

    Returns:
        The aligned predictions, of the same shape. If the points of a prediction are all equal, or there is only one,
        they are put on the target's centre, as the official formula does.

    Raises:
        TypeError: If the keypoints are not floating tensors.
        ValueError: If the shapes are wrong, differ or are empty or, where they are on the CPU, a value is not finite.
        torch.linalg.LinAlgError: If a value on another device is not finite.

    Examples:
        >>> target = torch.rand(8, 21, 3, dtype=torch.float64)
        >>> torch.allclose(procrustes_align(5 - 2 * target, target), target)
        True
    """
    pred, target = check_pair(pred, target)
    labelled = check_visible(visible, target)
    if labelled is not None:
        target = target.masked_fill(~labelled[..., None], 0.0)
    check_finite("pred", pred)
    check_finite("target", target)
    kept, device = pred.dtype, pred.device
    pred, target = (in_float64(value) for value in (pred, target))  # autocast rounds no float64 products
    center, middle = (_center(value, labelled) for value in (target, pred))
    all_arms = arms = pred - middle
    if labelled is not None:
        arms = arms.masked_fill(~labelled[..., None].to(arms.device), 0.0)
    u, s, vh = torch.linalg.svd(arms.mT @ (target - center))
    # The official program adds 1e-8 to the norm. The addition also sends equal points to the centre instead of to NaN.
    norm = torch.linalg.vector_norm(arms, dim=(-2, -1), keepdim=True) + 1e-8
    scale = s.sum(dim=-1)[:, None, None] / norm.square()
    aligned: Tensor = scale * (all_arms @ (u @ vh)) + center
    return aligned.to(device, kept)


def _center(keypoints: Tensor, labelled: Tensor | None) -> Tensor:
    """Average keypoints (N, K, d) over those with a label, the origin where there is none."""
    if labelled is None:
        return keypoints.mean(dim=-2, keepdim=True)
    weight = labelled.to(keypoints)[..., None]
    return (weight * keypoints).sum(dim=-2, keepdim=True) / weight.sum(dim=-2, keepdim=True).clamp(min=1)
