"""How a keypoint model learns from pictures without labels: what its teacher says, as points in the unit frame."""

from torch import Tensor, nn

from equicon._plane.frames import unit_points
from equicon.keypoints import KeypointPrediction


def read_points(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Predict keypoints in units of the view.

    Args:
        model: A keypoint model.
        images: The views (B, 3, H, W).

    Returns:
        The points (B, 2K) and their confidence (B, K).
    """
    found: KeypointPrediction = model(images)
    return flat_points(found, images), found.confidence


def flat_points(found: KeypointPrediction, images: Tensor) -> Tensor:
    """Give predicted keypoints in units of the view, as (B, 2K).

    Args:
        found: What the model predicted.
        images: The views (B, 3, H, W).
    """
    return unit_points(found.xy, (images.shape[-2], images.shape[-1])).flatten(1)


def first_of(found: KeypointPrediction, count: int) -> KeypointPrediction:
    """Take the prediction for the first ``count`` views.

    Args:
        found: The prediction.
        count: The number of views.
    """
    heatmaps = None if found.heatmaps is None else found.heatmaps[:count]
    return KeypointPrediction(found.xy[:count], found.confidence[:count], heatmaps)
