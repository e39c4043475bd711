"""Computation that no setting of the program rounds: not autocast, nor TF32, nor ``set_float32_matmul_precision``.

What a user sets for a network is not meant for geometry, losses and measures. Most of them are sums of products, which
torch leaves alone; what multiplies large matrices does it here.
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
    """Tell what products of float32 matrices are rounded to on a device; nothing where they are not."""
    if device.type in NO_ROUNDING:
        return ""
    backend = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    precision: str = backend.matmul.fp32_precision
    return "" if precision in ("none", "ieee") else precision


@contextmanager
def exact_products() -> Iterator[None]:
    """Leave products of float32 matrices unrounded meanwhile, on every device. Not for a call that is compiled.

    The setting is one for all threads: it is kept for as long as any of them is in here, and put back by the last.
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
            backend.fp32_precision = "none"  # then it is that of all backends, which may be what is wanted
        if backend.fp32_precision != precision:
            backend.fp32_precision = precision


def product(a: Tensor, b: Tensor) -> Tensor:
    """Multiply matrices (n, k) and (k, m), or batches of them (B, n, k) and (B, k, m), of one floating type.

    Autocast is to be switched off around it, and may be on in the backward pass. It can be differentiated twice, by
    ``torch.func`` and in forward mode too.
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
        # Autocast leaves alone what writes to a given tensor.
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


# One step that a compiler leaves alone: it cannot know how the program will be set. Outside of it, it is slow to call.
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
    return da, multiply(grad.mT, a).mT  # in memory as b is, to which it may be added


_compiled.register_autograd(
    lambda ctx, grad: _gradients(ctx, grad, _compiled),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
)
