"""Measure how the time of views depends on what they show outside their source: one table for each setting.

On a CPU, it counts the CPU time of this process alone. So other work on the machine does not change the ratios.

python benchmarks/padding.py                              (CPU, and the GPU if there is one; half a minute)
python benchmarks/padding.py --settings 64:224:128 --rounds 51
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from typing import get_args

import torch
from torch import Tensor
from tqdm import tqdm
from views import CHAINS, read_settings
from views import milliseconds as elapsed

import equicon as eq

PADDING: tuple[eq.PaddingMode, ...] = get_args(eq.PaddingMode)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    usual = ["64:224:128", "64:64:64", "16:480:64"]
    return read_settings((__doc__ or "").partition("\n")[0], usual, 25, argv)


def milliseconds(work: Callable[[], Tensor], device: str) -> float:
    if device != "cpu":
        return elapsed(work, device)
    start = time.process_time()
    work()
    return 1e3 * (time.process_time() - start)


def padded(chain: eq.Compose, images: Tensor, size: tuple[int, int], padding_mode: eq.PaddingMode) -> Tensor:
    return chain(images, size=size, padding_mode=padding_mode)[0]


def inside(chain: eq.Compose, images: Tensor, size: tuple[int, int]) -> Tensor:
    action = chain.sample(len(images), device=images.device)
    return action.inside((images.shape[-2], images.shape[-1]), size)(images, size=size)


def measure(setting: str, device: str, rounds: int) -> None:
    batch, source, view = map(int, setting.split(":"))
    size = (view, view)
    stored = torch.randint(0, 256, (batch, 3, source, source), dtype=torch.uint8, device=device)
    print(f"\n{batch} images of {source} × {source} to {view} × {view}, {device}, medians of {rounds}")
    print(f"{'':28s}   zeros ms   × zeros:" + "".join(f"{name:>12s}" for name in (*PADDING[1:], "inside")))
    for name, chain in CHAINS.items():
        for kind, images in (("uint8", stored), ("float", stored.float() / 255)):
            columns: dict[str, Callable[[], Tensor]] = {
                how: partial(padded, chain, images, size, how) for how in PADDING
            } | {"inside": partial(inside, chain, images, size)}
            times: dict[str, list[float]] = {column: [] for column in columns}
            for turn in tqdm(range(rounds + 2), desc=f"{name}, {kind}", leave=False):
                for column, work in columns.items():
                    torch.manual_seed(turn)  # the same views, each time
                    times[column].append(milliseconds(work, device))
            zeros, *others = (found[2:] for found in times.values())  # skip two rounds, which compile and fill caches
            # Take ratios within each round, because the load of the machine changes between rounds.
            ratios = [statistics.median(a / b for a, b in zip(other, zeros, strict=True)) for other in others]
            shown = "".join(f"{ratio:12.2f}" for ratio in ratios)
            print(f"{f'{name}, {kind}':28s}{statistics.median(zeros):11.2f}{'':11s}{shown}")


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    print(f"{date.today()}, {platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for setting in args.settings:
            measure(setting, device, args.rounds)


if __name__ == "__main__":
    main()
