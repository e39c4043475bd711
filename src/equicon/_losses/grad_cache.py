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
    """Run a module on a few rows of a batch at a time, and keep the activations of no more than those for the gradient.

    What comes out are the embeddings of the whole batch, for a loss that compares all of them. Its ``backward`` runs
    the module again, chunk by chunk, and each chunk's activations are gone before the next one's are made: gradients
    are those of the whole batch, for one more forward pass. Random numbers are drawn again as they were, from the
    global generators of the CPU and of the inputs' device, so dropout is the same and so are views, if the module
    makes them. Autocast, gradient scalers and accumulation work as ever. Compile the module and not this, and wrap
    this for many ranks: ``DistributedDataParallel(GradCache(torch.compile(model), 128))``. Gradients are reduced once.

    Batch norm sees a chunk, as in a loop over small batches, and not the whole batch; its running statistics move
    once for each chunk. Synchronised, it asks for as many chunks on every rank. What else a module changes while it
    runs, such as the vectors of spectral norm, it changes twice. Without those nothing differs from the whole batch.

    Args:
        module: takes tensors and group elements of B rows, and gives the same, row by row: one, or tuples, named
            tuples, lists and dicts of them, also nested.
        chunk_size: rows at a time, at most. Chunks differ by no more than one row.

    Raises:
        ValueError: if ``chunk_size`` is below 1; when called, if inputs or outputs have not the same number of rows.
        TypeError: if the module is none, or is wrapped for many ranks already; when called, for other inputs and
            outputs.

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
        """Give what the module gives for all rows of the inputs (B, ...)."""
        rows = _count("inputs", inputs)
        if rows <= self.chunk_size:
            output = self.module(*inputs)
            _count("the module's outputs", flatten(output, is_element)[0], rows)
            return output
        pieces, number = [], -(-rows // self.chunk_size)
        for i in range(number):
            start, stop = (rows * k // number for k in (i, i + 1))  # never a small rest
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
    """Keeps running statistics of norms, which have moved already when a chunk is run again."""

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
    """Count the rows of tensors and group elements, which must have as many."""
    for value in values:
        if value.ndim == 0 if isinstance(value, Tensor) else not is_element(value):
            raise type_error(name, "tensors (B, ...) or group elements", describe(value))
    counts = {len(value) for value in values} | ({expected} if expected is not None else set())
    if len(counts) != 1:
        raise value_error(name, "one number of rows, that of the batch", f"{sorted(counts)}")
    return counts.pop()


def _join(parts: tuple[Any, ...]) -> Any:
    return torch.cat(parts) if isinstance(parts[0], Tensor) else type(parts[0]).cat(list(parts))
