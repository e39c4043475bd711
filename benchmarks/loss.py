"""Measure the cost of NT-Xent, forward and backward: equicon's (blocks, dense), a plain cross-entropy, and two peers.

python benchmarks/loss.py                                     (on the GPU if there is one; a CPU takes a while)
python benchmarks/loss.py --batches 128,256,512 --rounds 3 --figure loss.png

The peers are lightly and PyTorch Metric Learning (PML): pip install 'equicon[peers]'. Memory is the most that torch
holds at once, beyond the embeddings. It includes what is kept for backward, temporary tensors, and the gradients of the
embeddings, but not memory that libraries allocate without torch. MB and GB are 2^20 and 2^30 bytes.
"""

import argparse
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.update(KINETO_LOG_LEVEL="99", TORCH_CPP_LOG_LEVEL="ERROR")  # the profiler would print a lot

import matplotlib as mpl

mpl.use("Agg")

import torch
import torch.nn.functional as F
from matplotlib import pyplot as plt
from memory import peak_megabytes
from torch import Tensor
from tqdm import tqdm

import equicon as eq

Loss = Callable[[Tensor, Tensor], Tensor]
TEMPERATURE = 0.2
SMALL = 128  # the batch on which the losses are compared, and from which the first costs are extrapolated
ENOUGH = 20  # seconds for a loss at each size, after which it is not timed again
BURST = 200  # milliseconds of a turn: a short pass is timed up to 10 times in it, as the first has cold caches
PACKAGES = {"lightly": "lightly", "PML": "pytorch-metric-learning"}
GROWTH = {"equicon": (2, 1), "PML": (3, 3)}  # time and memory grow with these powers of the batch, else (2, 2)
STYLES = {
    "equicon": "C3o-",
    "equicon dense": "C1s--",
    "dense cross-entropy": "C7d--",
    "lightly": "C0^-",
    "PML": "C2v-",
}


@dataclass(frozen=True)
class Cost:
    """The cost of a forward and backward pass: milliseconds, and megabytes at the peak."""

    ms: float
    mb: float


Table = dict[str, dict[int, Cost]]  # by loss, then by batch


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    sizes = [2**power for power in range(7, 17)]
    pairs = "numbers of pairs to measure, such as 128,256 (default: the powers of 2 from 128 to 65536)"
    parser.add_argument("--batches", type=batches, default=sizes, metavar="N,N", help=pairs)
    parser.add_argument("--width", type=int, default=128, metavar="N", help="width of the embeddings (default: 128)")
    rounds = "timings of each loss; the losses take turns (default: 11)"
    parser.add_argument("--rounds", type=int, default=11, metavar="N", help=rounds)
    device = "device to measure (default: cuda if there is one, else cpu)"
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=default, help=device)
    memory = "skip a loss that needs more memory than this [GB] (default: half of the available memory)"
    parser.add_argument("--max-gb", type=float, metavar="GB", help=memory)
    seconds = "skip a loss that takes longer than this for one pass [seconds] (default: 300)"
    parser.add_argument("--max-seconds", type=float, default=300, metavar="SECONDS", help=seconds)
    parser.add_argument("--figure", type=Path, metavar="FILE", help="picture to write, with the figures of the table")
    return parser.parse_args(argv)


def batches(text: str) -> list[int]:
    return sorted({int(batch) for batch in text.split(",")})


def available_gigabytes(device: str) -> float:
    if device == "cuda":
        return float(torch.cuda.mem_get_info(device)[0]) / 2**30
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():  # not on Linux: take all memory
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) / 2**20


def dense_cross_entropy(z1: Tensor, z2: Tensor) -> Tensor:
    """Compute NT-Xent as a plain cross-entropy over all scores. The class is the place of the partner."""
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    scores = (z @ z.T / TEMPERATURE).fill_diagonal_(-math.inf)
    return F.cross_entropy(scores, torch.arange(len(z), device=z.device).roll(len(z1)))


def make_losses() -> dict[str, Loss]:
    """Collect the losses. Peers that are not installed are left out."""
    losses: dict[str, Loss] = {
        "equicon": lambda z1, z2: eq.nt_xent(z1, z2, TEMPERATURE),
        "equicon dense": lambda z1, z2: eq.nt_xent(z1, z2, TEMPERATURE, chunk_size=2 * len(z1)),
        "dense cross-entropy": dense_cross_entropy,
    }
    try:
        losses["lightly"] = import_module("lightly.loss").NTXentLoss(TEMPERATURE)
    except ImportError as error:
        print(f"lightly is left out ({error}): pip install 'equicon[peers]'")
    try:
        peer = import_module("pytorch_metric_learning.losses")
        losses["PML"] = peer.SelfSupervisedLoss(peer.NTXentLoss(temperature=TEMPERATURE))
    except ImportError as error:
        print(f"PML is left out ({error}): pip install 'equicon[peers]'")
    return losses


def embeddings(batch: int, width: int, device: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, width, generator=generator).to(device).requires_grad_() for _ in range(2)]


def check_agreement(losses: dict[str, Loss], width: int, device: str) -> None:
    """Assert that all losses have the same value and gradient."""
    z = embeddings(SMALL, width, device)
    found = {name: (loss(*z), *torch.autograd.grad(loss(*z), z)) for name, loss in losses.items()}
    for name, values in found.items():
        for value, expected in zip(values, found["equicon"], strict=True):
            error = ((value - expected).norm() / expected.norm()).item()
            assert error < 1e-4, f"{name} differs from equicon by {error:.1e}"


def milliseconds(work: Callable[[], Any], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start)


def profiled(work: Callable[[], Any], device: str) -> Cost:
    times: list[float] = []
    megabytes = peak_megabytes(lambda: times.append(milliseconds(work, device)), device)
    return Cost(times[0], megabytes)


def measure(losses: dict[str, Loss], batch: int, rounds: int, args: argparse.Namespace) -> dict[str, Cost]:
    """Run each loss once to measure its memory and to warm up, and then in turn to measure its time.

    If the first run of a loss takes all of its time, that run is its only timing.
    """
    z = embeddings(batch, args.width, args.device)
    works = {name: lambda loss=loss: torch.autograd.grad(loss(*z), z) for name, loss in losses.items()}
    first: dict[str, Cost] = {}
    times: dict[str, list[float]] = {name: [] for name in losses}
    turns = tqdm([*losses] * (1 + rounds), desc=f"2 × {batch:,}", leave=False)
    for name in turns:
        turns.set_postfix_str(name)
        if name not in first:
            first[name] = profiled(works[name], args.device)
        elif first[name].ms + sum(times[name]) < 1e3 * ENOUGH:
            passes = min(max(round(BURST / min([first[name].ms, *times[name]])), 1), 10)
            times[name] += [milliseconds(works[name], args.device) for _ in range(passes)]
    return {name: Cost(statistics.median(times[name] or [cost.ms]), cost.mb) for name, cost in first.items()}


def too_much(name: str, last: tuple[int, Cost], batch: int, args: argparse.Namespace) -> str:
    """Extrapolate the cost of a loss from its last measured batch. Give the cost if it exceeds a limit, else ""."""
    (measured, cost), (slower, larger) = last, GROWTH.get(name, (2, 2))
    seconds = cost.ms / 1e3 * (batch / measured) ** slower
    gigabytes = cost.mb / 2**10 * (batch / measured) ** larger
    if gigabytes > args.max_gb:
        return f"{gigabytes:,.0f} GB"
    return f"{seconds:,.0f} s" if seconds > args.max_seconds else ""


def short(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def print_line(label: str, costs: Sequence[Cost | None], ratio: str) -> None:
    cells = (short(value) for cost in costs for value in ((cost.ms, cost.mb) if cost else (None, None)))
    print((f"{label:>7s}" + "".join(f"{cell:>10s}" for cell in cells) + f"{ratio:>11s}").rstrip())


def measure_all(losses: dict[str, Loss], args: argparse.Namespace) -> Table:
    """Fill the table. Print each line after it is measured."""
    last = {name: (SMALL, cost) for name, cost in measure(losses, SMALL, 1, args).items()}
    table: Table = {name: {} for name in losses}
    skipped: dict[str, str] = {}
    print(f"\n{'':7s}" + "".join(f"{name:>20s}" for name in losses) + "  lightly /")
    print(f"{'2 ×':>7s}" + f"{'ms':>10s}{'MB':>10s}" * len(losses) + "    equicon")
    for batch in args.batches:
        needs = {name: too_much(name, last[name], batch, args) for name in losses}
        fitting = {name: loss for name, loss in losses.items() if not needs[name]}
        for name, cost in measure(fitting, batch, args.rounds, args).items():
            table[name][batch], last[name] = cost, (batch, cost)
        for name, need in needs.items():
            if need:
                skipped.setdefault(name, f"{name} from 2 × {batch:,} on: would need about {need}")
        print_line(f"{batch:,}", [costs.get(batch) for costs in table.values()], short(ratios(table).get(batch)))
    print_line("growth", [growth(costs) for costs in table.values()], "")
    print("\ngrowth: the power of the batch, fitted from 2,048 on (to the last three sizes if fewer are so large)")
    for note in skipped.values():
        print(note)
    return table


def growth(costs: dict[int, Cost]) -> Cost | None:
    """Fit the powers of the batch with which time and memory grow."""
    large = [batch for batch in costs if batch >= 2048]
    used = large if len(large) >= 3 else list(costs)[-3:]
    if len(used) < 2:
        return None
    x = [math.log2(batch) for batch in used]
    ms, mb = ([math.log2(getattr(costs[batch], what)) for batch in used] for what in ("ms", "mb"))
    return Cost(statistics.linear_regression(x, ms).slope, statistics.linear_regression(x, mb).slope)


def ratios(table: Table) -> dict[int, float]:
    """Divide lightly's time by equicon's time, at each size where both were measured."""
    ours, theirs = table["equicon"], table.get("lightly", {})
    return {batch: theirs[batch].ms / ours[batch].ms for batch in ours if batch in theirs}


def print_goals(table: Table, width: int) -> None:
    if 16384 in table["equicon"]:
        print(f"2 × 16,384 × {width}: {table['equicon'][16384].mb:.0f} MB beyond the inputs (goal: under 400)")
    large = [ratio for batch, ratio in ratios(table).items() if batch >= 1024]
    small = [ratio for batch, ratio in ratios(table).items() if batch < 1024]
    if large:
        print(f"times faster than lightly from 2 × 1,024 on: at least {min(large):.2f} (goal: 2)")
    if small:
        print(f"times faster than lightly below: at least {min(small):.2f} (goal: 1)")


def print_rates(costs: dict[int, Cost], width: int) -> None:
    """Print how near equicon comes to the speed of a matrix product on the GPU, counting 6 N² D operations, N = 2 B."""
    a, b = torch.randn(2, 8192, 8192, device="cuda")
    torch.mm(a, b)
    peak = 2e-9 * 8192**3 / statistics.median(milliseconds(lambda: torch.mm(a, b), "cuda") for _ in range(11))
    print(f"\nequicon, of the {peak:.1f} TFLOP/s of a product of 8192 × 8192 (goal: half)")
    for batch, cost in costs.items():
        rate = 6e-9 * (2 * batch) ** 2 * width / cost.ms
        print(f"2 × {batch:<8,d}{rate:8.2f} TFLOP/s{100 * rate / peak:8.1f} %")


def draw(table: Table, path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    sizes = sorted({batch for costs in table.values() for batch in costs})
    for panel, what, label in zip(axes, ("ms", "mb"), ("forward and backward [ms]", "peak memory [MB]"), strict=True):
        for name, costs in table.items():
            values = [getattr(cost, what) for cost in costs.values()]
            panel.plot(list(costs), values, STYLES[name], label=name, markersize=4.5, linewidth=1.4)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xticks(sizes[:: 1 + len(sizes) // 7], [f"{batch:,}" for batch in sizes[:: 1 + len(sizes) // 7]])
        panel.set(xlabel="batch [pairs]", ylabel=label)
        panel.grid(color="0.9")
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(table), frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    losses = make_losses()
    versions = [f"torch {torch.__version__}", f"equicon {eq.__version__}"]
    versions += [f"{package} {version(package)}" for name, package in PACKAGES.items() if name in losses]
    where = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
    print(f"{date.today()}, {platform.machine()}, {torch.get_num_threads()} threads, {where}, {', '.join(versions)}")
    if args.max_gb is None:
        args.max_gb = available_gigabytes(args.device) / 2
    check_agreement(losses, args.width, args.device)
    medians = f"medians of {args.rounds} turns, or of what {ENOUGH} s allow"
    limits = f"skipped above {args.max_gb:.3g} GB or {args.max_seconds:.3g} s"
    print(f"\nNT-Xent of 2 × B × {args.width}, float32, {medians}; {limits}")
    table = measure_all(losses, args)
    print_goals(table, args.width)
    if args.device == "cuda":
        print_rates(table["equicon"], args.width)
    if args.figure:
        draw(table, args.figure)


if __name__ == "__main__":
    main()
