"""Errors of predicted keypoints: the metrics of FreiHAND's official evaluation, in batches.

They take any K keypoints in 2D or 3D, of hands or of other things. Like the official program
(https://github.com/lmb-freiburg/freihand, ``eval.py``), they compute each metric per keypoint and then average over
the keypoints. Here every keypoint has the same number of samples. So for the mean and for PCK the result equals the
average over everything; for the median it does not. Computation is in float32 at least.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from equicon._checks import check_floating, concrete, describe, first_bad, readable, value_error
from equicon._devices import in_float64

__all__ = ["auc", "epe", "pck", "procrustes_align"]

_FREIHAND = torch.linspace(0, 0.05, 100, dtype=torch.float64, device="cpu")  # metres


def epe(pred: Tensor, target: Tensor, *, reduction: Literal["mean", "median", "none"] = "mean") -> Tensor:
    """Measure the end-point error: the Euclidean distance of each predicted keypoint from the true one.

    Args:
        pred: Predicted keypoints (N, K, 3), or (N, K, 2), in any unit, such as pixels or metres.
        target: True keypoints, of the same shape and unit.
        reduction: ``"mean"`` and ``"median"`` are taken over the samples for each keypoint and then averaged over the
            keypoints; the median of an even number is the mean of the middle two. ``"none"`` gives every distance.

    Returns:
        A scalar in the unit of the keypoints, or (N, K) with ``reduction="none"``.

    Raises:
        TypeError: If the keypoints are not floating tensors.
        ValueError: If the shapes are wrong, differ or are empty, or the reduction is unknown.

    Examples:
        >>> target = torch.rand(8, 21, 3)
        >>> epe(target + torch.tensor([0.03, 0.0, 0.04]), target)
        tensor(0.0500)
    """
    if reduction not in ("mean", "median", "none"):
        raise value_error("reduction", "'mean', 'median' or 'none'", describe(reduction))
    distances = _distances(pred, target)
    if reduction == "none":
        return distances
    if reduction == "mean":
        return distances.mean()
    # torch.median takes the lower of two middle values. The median of the negated distances takes the upper.
    return (distances.median(dim=0).values - distances.neg().median(dim=0).values).mean() / 2


def pck(pred: Tensor, target: Tensor, thresholds: Tensor | Sequence[float]) -> Tensor:
    """Measure the share of correct keypoints: those no farther from the truth than each threshold.

    Args:
        pred: Predicted keypoints (N, K, 3), or (N, K, 2), in any unit. A keypoint that is not finite
            counts as wrong.
        target: True keypoints, of the same shape and unit.
        thresholds: Distances (T,), finite and at least 0, in the same unit.

    Returns:
        The shares (T,), in [0, 1].

    Raises:
        TypeError: If the keypoints are not floating tensors.
        ValueError: If the shapes are wrong, differ or are empty, or a threshold is not finite or below 0.

    Examples:
        >>> target = torch.rand(8, 21, 3)
        >>> pck(target + torch.tensor([0.03, 0.0, 0.04]), target, [0.01, 0.06])
        tensor([0., 1.])
    """
    distances = _distances(pred, target)
    return _curve(distances, _thresholds(thresholds, distances))


def auc(pred: Tensor, target: Tensor, thresholds: Tensor | Sequence[float] | None = None) -> Tensor:
    """Measure the area under the curve of ``pck`` over the thresholds, divided by the range of the thresholds.

    The area is computed by the trapezoidal rule.

    Args:
        pred: Predicted keypoints (N, K, 3), or (N, K, 2), in any unit; in metres if no thresholds are given.
        target: True keypoints, of the same shape and unit.
        thresholds: Distances (T,) with T at least 2: finite, at least 0 and increasing. By default they are FreiHAND's:
            100 from 0 to 0.05 metres, which suit objects of the size of a hand.

    Returns:
        A scalar in [0, 1].

    Raises:
        TypeError: If the keypoints are not floating tensors.
        ValueError: If the shapes are wrong, differ or are empty, or the thresholds do not increase, or one is not
            finite or below 0.

    Examples:
        >>> target = torch.rand(8, 21, 3)
        >>> auc(target, target)
        tensor(1.)
    """
    distances = _distances(pred, target)
    at = _thresholds(_FREIHAND if thresholds is None else thresholds, distances)
    if len(at) < 2 or (concrete(at) and not bool((at.diff() > 0).all())):
        raise value_error(
            "thresholds", "at least two distances that increase", at, "Sort them and leave out equal ones."
        )
    return torch.trapezoid(_curve(distances, at), at) / (at[-1] - at[0])


def procrustes_align(pred: Tensor, target: Tensor) -> Tensor:
    """Align each prediction to its target by the best translation, scale and orthogonal matrix.

    The aligned prediction is ``scale · pred @ R + shift`` with an orthogonal R. It minimises the sum of squared
    distances to the target. As in the official evaluation, R may be a reflection, so a left hand can be aligned to a
    right one.

    Args:
        pred: Predicted keypoints (N, K, 3), or (N, K, 2); the official evaluation takes metres.
        target: True keypoints, of the same shape.

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
    pred, target = _check_pair(pred, target)
    _check_finite("pred", pred)
    _check_finite("target", target)
    kept, device = pred.dtype, pred.device
    pred, target = (in_float64(value) for value in (pred, target))  # autocast rounds no float64 products
    center = target.mean(dim=-2, keepdim=True)
    arms = pred - pred.mean(dim=-2, keepdim=True)
    u, s, vh = torch.linalg.svd(arms.mT @ (target - center))
    # The official program adds 1e-8 to the norm. The addition also sends equal points to the centre instead of to NaN.
    norm = torch.linalg.vector_norm(arms, dim=(-2, -1), keepdim=True) + 1e-8
    scale = s.sum(dim=-1)[:, None, None] / norm.square()
    aligned: Tensor = scale * (arms @ (u @ vh)) + center
    return aligned.to(device, kept)


def _curve(distances: Tensor, thresholds: Tensor) -> Tensor:
    # Sorting once needs far less memory than (N, K, T) comparisons. NaN would mislead the search; as ∞ it
    # is never correct.
    ordered = distances.masked_fill(distances.isnan(), float("inf")).flatten().sort().values
    share = torch.searchsorted(ordered, thresholds, right=True).to(distances.dtype) / len(ordered)
    # Thresholds on an accelerator are not checked: one that is not finite gives NaN.
    return share.masked_fill(~thresholds.isfinite(), float("nan"))


def _thresholds(thresholds: Tensor | Sequence[float], like: Tensor) -> Tensor:
    device = thresholds.device if isinstance(thresholds, Tensor) else "cpu"
    at = torch.as_tensor(thresholds, dtype=like.dtype, device=device)
    if at.ndim != 1:
        raise value_error("thresholds", "distances of shape (T,)", at)
    if readable(at) and not bool((at.isfinite() & (at >= 0)).all()):
        raise value_error("thresholds", "finite distances of at least 0", f"{at.tolist()}")
    return at.to(like.device).contiguous()


def _distances(pred: Tensor, target: Tensor) -> Tensor:
    pred, target = _check_pair(pred, target)
    distances: Tensor = torch.linalg.vector_norm(pred - target, dim=-1)
    return distances


def _check_pair(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Check two batches of keypoints and give them one type, float32 at least."""
    _check_keypoints("pred", pred)
    _check_keypoints("target", target)
    if pred.shape != target.shape:
        raise value_error("pred", f"the shape of target, {tuple(target.shape)}", pred)
    dtype = torch.promote_types(torch.promote_types(pred.dtype, target.dtype), torch.float32)
    return pred.to(dtype), target.to(dtype)


def _check_finite(argument: str, keypoints: Tensor) -> None:
    if readable(keypoints) and (bad := first_bad(keypoints.isfinite().flatten(1).all(-1))) is not None:
        raise value_error(argument, "finite keypoints", f"NaN or infinity at index {bad}")


def _check_keypoints(argument: str, value: Any) -> None:
    flat = isinstance(value, Tensor) and value.shape[-1:] == (2,)
    check_floating(argument, value, "(N, K, 3) or (N, K, 2)", last=(2 if flat else 3,), ndim=3)
    if value.numel() == 0:
        raise value_error(argument, "at least one sample and one keypoint", value)
