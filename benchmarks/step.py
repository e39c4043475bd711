"""What views and loss cost beside the encoder, in a step of pre-training as the example does it.

python benchmarks/step.py        (ResNet-18 at 64 × 64 on a CPU, ResNet-50 at 128 × 128 on a GPU where there is one)
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

import equicon as eq

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from journal import Stopwatch
from pretrain_freihand import NORMALIZE, make_head, make_optimizer, make_views, parse_args

PARTS = ("views", "encoder", "loss", "optimizer")


def measure(device: str, arch: str, side: int, source: int, batch: int, steps: int, goal: int) -> None:
    """Time the parts of steps, and print the median of each."""
    given = ["--recipe", "quick", "--arch", arch, "--size", str(side), "--batch-size", str(batch), "--device", device]
    args = parse_args(given)
    dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}[args.precision]
    torch.manual_seed(0)
    encoder = torchvision.models.get_model(arch)
    width = encoder.fc.in_features
    encoder.fc = nn.Identity()
    model = nn.Sequential(encoder, make_head(width, args)).to(device).to(memory_format=torch.channels_last)
    optimizer, criterion = make_optimizer(model, args), eq.PeCLRLoss(args.temperature)
    augment = eq.Compose([make_views(args), NORMALIZE])
    images = torch.randint(0, 256, (batch, 3, source, source), dtype=torch.uint8, device=device)
    written: dict[str, Any] = {"dtype": dtype, "memory_format": torch.channels_last}
    watch, spent = Stopwatch(torch.device(device)), []
    for step in range(steps + 3):
        x1, g1 = augment(images, size=(side, side), **written)
        x2, g2 = augment(images, size=(side, side), **written)
        watch.mark("views")
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            z1, z2 = model(torch.cat([x1, x2])).chunk(2)
        watch.mark("encoder")
        loss = criterion(z1, z2, g1, g2)
        watch.mark("loss")
        loss.backward()
        watch.mark("encoder")
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        watch.mark("optimizer")
        if step >= 3:
            spent.append(watch.seconds())
        else:
            watch.seconds()
    medians = {part: 1e3 * statistics.median(one[part] for one in spent) for part in PARTS}
    whole = sum(medians.values())
    print(
        f"\n{arch} on {device}, {args.precision}, {batch} images of {source} × {source} seen twice at {side} × {side}"
    )
    for part, ms in medians.items():
        print(f"{part:10s}{ms:9.2f} ms{100 * ms / whole:7.1f} %")
    share = 100 * (medians["views"] + medians["loss"]) / whole
    print(f"views and loss: {share:.1f} % of a step (goal: at most {goal} %)")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=20, help="steps to take the median of (default: 20)")
    steps = parser.parse_args(argv).steps
    print(f"{date.today()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    measure("cpu", "resnet18", side=64, source=64, batch=32, steps=steps, goal=15)
    if torch.cuda.is_available():
        print(torch.cuda.get_device_name())
        measure("cuda", "resnet50", side=128, source=224, batch=128, steps=steps, goal=5)


if __name__ == "__main__":
    main()
