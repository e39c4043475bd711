"""Checks of keypoints, of what says which are labelled, and of scales, for all metrics."""

from typing import Any

import torch
from torch import Tensor

from equicon._checks import check_floating, check_positive_values, first_bad, readable, type_error, value_error


def distances_of(pred: Tensor, target: Tensor, visible: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """Check keypoints, and return their distances (N, K), 0 where there is no label, and which have one (N, K)."""
    pred, target = check_pair(pred, target)
    labelled = check_visible(visible, target)
    difference = pred - target
    if labelled is not None:  # what has no label may be NaN
        difference = difference.masked_fill(~labelled[..., None], 0.0)
    distances: Tensor = torch.linalg.vector_norm(difference, dim=-1)
    return distances, labelled


def labelled_mean(values: Tensor, labelled: Tensor | None) -> Tensor:
    """Average values (N, K) over those that are labelled, where the others are 0."""
    return values.mean() if labelled is None else values.sum() / labelled.sum()


def check_pair(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Check two batches of keypoints and give them one type, float32 at least."""
    _check_keypoints("pred", pred)
    _check_keypoints("target", target)
    if pred.shape != target.shape:
        raise value_error("pred", f"the shape of target, {tuple(target.shape)}", pred)
    dtype = torch.promote_types(torch.promote_types(pred.dtype, target.dtype), torch.float32)
    return pred.to(dtype), target.to(dtype)


def check_visible(visible: Any, keypoints: Tensor) -> Tensor | None:
    """Check what says which keypoints (N, K, d) have a label, and return it as bool (N, K); None if all have one."""
    if visible is None:
        return None
    shape = tuple(keypoints.shape[:2])
    if not isinstance(visible, Tensor) or visible.is_floating_point() or visible.is_complex():
        raise type_error("visible", f"a tensor {shape} of bool or whole numbers", visible, "Write visible > 0.")
    if tuple(visible.shape) != shape:
        raise value_error("visible", f"a tensor of shape {shape}, one value for each keypoint", visible)
    labelled: Tensor = visible > 0
    if readable(labelled) and not bool(labelled.any()):
        raise value_error("visible", "at least one keypoint with a label", "none")
    return labelled.to(keypoints.device)


def check_scale(argument: str, scale: Any, keypoints: Tensor) -> Tensor:
    """Check one number above 0 for each sample, and return it as (N, 1) in the type of the keypoints."""
    count = len(keypoints)
    check_floating(argument, scale, f"({count},)", last=(count,), ndim=1)
    check_positive_values(argument, scale)
    sizes: Tensor = scale.to(keypoints.device, keypoints.dtype)
    return sizes[:, None]


def check_finite(argument: str, keypoints: Tensor) -> None:
    """Check that keypoints are finite, where they can be read without waiting."""
    if readable(keypoints) and (bad := first_bad(keypoints.isfinite().flatten(1).all(-1))) is not None:
        raise value_error(argument, "finite keypoints", f"NaN or infinity at index {bad}")


def _check_keypoints(argument: str, value: Any) -> None:
    flat = isinstance(value, Tensor) and value.shape[-1:] == (2,)
    check_floating(argument, value, "(N, K, 3) or (N, K, 2)", last=(2 if flat else 3,), ndim=3)
    if value.numel() == 0:
        raise value_error(argument, "at least one sample and one keypoint", value)
