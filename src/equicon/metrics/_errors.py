"""Errors in the unit of the keypoints, or in units of the object's size."""

from typing import Literal

import torch
from torch import Tensor

from equicon._checks import describe, value_error
from equicon.metrics._inputs import check_scale, distances_of, labelled_mean


def epe(
    pred: Tensor,
    target: Tensor,
    *,
    visible: Tensor | None = None,
    reduction: Literal["mean", "median", "none"] = "mean",
) -> Tensor:
    """Measure the end-point error: the Euclidean distance of each predicted keypoint from the true one.

    Args:
        pred: Predicted keypoints (N, K, 3), or (N, K, 2), in any unit, such as pixels or metres.
        target: True keypoints, of the same shape and unit.
        visible: Which keypoints have a label (N, K): bool, or whole numbers such as COCO's, where 0 says that there is
            none. The others do not count, whatever their coordinates are. None if all have one.
        reduction: ``"mean"`` is taken over all keypoints with a label. ``"median"`` is taken over the samples for each
            keypoint and then averaged over the keypoints; the median of an even number is the mean of the middle two.
            ``"none"`` gives every distance.

    Returns:
        A scalar in the unit of the keypoints, or (N, K) with ``reduction="none"``, NaN where there is no label.

    Raises:
        TypeError: If the keypoints are not floating tensors, or ``visible`` is not a tensor of bool or whole numbers.
        ValueError: If the shapes are wrong, differ or are empty, no keypoint has a label, or the reduction is unknown.

    Examples:
        >>> target = torch.rand(8, 21, 3)
        >>> epe(target + torch.tensor([0.03, 0.0, 0.04]), target)
        tensor(0.0500)
    """
    if reduction not in ("mean", "median", "none"):
        raise value_error("reduction", "'mean', 'median' or 'none'", describe(reduction))
    distances, labelled = distances_of(pred, target, visible)
    if reduction == "none":
        return distances if labelled is None else distances.masked_fill(~labelled, float("nan"))
    if reduction == "mean":
        return labelled_mean(distances, labelled)
    if labelled is not None:
        return _labelled_median(distances, labelled)
    # torch.median takes the lower of two middle values. The median of the negated distances takes the upper.
    return (distances.median(dim=0).values - distances.neg().median(dim=0).values).mean() / 2


def nme(pred: Tensor, target: Tensor, scale: Tensor, *, visible: Tensor | None = None) -> Tensor:
    """Measure the normalised mean error: the distance from the truth as a share of the object's size.

    Args:
        pred: Predicted keypoints (N, K, 3), or (N, K, 2), in any unit.
        target: True keypoints, of the same shape and unit.
        scale: The size (N,) of each object, above 0, in the same unit: of a face the distance between the eyes, of
            anything the longer side of its box, or the root of its area.
        visible: Which keypoints have a label, as in ``epe``.

    Returns:
        The mean over all keypoints with a label, a scalar.

    Raises:
        TypeError: As in ``epe``.
        ValueError: As in ``epe``, or if a size is not a finite number above 0.

    Examples:
        >>> target = torch.rand(8, 68, 2)
        >>> nme(target + torch.tensor([3.0, 4.0]), target, scale=torch.full((8,), 50.0))
        tensor(0.1000)

    Source: Sagonas et al., 300 Faces In-the-Wild Challenge, ICCV Workshops 2013, equation 1.
    """
    distances, labelled = distances_of(pred, target, visible)
    return labelled_mean(distances / check_scale("scale", scale, distances), labelled)


def rmse(pred: Tensor, target: Tensor, *, visible: Tensor | None = None) -> Tensor:
    """Measure the root of the mean squared distance of predicted keypoints from the true ones.

    It is at least ``epe``, and weighs large errors more.

    Args:
        pred: Predicted keypoints (N, K, 3), or (N, K, 2), in any unit.
        target: True keypoints, of the same shape and unit.
        visible: Which keypoints have a label, as in ``epe``.

    Returns:
        A scalar in the unit of the keypoints. The mean is over all keypoints with a label, and the squares are of whole
        distances, not of single coordinates.

    Raises:
        TypeError: As in ``epe``.
        ValueError: As in ``epe``.

    Examples:
        >>> target = torch.rand(8, 4, 2)
        >>> rmse(target + torch.tensor([3.0, 4.0]), target)
        tensor(5.)
    """
    distances, labelled = distances_of(pred, target, visible)
    return labelled_mean(distances.square(), labelled).sqrt()


def _labelled_median(distances: Tensor, labelled: Tensor) -> Tensor:
    counts = labelled.sum(dim=0, keepdim=True)
    ordered = distances.masked_fill(~labelled, float("inf")).sort(dim=0).values
    low, high = (ordered.gather(0, at.clamp(0, len(ordered) - 1)) for at in ((counts - 1) // 2, counts // 2))
    # NaN is sorted behind the infinities of those without a label, so it must be brought back.
    medians = ((low + high) / 2).masked_fill((distances.isnan() & labelled).any(dim=0), float("nan"))
    return torch.where(counts > 0, medians, 0.0).sum() / (counts > 0).sum()
