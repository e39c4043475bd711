"""What a kind of device lacks, in one place, and what is done there instead."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

NO_AUTOCAST = {"meta"}  # torch.autocast raises
NO_FLOAT64 = {"mps"}
NO_ROUNDING = {"mps"}  # of products of float32 matrices: no setting changes them
NO_BORDER = {"mps"}  # of grid_sample's padding modes; from torch 2.13 on it is there


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Switch autocast off, where there is any."""
    return nullcontext() if device.type in NO_AUTOCAST else torch.autocast(device.type, enabled=False)


def fast_type(device: torch.device | str) -> torch.dtype:
    """Choose half precision where it is faster than float32: on a CPU only where it has the instructions."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    known = torch.cpu.get_capabilities()
    return torch.bfloat16 if kind == "cpu" and (known.get("avx512_bf16") or known.get("amx_bf16")) else torch.float32


def in_float64(tensor: Tensor) -> Tensor:
    """Bring a tensor to float64: to the CPU too, where its device has no such type."""
    return (tensor.cpu() if tensor.device.type in NO_FLOAT64 else tensor).double()


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Seed the global generators of the CPU and of a device, and put them back afterwards."""
    cuda, mps = device.type == "cuda", device.type == "mps"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        if not mps:
            yield
            return
        state = torch.mps.get_rng_state()  # which fork_rng asks for in a way that MPS does not know
        torch.mps.manual_seed(seed)
        try:
            yield
        finally:
            torch.mps.set_rng_state(state)
