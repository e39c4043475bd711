"""Runs a function on several ranks of a process group on the CPU, in processes of their own."""

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def on_ranks(world: int, function: Callable[..., Any], *args: Any) -> list[Any]:
    """Call ``function(rank, world, *args)`` on each rank and return what it returned, by rank."""
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_start, (world, folder, function, args), nprocs=world)
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(world)]


def _start(rank: int, world: int, folder: str, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world, timeout=timedelta(seconds=60)
    )
    torch.save(function(rank, world, *args), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
