"""What torch has and does not document, in one place: a new version of torch may ask for changes here alone."""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd.forward_ad import unpack_dual
from torch.nn.modules.batchnorm import _NormBase
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten
from torch.utils.data._utils.collate import default_collate_fn_map

Tree: TypeAlias = TreeSpec
"""How tuples, named tuples, lists and dicts are nested."""


def is_tracing() -> bool:
    """Whether ``torch.jit`` is tracing."""
    return torch._C._get_tracing_state() is not None


def in_function_transform() -> bool:
    """Whether a transform of ``torch.func`` is at work: ``grad``, ``vmap``, ``jvp`` and their like."""
    return torch._C._are_functorch_transforms_active()


def has_tangent(tensor: Tensor) -> bool:
    """Whether a tensor has a derivative in forward mode."""
    return unpack_dual(tensor).tangent is not None


def norms_with_statistics(module: nn.Module) -> list[_NormBase]:
    """List the parts of a module that keep running statistics, batch and instance norms."""
    return [part for part in module.modules() if isinstance(part, _NormBase)]


def flatten(tree: Any, is_leaf: Callable[[Any], bool]) -> tuple[list[Any], Tree]:
    """Take tuples, named tuples, lists and dicts apart, also nested, to what they hold or ``is_leaf`` keeps whole."""
    return tree_flatten(tree, is_leaf)


def unflatten(leaves: list[Any], tree: Tree) -> Any:
    """Put together again what ``flatten`` took apart."""
    return tree_unflatten(leaves, tree)


def collate_by(kind: type, join: Callable[[Any], Any]) -> None:
    """Tell the ``DataLoader`` how to join what its items hold of a kind."""
    default_collate_fn_map[kind] = lambda batch, *, collate_fn_map=None: join(batch)
