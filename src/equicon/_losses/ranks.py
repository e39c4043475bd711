"""Messages between ranks that compute one loss together."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor


class Batch(NamedTuple):
    """What the ranks must know about each other's batches."""

    images: int
    views: int
    width: int
    dtype: str
    labels: bool


def many_ranks() -> bool:
    """Whether this process is one of several ranks."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


@contextmanager
def refuse_together(gather: bool) -> Iterator[None]:
    """Send an error on this rank to every rank. Else the ranks that are in ``exchange`` would wait for ever."""
    try:
        yield
    except Exception as error:
        if gather:
            _tell(f"{type(error).__name__}: {error}")
        raise


def exchange(batch: Batch) -> list[Batch]:
    """Send a description of this rank's batch to all ranks, and receive theirs.

    If the process group has a backend for the CPU, messages travel between the hosts, and nothing waits for a device.

    Raises:
        RuntimeError: On every rank, if one of them had an error with its batch.
        ValueError: On every rank, if the batches differ in more than the number of images.
    """
    told = _tell(batch)
    for rank, other in enumerate(told):
        if isinstance(other, str):
            raise RuntimeError(f"gather_distributed: rank {rank} refused its batch. {other}")
    batches = [other for other in told if isinstance(other, Batch)]
    for rank, other in enumerate(batches):
        if other[1:] != batches[0][1:]:
            raise ValueError(
                f"gather_distributed: expected batches that differ in nothing but the number of images, got "
                f"{batches[0]} on rank 0 and {other} on rank {rank}. Give labels on every rank or on none, and as many "
                "views."
            )
    return batches


def _tell(message: Batch | str) -> list[Batch | str]:
    told: list[Batch | str] = [message] * dist.get_world_size()
    dist.all_gather_object(told, message)
    return told


def gather_others(rows: Tensor, counts: Sequence[int]) -> Tensor:
    """Gather the rows (n, ...) of all other ranks, in the order of the ranks, without gradients.

    Args:
        rows: The rows of this rank.
        counts: The number of rows of each rank. These may differ, so rows travel padded to the largest number.
    """
    most, rank = max(counts), dist.get_rank()
    padded = rows.detach().new_zeros(most, *rows.shape[1:])
    padded[: len(rows)] = rows.detach()
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return torch.cat([part[:count] for i, (part, count) in enumerate(zip(parts, counts, strict=True)) if i != rank])
