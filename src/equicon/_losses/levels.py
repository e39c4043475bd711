"""The levels of NT-Xent: its value by chance, and its floor. The loss teaches between these two values."""

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
    """The values of a loss by chance and at its floor: numbers, or tensors of shape () if they depend on tensors.

    Args:
        chance: The loss if all similarities are equal, so that no image is told from another.
        floor: The loss if the views of an image are equal, and different images are orthogonal. Little is left to learn
            there. A loss may fall a little below it, if the cosines of different images are negative.

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
    """Compute the two values between which ``nt_xent`` teaches, for a batch of ``images`` images.

    A row is one embedding. If it has n negatives, its loss is ``ln(1 + n)`` by chance, where all similarities are
    equal. At the floor it is ``ln(1 + n · exp(−1 / τ))``: the cosine with its partner is 1, and with each negative 0.
    The levels are the means over all rows, each times its weight. At τ = 0.5 the floor is high, and a network reaches
    it by telling images apart by whatever is easiest.

    Args:
        images: B, the number of images in the batch; with ``gather_distributed``, in this rank's batch.
        temperature: τ, at least 1e-6: a number, or a tensor of shape ().
        views: How many views of each image are compared, at least 2.
        weights: (B,), a factor for each image, as given to the loss.
        labels: (B,), whole numbers, as given to the loss. Images with equal labels are not each other's negatives.
        negatives: K, how many more negatives each row has, such as the length of a queue.
        gather_distributed: Whether the images of other ranks are negatives too. Then all ranks must call this together,
            and the levels are those of all their images as one batch.

    Returns:
        The levels. They are numbers if they follow from numbers. Else they are tensors in float32 at least, without a
        gradient, on the device of the arguments; nothing waits for the device.

    Raises:
        ValueError: If a number or a shape does not fit. On every rank also if some ranks give labels or weights, and
            others do not.
        TypeError: If an argument is of the wrong type.

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
    ranks = [(images, queue)]  # this rank first: gathered tensors are appended to its own
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
    """Count how often each label occurs, without waiting for the device, and in memory linear in their number."""
    ordered = labels.sort().values
    return torch.searchsorted(ordered, labels, right=True) - torch.searchsorted(ordered, labels)


def _gather(
    images: int, views: int, queue: int, labels: Tensor | None, weights: Tensor | None
) -> tuple[list[tuple[int, int]], Tensor | None, Tensor | None]:
    """Gather the numbers of images and of queue entries, the labels and the weights of all ranks, this rank's first."""
    weighed = "without weights" if weights is None else "with weights"
    counts = [batch.images for batch in exchange(Batch(images, views, 0, weighed, labels is not None))]
    queues = [queue] * len(counts)
    dist.all_gather_object(queues, queue)
    others = [pair for rank, pair in enumerate(zip(counts, queues, strict=True)) if rank != dist.get_rank()]
    if labels is not None:
        labels = torch.cat([labels.long(), gather_others(labels.long(), counts)])  # one type on all ranks
    if weights is not None:
        weights = torch.cat([weights.detach(), gather_others(weights, counts)])
    return [(images, queue), *others], labels, weights
