"""The log-sum-exp over the negatives of each row: densely, or in blocks with linear memory.

A row's negatives are the keys of other images. The keys are the rows themselves, then the rows of other ranks, then a
queue. The scores between two rows are symmetric, so they are computed once.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from equicon._exact import exact_products, product
from equicon._losses.ranks import gather_others
from equicon._torch import has_tangent, in_function_transform

_BLOCK = {"cpu": 512}  # two blocks of float32 fill 2 MB of cache
_BLOCK_ELSEWHERE = 4096  # and 128 MB of a device's memory


def block_size(device: torch.device) -> int:
    """Choose how many rows and keys are compared at a time. Up to this many keys are compared densely."""
    return _BLOCK.get(device.type, _BLOCK_ELSEWHERE)


def gradient_is_enough(keys: Tensor, temperature: float | Tensor) -> bool:
    """Whether a gradient suffices, which is all that blocks have: no ``torch.func``, and no forward mode."""
    if torch.compiler.is_compiling():
        return True
    learned = isinstance(temperature, Tensor) and has_tangent(temperature)
    return not (in_function_transform() or has_tangent(keys) or learned)


def dense_negatives(keys: Tensor, rows: int, views: int, labels: Tensor | None, temperature: float | Tensor) -> Tensor:
    """Compute log Σ exp(s / τ) over the negatives of each row, with memory for all scores.

    Args:
        keys: (M, D), normalised to length 1. The first n are the rows.
        rows: n, the number of rows.
        views: How many neighbouring rows show one image.
        labels: (N,), of the first N keys. Keys with equal labels are not each other's negatives. Later keys are
            negatives of every row.
        temperature: τ, a number or a tensor of shape () that gets a gradient.

    Returns:
        (n,); −∞ for a row that has no negatives.
    """
    images = torch.arange(rows, device=keys.device) // views if labels is None else labels
    scores, queue = product(keys[:rows] / temperature, keys.T), keys.shape[0] - images.shape[0]
    # Sizes that a compiler leaves open must not be compared, or it compiles a program for each answer.
    several = labels is None and not torch.compiler.is_compiling() and rows > views
    if several or queue > 0:
        same = images[:rows, None] == images
        same = pad(same, (0, queue)) if queue else same
        return scores.masked_fill_(same, -math.inf).logsumexp(1)
    # The gradient of logsumexp over −∞ alone is NaN. So if all images are the same, and no row has negatives, wrong
    # labels keep all keys in until the end.
    none = (images == images[0]).all()
    same = (images[:rows, None] + none) == images
    return scores.masked_fill_(same, -math.inf).logsumexp(1).masked_fill(none, -math.inf)


def blockwise_negatives(
    keys: Tensor,
    rows: int,
    views: int,
    labels: Tensor | None,
    temperature: float | Tensor,
    block: int,
    counts: Sequence[int],
) -> Tensor:
    """Compute what ``dense_negatives`` does, one block of scores at a time; scores are recomputed for the gradient.

    Args:
        keys: As in ``dense_negatives``. Only the rows get gradients. These include the gradients as keys of other
            ranks' rows, for which one or two numbers of each of those rows suffice.
        rows: As in ``dense_negatives``.
        views: As in ``dense_negatives``.
        labels: As in ``dense_negatives``.
        temperature: As in ``dense_negatives``. Across ranks, its gradient is this rank's share; the shares add up to
            the whole gradient.
        block: How many rows are compared with how many keys at a time, a multiple of ``views``.
        counts: The number of rows of each rank; empty if there is one rank.

    Returns:
        (n,); −∞ for a row that has no negatives.
    """
    number, learned = (1.0, temperature) if isinstance(temperature, Tensor) else (temperature, None)
    others = keys[rows:].detach()
    result: Tensor = _blockwise(keys[:rows], others, labels, learned, views, number, block, list(counts))
    return result


@torch.library.custom_op("equicon::blockwise_negatives", mutates_args=())
@exact_products()
def _blockwise(
    z: Tensor,
    others: Tensor,
    labels: Tensor | None,
    learned: Tensor | None,
    views: int,
    number: float,
    block: int,
    counts: Sequence[int],
) -> Tensor:
    """Compute the result with the temperature ``learned``, or with ``number`` if that is None."""
    temperature = number if learned is None else learned
    bound = _bound(temperature, z.dtype)
    result = z.new_full((len(z),), -math.inf if bound is None else 0.0)
    for i, j, scores, spare in _blocks(z, others, labels, views, temperature, block, counts):
        mirrored = i.start < j.start < len(z)  # the keys are rows too, with the same scores for rows i
        if bound is None:
            if mirrored:
                result[j] = torch.logaddexp(result[j], _log_sum_exp(scores, 0, spare))
            result[i] = torch.logaddexp(result[i], _log_sum_exp(scores, 1, spare))
        else:
            scores.sub_(bound).exp_()
            if mirrored:
                result[j] += scores.sum(0)
            result[i] += scores.sum(1)
    return result if bound is None else result.log_().add_(bound)


@torch.library.custom_op("equicon::blockwise_negatives_backward", mutates_args=())
@exact_products()
def _blockwise_backward(
    z: Tensor,
    others: Tensor,
    labels: Tensor | None,
    learned: Tensor | None,
    views: int,
    number: float,
    block: int,
    counts: Sequence[int],
    result: Tensor,
    grad: Tensor,
) -> tuple[Tensor, Tensor]:
    """Compute the gradients for z and for a learned temperature. If none is learned, the second gradient is empty.

    ``result`` and ``grad`` have an entry for each key. For a key that is not a row, these are ∞ and 0.
    """
    temperature = number if learned is None else learned
    bound, dz = _bound(temperature, z.dtype), torch.zeros_like(z)
    queue = _queue_start(z, counts)
    dz_queue = dz if learned is None else torch.zeros_like(z)
    factors = grad if bound is None else torch.exp(bound - result) * grad
    for i, j, scores, spare in _blocks(z, others, labels, views, temperature, block, counts):
        # The keys are negatives of the rows, and the rows are negatives of the keys.
        if bound is None:
            torch.sub(scores, result[i, None], out=spare).exp_().mul_(grad[i, None])
            scores.sub_(result[j]).exp_().mul_(grad[j]).add_(spare)
        else:
            torch.add(factors[i, None], factors[j], out=spare)
            scores.sub_(bound).exp_().mul_(spare)
        (dz if j.start < queue else dz_queue)[i].addmm_(scores, _keys(z, others, j))
        if i.start < j.start < len(z):
            dz[j].addmm_(scores.T, z[i])
    if learned is None:
        return dz.div_(number), z.new_empty(0)
    # A score c / τ has the derivative −c / τ² for τ. The sum of z · dz holds c of each score: twice if both embeddings
    # are rows, of this rank or another, since both have a gradient; once if one is in the queue.
    change = (z * dz).sum() / 2 + (z * dz_queue).sum()
    return dz.add_(dz_queue).div_(learned), (-change / learned.square()).to(learned.dtype)


def _blocks(
    z: Tensor,
    others: Tensor,
    labels: Tensor | None,
    views: int,
    temperature: float | Tensor,
    block: int,
    counts: Sequence[int],
) -> Iterator[tuple[slice, slice, Tensor, Tensor]]:
    """Yield a slice of rows, a slice of keys, their scores, and a spare tensor of the same shape.

    Scores are −∞ where a key is not a negative of a row. The scores between two blocks of rows come once. The next
    block overwrites both tensors. No slice of keys has both rows of other ranks and of the queue.
    """
    ends = (len(z), _queue_start(z, counts), len(z) + len(others))
    size = min(block, len(z)) * min(block, max(len(z), len(others)))
    first, second = (z.new_empty(size) for _ in range(2))
    scaled = z / temperature
    for i in _slices(0, len(z), block):
        for j in (s for start, stop in pairwise((i.start, *ends)) for s in _slices(start, stop, block)):
            keys = _keys(z, others, j)
            shape = (i.stop - i.start, len(keys))
            scores, spare = (buffer[: math.prod(shape)].view(shape) for buffer in (first, second))
            torch.mm(scaled[i], keys.T, out=scores)  # autocast does not touch a product that writes to out=
            if i == j or labels is not None:
                _exclude(scores, views, None if labels is None else (labels[i], labels[j]))
            yield i, j, scores, spare


def _exclude(scores: Tensor, views: int, labels: tuple[Tensor, Tensor] | None) -> None:
    """Write −∞ where a key is not a negative of a row: by their labels, or without labels on a diagonal block."""
    if labels is not None:
        same = labels[0][:, None] == labels[1]
        scores[:, : same.shape[1]].masked_fill_(same, -math.inf)
    else:
        images = len(scores) // views
        square = scores[:, : len(scores)].unflatten(1, (images, views)).unflatten(0, (images, views))
        square.diagonal(dim1=0, dim2=2).fill_(-math.inf)


def _keys(z: Tensor, others: Tensor, j: slice) -> Tensor:
    return z[j] if j.start < len(z) else others[j.start - len(z) : j.stop - len(z)]


def _queue_start(z: Tensor, counts: Sequence[int]) -> int:
    return sum(counts) if counts else len(z)


def _slices(start: int, stop: int, step: int) -> Iterator[slice]:
    return (slice(at, min(at + step, stop)) for at in range(start, stop, step))


def _bound(temperature: float | Tensor, dtype: torch.dtype) -> float | None:
    """Return an upper bound of all scores if exp(score − bound) cannot underflow, else None.

    A temperature on an accelerator cannot be read without waiting. So the result is None, which is always correct.
    """
    if isinstance(temperature, Tensor):
        if temperature.device.type != "cpu":
            return None
        temperature = float(temperature.detach())
    return 1 / temperature if 0.6 * math.log(torch.finfo(dtype).max) * temperature > 2 else None


def _log_sum_exp(scores: Tensor, dim: int, spare: Tensor) -> Tensor:
    highest = scores.amax(dim, keepdim=True).clamp_(min=torch.finfo(scores.dtype).min)  # −∞ − −∞ is not a number
    return torch.sub(scores, highest, out=spare).exp_().sum(dim).log_().add_(highest.squeeze(dim))


@_blockwise.register_fake
def _(z: Tensor, *_: object) -> Tensor:
    return z.new_empty(z.shape[0])


@_blockwise_backward.register_fake
def _(z: Tensor, others: Tensor, labels: Tensor | None, learned: Tensor | None, *_: object) -> tuple[Tensor, Tensor]:
    return torch.empty_like(z), z.new_empty(0) if learned is None else torch.empty_like(learned)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    z, others, labels, learned, *ctx.settings = inputs
    ctx.save_for_backward(z, others, labels, learned, output)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    z, others, labels, learned, result = ctx.saved_tensors
    none = result == -math.inf  # without negatives there is nothing to differentiate, and −∞ − −∞ is not a number
    numbers = torch.stack([result.masked_fill(none, math.inf), grad.masked_fill(none, 0.0)], 1)
    counts = ctx.settings[-1]
    if counts:
        numbers = torch.cat([numbers, gather_others(numbers, counts)])
    queue = z.shape[0] + others.shape[0] - numbers.shape[0]
    results, grads = (pad(numbers[:, i], (0, queue), value=fill) for i, fill in enumerate((math.inf, 0.0)))
    dz, dt = _blockwise_backward(z, others, labels, learned, *ctx.settings, results, grads)
    return dz, None, None, None if learned is None else dt, *(None,) * 4


_blockwise.register_autograd(_differentiate, setup_context=_setup)


def _refuse(ctx: Any, *grads: Tensor) -> None:
    raise RuntimeError(
        "nt_xent: the blocks of a large batch can be differentiated once, but a second derivative was asked for. Take "
        "the dense path: chunk_size=len(z1) * views + len(negatives), or more. Across ranks there is no dense path."
    )


_blockwise_backward.register_autograd(_refuse)
