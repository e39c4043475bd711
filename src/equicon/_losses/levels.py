"""What NT-Xent is where a network knows nothing, and where it tells all images apart: between them, it teaches."""

import functools
import math
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from equicon._checks import check_int
from equicon._losses.extras import check_rows, check_temperature
from equicon._losses.ranks import Batch, exchange, gather_others, many_ranks, refuse_together


class LossLevels(NamedTuple):
    """What a loss is by chance, and at its floor: numbers, or tensors of shape () where the device knows them.

    Args:
        chance: where all similarities are equal: nothing is told from anything.
        floor: where the views of an image are equal and all images orthogonal: unrelated. Little is left to learn
            there. A loss may come to lie a little lower, where images are more than unrelated.

    Examples:
        >>> chance, floor = nt_xent_levels(64, temperature=0.1)
        >>> f"{chance:.2f} {floor:.4f}"
        '4.84 0.0057'
    """

    chance: float | Tensor
    floor: float | Tensor


def nt_xent_levels(
    images: int,
    temperature: float | Tensor = 0.5,
    *,
    views: int = 2,
    weights: Tensor | None = None,
    labels: Tensor | None = None,
    negatives: int = 0,
    gather_distributed: bool = False,
) -> LossLevels:
    """Compute between which values ``nt_xent`` teaches, for a batch of that many images.

    With n negatives, a row's loss is ``ln(1 + n)`` by chance, where all similarities are equal. At the floor it is
    ``ln(1 + n · exp(−1 / τ))``: its partner is at a cosine of 1, and its negatives at 0. The levels are the means over
    the rows, each times its weight. At τ = 0.5 the floor is high, and a network gets there by telling images apart by
    whatever is easiest.

    Args:
        images: B, the images of this batch; with ``gather_distributed``, of this rank's.
        temperature: τ, at least 1e-6: a number, or a tensor of shape ().
        views: how many views of each image are compared.
        weights: (B,), a factor for each image, as the loss gets it.
        labels: (B,), whole numbers, as the loss gets them: images with the same one are not each other's negatives.
        negatives: K, how many more each row has, such as the length of a queue.
        gather_distributed: whether the other ranks' images are negatives too. Then all ranks call this together;
            levels are those of their images as one batch.

    Returns:
        The levels: numbers where they follow from numbers, else tensors in float32 at least and without a gradient, on
        the device of what was given. Nothing waits for it.

    Raises:
        ValueError: if a number or a shape does not fit; on every rank if some have labels or weights and others do not.
        TypeError: if something is of another type.

    Examples:
        >>> print("chance {:.2f}, floor {:.2f}".format(*nt_xent_levels(64, temperature=0.5)))
        chance 4.84, floor 2.89
        >>> nt_xent_levels(4, labels=torch.tensor([0, 0, 1, 1])).chance  # 4 of 7 others are negatives: ln 5
        tensor(1.6094)
    """
    gather = gather_distributed and many_ranks()
    with refuse_together(gather):
        images, views = check_int("images", images, low=1), check_int("views", views, low=2)
        temperature = check_temperature(temperature)
        check_rows(images, weights, labels)
        queue = check_int("negatives", negatives, low=0)
    ranks = [(images, queue)]  # this one first, as what is gathered is put behind what is its own
    if gather:
        ranks, labels, weights = _gather(images, views, queue, labels, weights)
    total = sum(count for count, _ in ranks)
    tensors = [value for value in (labels, weights, temperature) if isinstance(value, Tensor)]
    if not tensors:
        factors = 1.0, math.exp(-1 / temperature)
        rows = [(count, (total - 1) * views + more) for count, more in ranks]
        chance, floor = (sum(count * math.log1p(n * factor) for count, n in rows) / total for factor in factors)
        return LossLevels(chance, floor)

    dtype = functools.reduce(torch.promote_types, (t.dtype for t in tensors if t.is_floating_point()), torch.float32)
    new = functools.partial(torch.full, dtype=dtype, device=tensors[0].device)
    keys = torch.cat([new((count,), total * views + more) for count, more in ranks])
    n = keys - views * (1 if labels is None else _count_equal(labels.long()))
    at = temperature.detach() if isinstance(temperature, Tensor) else new((), temperature)
    levels = torch.log1p(torch.stack([n, n * torch.exp(-1 / at).to(dtype)], 1))
    if weights is not None:
        levels = levels * weights.detach().to(dtype)[:, None]
    return LossLevels(*levels.mean(0).unbind())


def _count_equal(labels: Tensor) -> Tensor:
    """Count for each label how often it comes; on any device without waiting for it, and in memory of their number."""
    ordered = labels.sort().values
    return torch.searchsorted(ordered, labels, right=True) - torch.searchsorted(ordered, labels)


def _gather(
    images: int, views: int, queue: int, labels: Tensor | None, weights: Tensor | None
) -> tuple[list[tuple[int, int]], Tensor | None, Tensor | None]:
    """Learn of the images, the queue, the labels and the weights of all ranks, this one's first."""
    weighed = "without weights" if weights is None else "with weights"
    counts = [batch.images for batch in exchange(Batch(images, views, 0, weighed, labels is not None))]
    queues = [queue] * len(counts)
    dist.all_gather_object(queues, queue)
    others = [pair for rank, pair in enumerate(zip(counts, queues, strict=True)) if rank != dist.get_rank()]
    if labels is not None:
        labels = torch.cat([labels.long(), gather_others(labels.long(), counts)])  # of one type on all
    if weights is not None:
        weights = torch.cat([weights.detach(), gather_others(weights, counts)])
    return [(images, queue), *others], labels, weights
