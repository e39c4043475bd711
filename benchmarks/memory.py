"""Measure the peak of the memory that torch holds. Other benchmarks use it."""

from collections.abc import Callable
from itertools import accumulate
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


def peak_megabytes(work: Callable[[], Any], device: str) -> float:
    """Measure the most memory that torch holds during the work, beyond what it held before.

    The result of the work counts.

    On a CPU, the profiler records every operation. For a loss of 2 × 65,536 embeddings, which takes 65,792 blocks, this
    costs a minute and 6 GB.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        kept = work()
    del kept
    assert found.profiler is not None
    assert found.profiler.kineto_results is not None
    events = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    return max(held, default=0) / 2**20
