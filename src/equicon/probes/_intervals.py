"""Intervals of mean errors, by a bootstrap over groups of views (Efron, Annals of Statistics 1979)."""

import torch
from torch import Tensor

_TIMES = 1_000
_LEVELS = (0.025, 0.975)


def bootstrap(distances: Tensor, groups: Tensor | None, seed: int) -> tuple[float, float] | None:
    """Estimate the interval of 95 % of the mean of distances (N, K), which are NaN where there is no label.

    Groups are drawn with replacement, and no group in part. Without groups, views are drawn.

    Returns:
        The interval, or None if less than two groups have labels.
    """
    table = torch.stack([distances.nansum(dim=1), (~distances.isnan()).sum(dim=1).to(distances)], dim=1).cpu()
    if groups is not None:
        index = groups.cpu().unique(return_inverse=True)[1]
        table = table.new_zeros(int(index.max()) + 1, 2).index_add(0, index, table)
    table = table[table[:, 1] > 0]
    count = len(table)
    if count < 2:
        return None
    generator = torch.Generator("cpu").manual_seed(seed)
    draws = (torch.randint(count, (count,), generator=generator, device="cpu") for _ in range(_TIMES))
    total, labels = torch.stack([table[draw].sum(dim=0) for draw in draws]).T
    low, high = (total / labels).quantile(table.new_tensor(_LEVELS)).tolist()
    return low, high
