"""Test a keypoint model on a data set, beside the mean pose."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from equicon.data import KeypointDataset, KeypointSample
from equicon.keypoints import KeypointPredictor
from equicon.recipes._averaging import views_generator
from equicon.recipes._beside import MEAN, TUNED
from equicon.recipes.keypoints._averaging import average_keypoints
from equicon.recipes.keypoints._errors import KeypointErrors, keypoint_errors


class Tested(NamedTuple):
    """What a model and the mean pose say about N items of a data set.

    Args:
        items: (N,) the items, by their position in the data set.
        xy: (N, K, 2) what the model predicts, in pixels of the items.
        mean: (N, K, 2) the mean pose, in pixels of the items.
        confidence: (N, K) of the model.
    """

    items: Tensor
    xy: Tensor
    mean: Tensor
    confidence: Tensor

    def errors(self, data: KeypointDataset) -> dict[str, KeypointErrors]:
        """Measure the model and the mean pose, in pixels of the source pictures.

        Args:
            data: The data set that the items belong to.
        """
        labels = data.xy[self.items], data.visible[self.items], data.boxes[self.items]
        each = {TUNED: self.xy, MEAN: self.mean}
        return {name: keypoint_errors(data.to_source(xy, self.items), *labels) for name, xy in each.items()}


@torch.no_grad()
def run_keypoints(
    predictor: KeypointPredictor,
    batches: Any,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    *,
    views: int = 1,
) -> Tested:
    """Predict the keypoints of a data set.

    Args:
        predictor: The model, in evaluation mode and on the device.
        batches: Batches of ``KeypointSample``.
        device: The device of the model.
        dtype: The type in which the model computes.
        views: The number of views of each item to average over, with the plain one.
    """
    parts, generator = [], views_generator()
    for batch in batches:
        image, box = batch.image.to(device, non_blocking=True), batch.box.to(device)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            found = average_keypoints(predictor, image, box, views, generator)
        mean = predictor.mean_pose(image, box)
        parts.append((batch.index, found.xy.cpu(), mean.cpu(), found.confidence.cpu()))
    return Tested(*(torch.cat(values) for values in zip(*parts, strict=True)))


def short_name(path: Path) -> str:
    """Name a picture by its folder and its file: frames of several videos often have the same file names."""
    return "/".join(path.parts[-2:])


def stacked(data: Any, positions: Sequence[int]) -> KeypointSample:
    """Read items of a data set as one batch."""
    items = (data[position] for position in positions)
    return KeypointSample(*(torch.stack(values) for values in zip(*items, strict=True)))
