"""``GradCache``: the gradients of a large batch with the memory of a small one."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from equicon._checks import check_int, describe, type_error, value_error
from equicon._groups.element import is_element
from equicon._torch import flatten, norms_with_statistics, unflatten


class GradCache(nn.Module):
    """Run a module on a few rows of a batch at a time, so that only the activations of these rows take memory.

    The output is the embeddings of the whole batch, for a loss that compares all of them. ``backward`` runs the module
    again, chunk by chunk, and frees the activations of each chunk before it makes those of the next. So the gradients
    are those of the whole batch, for the price of one more forward pass.

    Random numbers are drawn again as before, from the global generators of the CPU and of the inputs' device. So
    dropout is the same, and so are views, if the module makes them. Autocast, gradient scalers and accumulation work as
    usual. Compile the module, not this wrapper. For many ranks, wrap this wrapper:
    ``DistributedDataParallel(GradCache(torch.compile(model), 128))``. Then gradients are reduced once.

    Batch norm sees one chunk and not the whole batch, as in a loop over small batches. Its running statistics are
    updated once for each chunk. Synchronised batch norm needs the same number of chunks on every rank. Any other state
    that a module changes while it runs, such as the vectors of spectral norm, changes twice. Without such modules, the
    result equals that of the whole batch.

    Args:
        module: Takes tensors and group elements of B rows. Returns one of these, or nested tuples, named tuples, lists
            and dicts of them; each output row must depend on the same input row only.
        chunk_size: Largest number of rows in a chunk, at least 1. Chunks differ by at most one row.

    Raises:
        ValueError: If ``chunk_size`` is below 1. In a call, if inputs or outputs differ in their number of rows.
        TypeError: If the module is not a module, or is already wrapped for many ranks. In a call, if inputs or outputs
            are of another type.

    Examples:
        >>> model = GradCache(torch.nn.Linear(12, 128), chunk_size=64)
        >>> z1, z2 = model(torch.rand(2048, 12)), model(torch.rand(2048, 12))
        >>> NTXentLoss(0.5)(z1, z2).backward()

    Source: Gao et al. 2021, arXiv 2101.06983, section 3; by ``torch.utils.checkpoint``.
    """

    def __init__(self, module: nn.Module, chunk_size: int) -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            raise type_error("module", "a torch.nn.Module", describe(module))
        if isinstance(module, DistributedDataParallel):
            fix = "Wrap the other way round: DistributedDataParallel(GradCache(model, chunk_size))."
            raise type_error("module", "one that is not wrapped for many ranks", "a DistributedDataParallel", fix)
        self.module = module
        self.chunk_size = check_int("chunk_size", chunk_size, low=1)

    def forward(self, *inputs: Any) -> Any:
        """Return the output of the module for all rows of the inputs (B, ...)."""
        rows = _count("inputs", inputs)
        if rows <= self.chunk_size:
            output = self.module(*inputs)
            _count("the module's outputs", flatten(output, is_element)[0], rows)
            return output
        pieces, number = [], -(-rows // self.chunk_size)
        for i in range(number):
            start, stop = (rows * k // number for k in (i, i + 1))  # equal chunks, up to one row
            chunk = [value[start:stop] for value in inputs]
            output = checkpoint(self.module, *chunk, use_reentrant=False, context_fn=self._contexts)
            leaves, tree = flatten(output, is_element)
            _count("the module's outputs", leaves, stop - start)
            pieces.append(leaves)
        return unflatten([_join(parts) for parts in zip(*pieces, strict=True)], tree)

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _StillStatistics(self.module)

    def extra_repr(self) -> str:
        """Show the number of rows."""
        return f"chunk_size={self.chunk_size}"


class _StillStatistics:
    """Keeps the running statistics of norms while a chunk runs again: the first run has updated them."""

    def __init__(self, module: nn.Module) -> None:
        self._norms = norms_with_statistics(module)

    def __enter__(self) -> None:
        self._before = [(norm.momentum, norm.num_batches_tracked) for norm in self._norms]
        for norm in self._norms:
            norm.momentum = 0.0
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked = norm.num_batches_tracked.clone()

    def __exit__(self, *_: object) -> None:
        for norm, (momentum, count) in zip(self._norms, self._before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


def _count(name: str, values: Sequence[Any], expected: int | None = None) -> int:
    """Return the number of rows of tensors and group elements, and check that all have the same number."""
    for value in values:
        if value.ndim == 0 if isinstance(value, Tensor) else not is_element(value):
            raise type_error(name, "tensors (B, ...) or group elements", describe(value))
    counts = {len(value) for value in values} | ({expected} if expected is not None else set())
    if len(counts) != 1:
        raise value_error(name, "the same number of rows in all of them", f"{sorted(counts)}")
    return counts.pop()


def _join(parts: tuple[Any, ...]) -> Any:
    return torch.cat(parts) if isinstance(parts[0], Tensor) else type(parts[0]).cat(list(parts))
