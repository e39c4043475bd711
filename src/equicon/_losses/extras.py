"""Checks of what a loss takes beside embeddings: a temperature, weights and labels."""

from typing import Any

import torch
from torch import Tensor

from equicon._checks import check_positive, describe, readable, type_error, value_error

_LEAST = 2.0**-20  # about 1e-6, and exact in every floating type


def check_temperature(value: Any) -> Any:
    """Check for a number that is not too low, and return it as a float, or for a floating tensor of shape ()."""
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
    # float32 rounds cosines by 1e-7. At a lower temperature, cosines that should be equal get different exponentials.
    if not temperature >= _LEAST:
        fix = "Usual are 0.01 to 1. Keep a learned temperature there by a clamp after each step."
        raise value_error("temperature", "at least 1e-6", temperature, fix)
    return temperature


def check_tensor(name: str, value: Any) -> None:
    """Check for a tensor."""
    if not isinstance(value, Tensor):
        raise type_error(name, "a tensor", describe(value), "Convert it with torch.as_tensor.")


def check_rows(count: int, weights: Any, labels: Any) -> None:
    """Check the weights and labels of ``count`` images, if any are given."""
    for name, value in (("weights", weights), ("labels", labels)):
        if value is not None:
            check_tensor(name, value)
            if value.shape != (count,):
                raise value_error(name, f"one for each image, of shape ({count},)", value)
    if weights is not None and not weights.is_floating_point():
        raise type_error("weights", "a floating type", weights, "Convert them with .float().")
    if labels is not None and (labels.is_floating_point() or labels.dtype == torch.bool):
        raise type_error("labels", "whole numbers", labels, "Convert them with .long().")
