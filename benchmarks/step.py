"""Measure the time of views, encoder, loss and optimizer in a training step, with the images on the device.

python benchmarks/step.py        (ResNet-18s at 64 × 64 on a CPU, ResNet-50 at 128 × 128 on a GPU if there is one)
"""

import argparse
import statistics
from collections.abc import Sequence
from datetime import date
from typing import Any

import torch
from torch import nn

import equicon as eq
from equicon.recipes import build_encoder, make_head, parse_pretrain_args
from equicon.training import PRECISIONS, Stopwatch, parameter_groups

WARM_UP = 3
QUARTER = "quarter_resnet18"  # the encoder of the demo
PARTS = ("views", "encoder", "loss", "optimizer")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="steps to take the median of (default: 20)")
    return parser.parse_args(argv)


def measure(
    device: str, arch: str, side: int, source: int, batch: int, steps: int, goal: int | None, precision: str = "auto"
) -> float:
    """Time the parts of steps, and print the median of each. Give how many images a second the encoder takes."""
    given = ["--recipe", "quick", "--arch", arch, "--size", str(side), "--batch-size", str(batch), "--device", device]
    args = parse_pretrain_args("", [*given, "--precision", precision])
    dtype = PRECISIONS[args.precision]
    torch.manual_seed(0)
    encoder, width = build_encoder(arch, "none")
    model = (
        nn.Sequential(encoder, make_head(width, args.hidden, args.points))
        .to(device)
        .to(memory_format=torch.channels_last)
    )
    optimizer = torch.optim.Adam(parameter_groups(model, args.weight_decay), args.lr, fused=True)
    criterion = eq.PeCLRLoss(args.temperature)
    augment = eq.Compose([eq.presets.peclr(), eq.Normalize.imagenet()])
    images = torch.randint(0, 256, (batch, 3, source, source), dtype=torch.uint8, device=device)
    written: dict[str, Any] = {"size": (side, side), "dtype": dtype, "memory_format": torch.channels_last}
    written["frame"] = eq.Affine.identity(batch, device=device)
    watch, spent = Stopwatch(torch.device(device)), []
    for _ in range(WARM_UP + steps):
        x1, g1 = augment(images, **written)
        x2, g2 = augment(images, **written)
        watch.mark("views")
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            z1, z2 = model(torch.cat([x1, x2])).chunk(2)
        watch.mark("encoder")
        left, right = (z.detach().requires_grad_() for z in (z1, z2))  # to time backward of the loss alone
        criterion(left, right, g1, g2).backward()
        watch.mark("loss")
        torch.autograd.backward([z1, z2], [left.grad, right.grad])
        watch.mark("encoder")
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        watch.mark("optimizer")
        spent.append(watch.seconds())
    medians = {part: 1e3 * statistics.median(one[part] for one in spent[WARM_UP:]) for part in PARTS}
    whole = sum(medians.values())
    print(
        f"\n{arch} on {device}, {args.precision}, {batch} images of {source} × {source} seen twice at {side} × {side}"
    )
    for part, ms in medians.items():
        print(f"{part:10s}{ms:9.2f} ms{100 * ms / whole:7.1f} %")
    share = 100 * (medians["views"] + medians["loss"]) / whole
    wanted = "" if goal is None else f" (goal: at most {goal} %)"
    print(f"views and loss: {share:.1f} % of a step{wanted}")
    return 2 * batch / medians["encoder"] * 1e3


def main(argv: Sequence[str] | None = None) -> None:
    steps = parse_args(argv).steps
    print(f"{date.today()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    measure("cpu", "resnet18", side=64, source=64, batch=32, steps=steps, goal=15)
    speeds = {
        precision: measure("cpu", QUARTER, side=64, source=128, batch=64, steps=steps, goal=None, precision=precision)
        for precision in ("bfloat16", "float32")
    }
    fast, plain = speeds.values()
    print(
        f"images a second, forward and backward: {fast:,.0f} in bfloat16, {plain:,.0f} in float32, {fast / plain:.2f} ×"
    )
    if torch.cuda.is_available():
        print(torch.cuda.get_device_name())
        measure("cuda", "resnet50", side=128, source=224, batch=128, steps=steps, goal=5)


if __name__ == "__main__":
    main()
