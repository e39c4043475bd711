"""The mean and the standard deviation of tensors that come one after the other, none of which is kept."""

import torch
from torch import Tensor


class Moments:
    """A running mean and standard deviation of each value, with weights.

    Welford's method, which loses nothing where the mean is much larger than the deviation. Welford 1962, "Note on a
    method for calculating corrected sums of squares and products"; West 1979 for weights.
    """

    def __init__(self, like: Tensor) -> None:
        """Start with nothing.

        Args:
            like: A tensor of the shape, type and device of the values.
        """
        self.mean = torch.zeros_like(like)
        self._squares = torch.zeros_like(like)
        self._total = like.new_zeros(())

    def add(self, values: Tensor, weights: Tensor | None = None) -> None:
        """Take in more values.

        Args:
            values: As ``like``. NaN makes the mean and the deviation NaN.
            weights: (B, 1, ...), at least 0; 1 by default. Values of weight 0 do not count, and may be NaN.
        """
        weights = values.new_ones(()) if weights is None else weights
        counts = weights > 0
        self._total = self._total + weights
        before = torch.where(counts, values - self.mean, 0.0)
        self.mean = self.mean + before * (weights / self._total.clamp(min=torch.finfo(values.dtype).tiny))
        after = torch.where(counts, values - self.mean, 0.0)
        self._squares = self._squares + weights * before * after

    @property
    def spread(self) -> Tensor:
        """The standard deviation of the population; NaN where nothing counts."""
        return (self._squares.clamp(min=0) / self._total).sqrt()
