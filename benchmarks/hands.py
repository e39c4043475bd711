"""Measure how fast hands are rendered: images a second by size, context and domain, and the part that the CPU draws.

python benchmarks/hands.py
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch

from equicon.hands import SyntheticHands
from equicon.hands._rendered.domain import DomainName
from equicon.hands._rendered.pictures import draw_pictures
from equicon.hands._rendered.settings import Settings

DOMAINS: tuple[DomainName, ...] = ("studio", "wild")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    sizes = "sides of the images [pixels] (default: 64 128 192 224)"
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 192, 224], metavar="PIXELS", help=sizes)
    contexts = "widths of the images over the width of the hand's square, besides 1 (default: 2 3)"
    parser.add_argument("--contexts", type=float, nargs="*", default=[2.0, 3.0], metavar="RATIO", help=contexts)
    pixels = "pixels in a batch on the CPU, which decide the number of hands (default: 262144)"
    parser.add_argument("--pixels", type=int, default=2**18, metavar="N", help=pixels)
    rounds = "timings of each row; the rows take turns (default: 7)"
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help=rounds)
    return parser.parse_args(argv)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    rows: dict[tuple[str, str, int, float], tuple[int, Callable[[], object]]] = {}
    pictures = [(size, context) for size in args.sizes for context in (1.0, *args.contexts)]
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for side, context in pictures:
            count = max(1, (1 if device == "cpu" else 32) * args.pixels // side**2)
            for domain in DOMAINS:
                hands = SyntheticHands(count, size=round(side / context), domain=domain, context=context)
                rows[device, domain, side, context] = count, partial(hands.render, range(count), device=device)
    clips = Settings(64, 0, "wild", clip=8)
    rows["cpu", "clips of 8 drawn", 64, 1.0] = 256, partial(draw_pictures, range(256), clips)
    rows["cpu", "and in any order", 64, 1.0] = 256, partial(draw_pictures, range(0, 2048, 8), clips)
    rows["cpu", "drawing alone", 64, 1.0] = 256, partial(draw_pictures, range(256), Settings(64, 0, "wild"))
    times: dict[tuple[str, str, int, float], list[float]] = {row: [] for row in rows}
    for _, work in rows.values():
        work()
    for _ in range(args.rounds):
        for row, (_, work) in rows.items():
            times[row].append(seconds(work))

    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, medians of {args.rounds}")
    print("device  what              side  context  images/s")
    for row, (count, _) in rows.items():
        device, what, side, context = row
        print(f"{device:7s} {what:16s} {side:5d} {context:8g} {count / statistics.median(times[row]):9.0f}")


if __name__ == "__main__":
    main()
