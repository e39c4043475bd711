"""Modules that are in evaluation mode for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(*parts: object) -> Iterator[None]:
    """Put modules in evaluation mode, and each of theirs back in its own mode afterwards. Other objects stay."""
    modes = [(module, module.training) for part in parts if isinstance(part, nn.Module) for module in part.modules()]
    try:
        for part in parts:
            if isinstance(part, nn.Module):
                part.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode  # module by module: a frozen batch norm may have been in evaluation mode before
