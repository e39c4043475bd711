"""Means and deviations of columns, and which keypoints have labels. A coordinate without a label is NaN."""

import torch
from torch import Tensor


def labelled(y: Tensor) -> Tensor:
    """Tell which keypoints (n, K) of a target (n, K, d) have a label."""
    return ~y.isnan().any(dim=-1)


def mean_of(y: Tensor) -> Tensor:
    """Average over the samples that have a label. A mean of all is rounded as ``mean`` rounds it."""
    return y.nanmean(dim=0) if bool(y.isnan().any()) else y.mean(dim=0)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means and standard deviations of the columns. A deviation that is only rounding becomes 0."""
    mean = mean_of(x)
    full = not bool(x.isnan().any())
    std = x.std(dim=0, correction=0) if full else (x - mean).square().nanmean(dim=0).sqrt()
    constant = std <= torch.finfo(torch.float32).eps * x.nan_to_num(0.0).abs().amax(dim=0)
    return mean, std.masked_fill(constant, 0.0)


def standardise(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Bring columns to mean 0 and deviation 1. A column without deviation becomes 0, so that it has no effect."""
    return (x - mean) * torch.where(std > 0, 1 / std, 0.0)
