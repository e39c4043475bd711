"""Measure the memory and the time of a ResNet-18 step with ``GradCache``, beside the same step without it.

Each way runs in its own process.

python benchmarks/grad_cache.py        (512 pairs of 64 × 64 on a CPU; needs torchvision)
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date

import torch
import torchvision
from torch import nn

import equicon as eq


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--batch", type=int, default=512, metavar="N", help="pairs of images (default: 512)")
    chunks = "numbers of images to pass through the network at a time; each gives a row (default: 64 16)"
    parser.add_argument("--chunks", type=int, nargs="+", default=[64, 16], metavar="N", help=chunks)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def measure(batch: int, chunk: int) -> str:
    """Run a small step to warm up, then the measured step: its time, and how far it raises the peak of memory."""
    torch.manual_seed(0)
    network = torchvision.models.resnet18(num_classes=128).to(memory_format=torch.channels_last)
    model: nn.Module = eq.GradCache(network, chunk) if chunk < batch else network
    x1, x2 = (torch.rand(batch, 3, 64, 64).to(memory_format=torch.channels_last) for _ in range(2))
    eq.nt_xent(network(x1[:8]), network(x2[:8])).backward()
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    eq.nt_xent(model(x1), model(x2)).backward()
    seconds = time.perf_counter() - start
    megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return f"{chunk if chunk < batch else 'all':>15}{megabytes:12,.0f} MB{seconds:10.1f} s"


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    if args.measure:
        print(measure(args.batch, args.measure))
        return
    print(f"{date.today()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"\nResNet-18, {args.batch} images of 64 × 64 seen twice, float32\nimages at once  peak memory      time")
    for chunk in (args.batch, *args.chunks):
        words = [sys.executable, __file__, "--batch", str(args.batch), "--measure", str(chunk)]
        print(subprocess.run(words, check=True, capture_output=True, text=True).stdout, end="")


if __name__ == "__main__":
    main()
