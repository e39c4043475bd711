"""What some kinds of device lack, and what the library does there instead."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

NO_AUTOCAST = {"meta"}  # torch.autocast raises
NO_FLOAT64 = {"mps"}
NO_ROUNDING = {"mps"}  # products of float32 matrices are exact there, and no setting changes that
NO_BORDER = {"mps"}  # grid_sample has no padding_mode="border" there before torch 2.13


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Switch autocast off on devices that have it."""
    return nullcontext() if device.type in NO_AUTOCAST else torch.autocast(device.type, enabled=False)


def fast_type(device: torch.device | str) -> torch.dtype:
    """Choose half precision where it is faster than float32. A CPU must have instructions for bfloat16."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    known = torch.cpu.get_capabilities()
    return torch.bfloat16 if kind == "cpu" and (known.get("avx512_bf16") or known.get("amx_bf16")) else torch.float32


def in_float64(tensor: Tensor) -> Tensor:
    """Convert a tensor to float64, and move it to the CPU if its device has no float64."""
    return (tensor.cpu() if tensor.device.type in NO_FLOAT64 else tensor).double()


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Seed the global generators of the CPU and of a device, and restore them afterwards."""
    cuda, mps = device.type == "cuda", device.type == "mps"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        if not mps:
            yield
            return
        state = torch.mps.get_rng_state()  # fork_rng would ask for it by a call that MPS lacks
        torch.mps.manual_seed(seed)
        try:
            yield
        finally:
            torch.mps.set_rng_state(state)
