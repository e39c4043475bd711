"""What comes with the embeddings of a loss, and how it is checked: a temperature, weights and labels."""

from typing import Any

import torch
from torch import Tensor

from equicon._checks import check_positive, describe, readable, type_error, value_error

_LEAST = 2.0**-20  # 1e-6, as every type can hold it


def check_temperature(value: Any) -> Any:
    """Check for a number that is not too low, given back as a float, or for a floating tensor that stands for one."""
    if not isinstance(value, Tensor):
        return _check_low(check_positive("temperature", value))
    if value.ndim:
        fix = "Write torch.nn.Parameter(torch.tensor(0.5))."
        raise value_error("temperature", "a number, or a tensor of shape ()", value, fix)
    if not value.is_floating_point():
        raise type_error("temperature", "a floating type", value)
    if readable(value):
        _check_low(value.item())
    return value


def _check_low(temperature: float) -> float:
    # Cosines are rounded by 1e-7 in float32. Divided by less than this, the exponentials of two that are equal differ.
    if not temperature >= _LEAST:
        fix = "From 0.01 to 1 is usual. One that learns stays there by a clamp after each step."
        raise value_error("temperature", "at least 1e-6", temperature, fix)
    return temperature


def check_tensor(name: str, value: Any) -> None:
    """Check for a tensor."""
    if not isinstance(value, Tensor):
        raise type_error(name, "a tensor", describe(value), "Convert it with torch.as_tensor.")


def check_rows(count: int, weights: Any, labels: Any) -> None:
    """Check weights and labels of so many images, where there are some."""
    for name, value in (("weights", weights), ("labels", labels)):
        if value is not None:
            check_tensor(name, value)
            if value.shape != (count,):
                raise value_error(name, f"one for each image, of shape ({count},)", value)
    if weights is not None and not weights.is_floating_point():
        raise type_error("weights", "a floating type", weights, "Convert them with .float().")
    if labels is not None and (labels.is_floating_point() or labels.dtype == torch.bool):
        raise type_error("labels", "whole numbers", labels, "Convert them with .long().")
