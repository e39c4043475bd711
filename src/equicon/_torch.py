"""Undocumented parts of torch, gathered here so that a new version of torch asks for changes in this file alone."""

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
    """Whether a transform of ``torch.func`` is active, such as ``grad``, ``vmap`` or ``jvp``."""
    return torch._C._are_functorch_transforms_active()


def has_tangent(tensor: Tensor) -> bool:
    """Whether a tensor carries a tangent for forward-mode differentiation."""
    return unpack_dual(tensor).tangent is not None


def norms_with_statistics(module: nn.Module) -> list[_NormBase]:
    """List the submodules that keep running statistics: batch norms and instance norms."""
    return [part for part in module.modules() if isinstance(part, _NormBase)]


def flatten(tree: Any, is_leaf: Callable[[Any], bool]) -> tuple[list[Any], Tree]:
    """Flatten nested tuples, named tuples, lists and dicts into a list. What ``is_leaf`` accepts is not taken apart."""
    return tree_flatten(tree, is_leaf)


def unflatten(leaves: list[Any], tree: Tree) -> Any:
    """Rebuild the nested structure that ``flatten`` took apart."""
    return tree_unflatten(leaves, tree)


def collate_by(kind: type, join: Callable[[Any], Any]) -> None:
    """Register how the ``DataLoader`` joins objects of type ``kind`` that its items hold."""
    default_collate_fn_map[kind] = lambda batch, *, collate_fn_map=None: join(batch)
