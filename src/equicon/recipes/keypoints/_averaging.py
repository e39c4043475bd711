"""Keypoints that are averaged over several views of each picture, as ``--views`` asks for."""

import torch
from torch import Tensor

import equicon as eq
from equicon._plane.frames import pixel_points, unit_points
from equicon.keypoints import KeypointPrediction, KeypointPredictor
from equicon.recipes._averaging import MILD


def average_keypoints(
    predictor: KeypointPredictor, images: Tensor, boxes: Tensor, views: int, generator: torch.Generator
) -> KeypointPrediction:
    """Find the keypoints of one thing in each picture, as the mean over several views.

    The first view is the plain one, so one view gives exactly what the predictor gives.

    Args:
        predictor: The model, in evaluation mode.
        images: (B, 3, H, W), uint8 or floating in [0, 1], on the model's device.
        boxes: (B, 4) x1, y1, x2, y2 in pixels of the pictures.
        views: The number of views, with the plain one.
        generator: The source of randomness.

    Returns:
        The mean of places and confidences, in pixels of the pictures. If there are several views, without heatmaps.
    """
    plain = predictor(images, boxes)
    if views == 1:
        return plain
    source, view = (images.shape[-2], images.shape[-1]), (predictor.task.size,) * 2
    frame, count = predictor.frame(len(images), source, images.device, boxes), len(predictor.task.names)
    dtype = next(predictor.model.parameters()).dtype

    def predict(drawn: Tensor) -> Tensor:
        found = predictor.model(drawn.to(dtype))
        return torch.cat([unit_points(found.xy, view).flatten(1), found.confidence], 1)

    augment = eq.Compose([MILD, predictor.task.normalize])
    parts = eq.DirectSum([(eq.Points(), 2 * count), (eq.Invariant(), count)])
    others, _ = eq.average_views(
        predict, images, augment, views - 1, parts, size=view, frame=frame, generator=generator
    )
    units, confidence = others.split([2 * count, count], 1)
    xy = frame.inverse().points(pixel_points(units.unflatten(1, (count, 2)), view), view, source)
    share = 1 / views
    return KeypointPrediction(torch.lerp(xy, plain.xy, share), torch.lerp(confidence, plain.confidence, share), None)
