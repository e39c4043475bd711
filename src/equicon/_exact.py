"""Matrix products in full precision, whatever autocast, TF32 and ``set_float32_matmul_precision`` are set to.

Users choose those settings for their network. Geometry, losses and metrics must not lose precision by them. Most of
that code sums elementwise products, which the settings do not affect. Code that multiplies large matrices does it here.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from equicon._devices import NO_ROUNDING
from equicon._torch import has_tangent, in_function_transform, is_tracing

_BACKENDS = [backend.matmul for backend in (torch.backends.cuda, torch.backends.mkldnn)]
_LOCK = threading.Lock()
_inside = 0
_before: list[str] = []


def rounded_to(device: torch.device) -> str:
    """Return the type that a device rounds products of float32 matrices to, or "" if it does not round them."""
    if device.type in NO_ROUNDING:
        return ""
    backend = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    precision: str = backend.matmul.fp32_precision
    return "" if precision in ("none", "ieee") else precision


@contextmanager
def exact_products() -> Iterator[None]:
    """Keep products of float32 matrices unrounded inside this context, on every device. Compiled code must not use it.

    All threads share the setting. It stays changed while any thread is inside; the last thread to leave restores it.
    """
    global _inside, _before
    with _LOCK:
        if _inside == 0:
            _before = [backend.fp32_precision for backend in _BACKENDS]
            _set(["ieee" if precision not in ("none", "ieee") else precision for precision in _before])
        _inside += 1
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            if _inside == 0:
                _set(_before)


def _set(precisions: list[str]) -> None:
    for backend, precision in zip(_BACKENDS, precisions, strict=True):
        if backend.fp32_precision != precision:
            backend.fp32_precision = "none"  # now the setting for all backends applies, which may be as wanted
        if backend.fp32_precision != precision:
            backend.fp32_precision = precision


def product(a: Tensor, b: Tensor) -> Tensor:
    """Multiply matrices (n, k) and (k, m), or batches of them (B, n, k) and (B, k, m), of one floating type.

    The caller must switch autocast off; during the backward pass it may be on. Second derivatives, ``torch.func`` and
    forward-mode differentiation work.
    """
    if torch.compiler.is_compiling():
        result: Tensor = _compiled(a, b)
    elif is_tracing() or in_function_transform() or has_tangent(a) or has_tangent(b):
        rounded = a.dtype == torch.float32 and rounded_to(a.device)
        result = (a.double() @ b.double()).to(a.dtype) if rounded else a @ b
    else:
        result = _Product.apply(a, b)
    return result


def _multiply(a: Tensor, b: Tensor) -> Tensor:
    out = a.new_empty(*a.shape[:-1], b.shape[-1])
    with exact_products() if a.dtype == torch.float32 and rounded_to(a.device) else nullcontext():
        # Autocast does not touch a product that writes to out=.
        return torch.mm(a, b, out=out) if a.ndim == 2 else torch.bmm(a, b, out=out)


class _Product(torch.autograd.Function):
    """A product whose gradients are exact products too."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return _multiply(a, b)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        return _gradients(ctx, grad, _Product.apply)


# A custom operator, which a compiler does not look into: it cannot know the precision settings that the program will
# run with. Outside compiled code the operator is slow to call.
_compiled = torch.library.custom_op("equicon::product", _multiply, mutates_args=())


@_compiled.register_fake
def _(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(*a.shape[:-1], b.shape[-1])


def _gradients(
    ctx: Any, grad: Tensor, multiply: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor | None, Tensor | None]:
    (a, b), (of_a, of_b) = ctx.saved_tensors, ctx.needs_input_grad
    da = multiply(grad, b.mT) if of_a else None
    if not of_b or b.stride(-1) == 1:
        return da, multiply(a.mT, grad) if of_b else None
    return da, multiply(grad.mT, a).mT  # has the memory layout of b, to which it may be added


_compiled.register_autograd(
    lambda ctx, grad: _gradients(ctx, grad, _compiled),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
)
