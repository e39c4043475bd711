"""Shares of keypoints that are near enough to the truth."""

from collections.abc import Sequence

import torch
from torch import Tensor

from equicon._checks import concrete, readable, value_error
from equicon.metrics._inputs import check_scale, distances_of

_FREIHAND = torch.linspace(0, 0.05, 100, dtype=torch.float64, device="cpu")  # metres


def pck(
    pred: Tensor,
    target: Tensor,
    thresholds: Tensor | Sequence[float],
    *,
    scale: Tensor | None = None,
    visible: Tensor | None = None,
) -> Tensor:
    """Measure the share of correct keypoints: those no farther from the truth than each threshold.

    With ``scale``, each object has thresholds of its own: PCKh takes half the length of the head, PCK@0.2 a fifth of
    the longer side of the box.

    Args:
        pred: Predicted keypoints (N, K, 3), or (N, K, 2), in any unit. A keypoint that is not finite
            counts as wrong.
        target: True keypoints, of the same shape and unit.
        thresholds: Distances (T,), finite and at least 0: in the same unit, or as shares of ``scale``.
        scale: The size (N,) of each object, above 0, in the unit of the keypoints. None if thresholds are distances.
        visible: Which keypoints have a label, as in ``epe``.

    Returns:
        The shares (T,), in [0, 1].

    Raises:
        TypeError: As in ``epe``.
        ValueError: As in ``epe``, or if a threshold is not finite or below 0, or a size is not a finite number above 0.

    Examples:
        >>> target = torch.rand(8, 21, 3)
        >>> pck(target + torch.tensor([0.03, 0.0, 0.04]), target, [0.01, 0.06])
        tensor([0., 1.])

    Source: Yang and Ramanan, TPAMI 2013; with the head's size, Andriluka et al., CVPR 2014.
    """
    distances, labelled = _scaled(pred, target, scale, visible)
    return _curve(distances, labelled, _thresholds(thresholds, distances))


def auc(
    pred: Tensor,
    target: Tensor,
    thresholds: Tensor | Sequence[float] | None = None,
    *,
    scale: Tensor | None = None,
    visible: Tensor | None = None,
) -> Tensor:
    """Measure the area under the curve of ``pck`` over the thresholds, divided by the range of the thresholds.

    The area is computed by the trapezoidal rule.

    Args:
        pred: Predicted keypoints (N, K, 3), or (N, K, 2), in any unit; in metres if no thresholds are given.
        target: True keypoints, of the same shape and unit.
        thresholds: Distances (T,) with T at least 2: finite, at least 0 and increasing. By default they are FreiHAND's:
            100 from 0 to 0.05 metres, which suit objects of the size of a hand.
        scale: As in ``pck``.
        visible: Which keypoints have a label, as in ``epe``.

    Returns:
        A scalar in [0, 1].

    Raises:
        TypeError: As in ``epe``.
        ValueError: As in ``pck``, or if the thresholds do not increase.

    Examples:
        >>> target = torch.rand(8, 21, 3)
        >>> auc(target, target)
        tensor(1.)
    """
    distances, labelled = _scaled(pred, target, scale, visible)
    at = _thresholds(_FREIHAND if thresholds is None else thresholds, distances)
    if len(at) < 2 or (concrete(at) and not bool((at.diff() > 0).all())):
        raise value_error(
            "thresholds", "at least two distances that increase", at, "Sort them and leave out equal ones."
        )
    return torch.trapezoid(_curve(distances, labelled, at), at) / (at[-1] - at[0])


def _scaled(pred: Tensor, target: Tensor, scale: Tensor | None, visible: Tensor | None) -> tuple[Tensor, Tensor | None]:
    distances, labelled = distances_of(pred, target, visible)
    return distances if scale is None else distances / check_scale("scale", scale, distances), labelled


def _curve(distances: Tensor, labelled: Tensor | None, thresholds: Tensor) -> Tensor:
    # Sorting once needs far less memory than (N, K, T) comparisons. NaN would mislead the search; as ∞ it
    # is never correct. Nor is what has no label, and it is not counted either.
    wrong = distances.isnan() if labelled is None else distances.isnan() | ~labelled
    ordered = distances.masked_fill(wrong, float("inf")).flatten().sort().values
    count = len(ordered) if labelled is None else labelled.sum()
    share = torch.searchsorted(ordered, thresholds, right=True).to(distances.dtype) / count
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
