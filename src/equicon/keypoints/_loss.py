"""The loss of a keypoint model."""

import torch
from torch import Tensor

from equicon._checks import check_batch, check_floating, check_number, type_error, value_error
from equicon._devices import without_autocast
from equicon.keypoints._heatmaps import gaussians
from equicon.keypoints._model import KeypointPrediction
from equicon.keypoints._target import KeypointTarget

_TINY = 1e-12  # keeps the logarithm of 0 finite; it is far below what float32 resolves beside 1


def keypoint_loss(
    prediction: KeypointPrediction, target: KeypointTarget, shape_weight: float = 1.0
) -> dict[str, Tensor]:
    """Compute the loss of a prediction in parts: how far the places are off, and how the heatmaps look.

    Both are means over the keypoints that are labelled and lie in the view. ``"2D"`` is the distance from the true
    place. ``"shape"`` is the Jensen-Shannon divergence between the heatmap and a Gaussian about the true place, whose
    standard deviation is a pixel of the heatmap. It keeps heatmaps to one peak. The sum of the parts is the loss
    (Nibali et al. 2018, arXiv 1801.07372, equations 6 and 8).

    Args:
        prediction: What a ``KeypointModel`` predicted for the B views.
        target: What it should have predicted, from ``keypoint_target``.
        shape_weight: The weight of the second part, at least 0.

    Returns:
        A dictionary of scalars. ``"2D"`` is in units of half the view's shorter side, and ``"shape"`` is there for
        heatmaps only. They are 0 if no keypoint is labelled.

    Raises:
        TypeError: If the weight is not a number, or the visibility is not of whole numbers.
        ValueError: If the weight is below 0, or prediction and target are not of the same views or keypoints.

    Examples:
        >>> heatmaps = gaussians(torch.tensor([[[20.0, 32.0]]]), (16, 16), (64, 64))
        >>> found = KeypointPrediction(soft_argmax(heatmaps, (64, 64)), torch.ones(1, 1), heatmaps)
        >>> target = KeypointTarget(torch.rand(1, 3, 64, 64), torch.tensor([[[20.0, 32.0]]]), torch.tensor([[2]]))
        >>> sum(keypoint_loss(found, target).values()) < 1e-5
        tensor(True)
    """
    shape_weight = check_number("shape_weight", shape_weight, low=0.0)
    count = prediction.xy.shape[1]
    check_floating("target.xy", target.xy, f"(B, {count}, 2)", last=(count, 2), ndim=3)
    check_batch("prediction", prediction.xy, target.xy, "target")
    if target.visible.is_floating_point():
        raise type_error("target.visible", "whole numbers (B, K)", target.visible)
    if target.visible.shape != target.xy.shape[:2]:
        raise value_error("target.visible", f"the shape {tuple(target.xy.shape[:2])}", target.visible)
    size = (target.images.shape[-2], target.images.shape[-1])
    labelled = target.visible > 0
    known = labelled.to(prediction.xy.dtype)
    wanted = torch.where(labelled[..., None], target.xy, 0.0)  # what has no label may be NaN
    with without_autocast(prediction.xy.device):
        misses = (prediction.xy - wanted) * (2 / min(size))
        # The gradient of a norm is not defined at 0, and keypoints without a label must not give one.
        far = (misses * known[..., None]).square().sum(-1).add(_TINY).sqrt()
        parts = {"2D": _mean(far, known)}
        if prediction.heatmaps is not None:
            true = gaussians(wanted, (prediction.heatmaps.shape[-2], prediction.heatmaps.shape[-1]), size)
            parts["shape"] = shape_weight * _mean(_divergence(prediction.heatmaps, true), known)
        return parts


def _mean(values: Tensor, known: Tensor) -> Tensor:
    return (values * known).sum() / known.sum().clamp(min=1.0)


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    """Compute the Jensen-Shannon divergence (B, K) of heatmaps, in [0, log 2]."""
    middle = ((p + q) / 2 + _TINY).log()
    each = p * ((p + _TINY).log() - middle) + q * ((q + _TINY).log() - middle)
    return each.sum((-2, -1)) / 2
