"""Measure how much views tell about the transform that made them, for several ways to make views.

python benchmarks/leaks.py                                                               (half an hour on one core)
python benchmarks/leaks.py --only zeros reflection --steps 200
python benchmarks/leaks.py --journal runs/leaks.jsonl --figure docs/images/leaks.png     (goes on where it stopped)
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import torch
import torch.nn.functional as F
from matplotlib import pyplot as plt
from torch import Tensor
from tqdm import tqdm

import equicon as eq
from equicon.testing import Leak, Leaks, find_leaks

SIDE = 64
SIZE = (SIDE, SIDE)
# As in the paper: a crop of 0.9 to 1.5 times the hand, turned by up to 45°, shifted by up to 15 of 128 pixels.
GEOMETRY = eq.Compose([eq.RandomScale((1 / 1.5, 1 / 0.9)), eq.RandomRotation(45), eq.RandomTranslate(15 / 128)])
Made = tuple[Tensor, eq.Affine]


def narrow(images: Tensor, g: eq.Affine, padding_mode: Any) -> Made:
    """Cut views from pictures that end at the hand's square, so that views look beyond their edge."""
    return g.warp(images, SIZE, padding_mode=padding_mode), g


def inside(images: Tensor, g: eq.Affine) -> Made:
    """Do the same, but magnify each view until it shows nothing outside."""
    g = g.inside((images.shape[-2], images.shape[-1]), SIZE)
    return g.warp(images, SIZE), g


def middle(g: eq.Affine, width: float) -> eq.Affine:
    """Make the frame that cuts the middle out of pictures that are ``width`` times as wide as the square."""
    return eq.Affine.from_linear(width * torch.eye(2).expand(len(g), 2, 2))


def wide(images: Tensor, g: eq.Affine, width: float) -> Made:
    return (g @ middle(g, width)).warp(images, SIZE), g


def contained(
    images: Tensor, g: eq.Affine, *filters: eq.EquivariantTransform, antialias: bool = True, side: int = SIDE
) -> Made:
    """Cut views from the middle of pictures twice as wide, show nothing outside, and apply filters."""
    frame = middle(g, 2)
    g = g.inside((images.shape[-2], images.shape[-1]), SIZE, frame)
    views = (g @ frame).warp(images, (side, side), antialias=antialias)
    return (eq.Compose(filters)(views)[0] if filters else views), g


def supersampled(images: Tensor, g: eq.Affine, times: int = 4) -> Made:
    """Take ``times`` × ``times`` samples for each pixel of a view, which is the same box filter at every scale."""
    views, g = contained(images, g, antialias=False, side=SIDE * times)
    return F.avg_pool2d(views, times), g


def evened(images: Tensor, g: eq.Affine, *filters: eq.EquivariantTransform, sigma: float = 1.0) -> Made:
    """Blur each view by a different amount, so that all views are equally blurred, by ``sigma`` pixels.

    Bilinear interpolation blurs what it reads by a variance of 1/6 squared pixel. If an image is shrunk by 2^(1/4) or
    more, it is read from a level of the pyramid that adds 1/4.
    """
    views, g = contained(images, g)
    scale = g.linear.det().sqrt()
    variance = torch.where(scale <= 2**-0.25, 1 / 4 + 1 / 6, 1 / 6) * scale.square()
    taps = torch.arange(-5, 6)
    kernel = torch.exp(-taps.square() / (2 * (sigma**2 - variance).clamp(min=1e-6)[:, None]))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(views.shape[1], 0)
    padded = F.pad(views, (5, 5, 5, 5), mode="reflect").flatten(0, 1)[None]
    rows = F.conv2d(padded, kernel[:, None, :, None], groups=len(kernel))
    views = F.conv2d(rows, kernel[:, None, None, :], groups=len(kernel)).reshape(views.shape)
    return (eq.Compose(filters)(views)[0] if filters else views), g


BLUR, NOISE = eq.RandomGaussianBlur(7, (0.5, 1.0), 1.0), eq.RandomGaussianNoise(0.02, 1.0)
SIMCLR = eq.RandomGaussianBlur(7, (0.1, 2.0), 0.5)
# Each way to make views, and the width of its pictures over the width of a view, in pixels.
ROWS: dict[str, tuple[Callable[[Tensor, eq.Affine], Made], int]] = {
    "zeros": (partial(narrow, padding_mode="zeros"), 1),
    "border": (partial(narrow, padding_mode="border"), 1),
    "reflection": (partial(narrow, padding_mode="reflection"), 1),
    "inside": (inside, 1),
    "twice as wide": (partial(wide, width=2), 2),
    "three times": (partial(wide, width=3), 3),
    "twice, inside": (contained, 2),
    "... not anti-aliased": (partial(contained, antialias=False), 2),
    "... sharper source": (contained, 4),
    "... supersampled": (supersampled, 4),
    "... evened": (evened, 2),
    "... blur": (lambda images, g: contained(images, g, BLUR), 2),
    "... SimCLR's blur": (lambda images, g: contained(images, g, SIMCLR), 2),
    "... noise": (lambda images, g: contained(images, g, NOISE), 2),
    "... blur and noise": (lambda images, g: contained(images, g, BLUR, NOISE), 2),
    "... evened and noise": (lambda images, g: evened(images, g, NOISE), 2),
}
FIGURE = ("zeros", "border", "reflection", "twice, inside", "... blur and noise")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    only = f"rows to run (default: all): {', '.join(map(repr, ROWS))}"
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="ROW", default=list(ROWS), help=only)
    steps = "training steps of each network that looks for leaks (default: 800)"
    parser.add_argument("--steps", type=int, default=800, metavar="N", help=steps)
    parser.add_argument("--seed", type=int, default=0, help="seed of pictures, transforms and networks (default: 0)")
    journal = "file that keeps finished rows; they are not run again"
    parser.add_argument("--journal", type=Path, metavar="FILE", help=journal)
    figure = "picture to write, with views of each way and what they tell"
    parser.add_argument("--figure", type=Path, metavar="FILE", help=figure)
    return parser.parse_args(argv)


def make(way: Callable[[Tensor, eq.Affine], Made], images: Tensor) -> Made:
    return way(images, GEOMETRY.sample(len(images)).affine)


def milliseconds(way: Callable[[Tensor, eq.Affine], Made], side: int) -> float:
    """Time how long it takes to make 64 views, without their pictures: the median CPU time of 7 rounds."""
    images, times = torch.rand(64, 3, side, side), []
    for _ in range(8):
        start = time.process_time()
        make(way, images)
        times.append(1e3 * (time.process_time() - start))
    return statistics.median(times[1:])


def run(name: str, steps: int, seed: int) -> dict[str, Any]:
    way, width = ROWS[name]
    source = (width * SIDE, width * SIDE)
    bar = partial(tqdm, desc=name, leave=False, mininterval=1)
    leaks = find_leaks(partial(make, way), source=source, steps=steps, seed=seed, progress=bar)
    return {"row": name, "steps": steps, "seed": seed, "ms": milliseconds(way, source[0]), **leaks._asdict()}


def read(journal: Path | None) -> dict[tuple[str, int, int], dict[str, Any]]:
    if journal is None or not journal.exists():
        return {}
    rows = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    return {(row["row"], row["steps"], row["seed"]): row for row in rows}


def as_leaks(row: dict[str, Any]) -> Leaks:
    return Leaks(*(Leak(*row[name]) for name in Leaks._fields))


def draw(rows: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw six views of one picture for each way, and what a network can tell from such views."""
    names = [name for name in FIGURE if name in rows] or [*rows]
    canvas, axes = plt.subplots(len(names), 7, figsize=(11, 1.55 * len(names)), width_ratios=[*[1] * 6, 2.6])
    for name, line in zip(names, axes.reshape(len(names), 7), strict=True):
        way, width = ROWS[name]
        torch.manual_seed(3)
        f = (torch.fft.fftfreq(192)[:, None] ** 2 + torch.fft.rfftfreq(192) ** 2).sqrt().clamp(min=1 / 192)
        picture = torch.fft.irfft2(torch.fft.rfft2(torch.randn(1, 3, 192, 192)) / f, s=(192, 192))
        cut = slice((192 - width * SIDE) // 2, (192 + width * SIDE) // 2)
        picture = (0.5 + 0.2 * picture / picture.std())[..., cut, cut].clamp(0, 1)
        torch.manual_seed(5)
        views = make(way, picture.expand(6, -1, -1, -1))[0].clamp(0, 1)
        for axis, view in zip(line, views, strict=False):
            axis.imshow(view.permute(1, 2, 0).numpy(), interpolation="nearest")
        for axis in line:
            axis.axis("off")
        told = [f"{name.lstrip('. ')}"]
        for quantity, leak in as_leaks(rows[name])._asdict().items():
            told.append(f"{quantity.replace('_', ' ')}: {round(leak.r2, 2) + 0.0:.2f}")
        line[6].text(0, 0.5, "\n".join(told), va="center", fontsize=12)
    canvas.suptitle("Views of one random picture, and how well a network predicts their angle, scale and shift (R²)")
    canvas.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, dpi=65)
    plt.close(canvas)
    print(f"drawn in {path}")


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    done, shown = read(args.journal), {}
    print(f"R² (95 % interval) of views of random pictures, {SIDE} × {SIDE}, {args.steps} steps; ms for 64 views")
    print(f"{'':22}" + "".join(f"{name.replace('_', ' '):22}" for name in Leaks._fields) + "   ms", flush=True)
    for name in args.only:
        key = (name, args.steps, args.seed)
        row = done.get(key) or run(*key)
        if key not in done and args.journal is not None:
            args.journal.parent.mkdir(parents=True, exist_ok=True)
            with args.journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        shown[name] = row
        print(f"{name:22}" + "".join(f"{leak!s:22}" for leak in as_leaks(row)) + f"{row['ms']:5.0f}", flush=True)
    if args.figure:
        draw(shown, args.figure)


if __name__ == "__main__":
    main()
