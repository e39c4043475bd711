"""Gradient checkpointing: blocks forget their activations, and compute them again for the gradient."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from equicon._checks import describe, type_error
from equicon.backbones._describe import blocks_of


def checkpoint_blocks(module: nn.Module) -> None:
    """Make the blocks of an encoder compute their activations again in the backward pass, in place.

    This needs less memory and about a third more time. Gradients stay the same, as do the statistics of batch norms
    (Chen et al. 2016, arXiv 1604.06174). The state dict keeps its names.

    Args:
        module: An encoder (see ``describe_backbone``). Of any other module, each child with parameters is a block.

    Raises:
        TypeError: If there is no block to checkpoint.

    Examples:
        >>> encoder = build_backbone("quarter_resnet18")
        >>> checkpoint_blocks(encoder)
        >>> encoder(torch.rand(2, 3, 64, 64)).sum().backward()
    """
    modules = dict(module.named_modules())
    names = [name for block in blocks_of(module)[1:] for name in block]  # the stem has nothing below it but images
    parts = [modules[name] for name in names if name in modules and [*modules[name].children()]]
    if not parts:
        raise type_error("module", "an encoder with blocks that are modules", describe(type(module)))
    for part in parts:
        part.forward = partial(_forward, part)


def _forward(part: nn.Module, *args: Any, **options: Any) -> Any:
    """Stand in for ``part.forward``."""
    forward = partial(type(part).forward, part)
    if not torch.is_grad_enabled():
        return forward(*args, **options)
    return checkpoint(forward, *args, use_reentrant=False, context_fn=partial(_contexts, part), **options)


def _contexts(part: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _without_statistics(part)


@contextmanager
def _without_statistics(part: nn.Module) -> Iterator[None]:
    """Let batch norms leave their running statistics as they are, since the forward pass has changed them already."""
    before = [
        (norm, norm.momentum, norm.num_batches_tracked, norm.num_batches_tracked.clone())
        for norm in part.modules()
        if isinstance(norm, _BatchNorm) and norm.num_batches_tracked is not None
    ]
    for norm, *_ in before:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, counter, count in before:
            norm.momentum = momentum
            counter.copy_(count)
