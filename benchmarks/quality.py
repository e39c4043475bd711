"""Measure how good views look: anti-aliasing against plain sampling and OpenCV, and one resampling against five.

python benchmarks/quality.py
python benchmarks/quality.py --figure docs/images/chain.png
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial, reduce
from pathlib import Path

import cv2
import matplotlib as mpl

mpl.use("Agg")

import torch
import torch.nn.functional as F
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle
from torch import Tensor

import equicon as eq
from equicon.hands import SyntheticHands

CHAIN = [
    eq.RandomRotation(45),
    eq.RandomScale((0.8, 1.2)),
    eq.RandomShear(10),
    eq.RandomTranslate(0.1),
    eq.RandomRotation(45),
]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    figure = "picture to write, of a hand that goes through a chain of transforms and back"
    parser.add_argument("--figure", type=Path, metavar="FILE", help=figure)
    rounds = "timings of each way; the ways take turns (default: 15)"
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help=rounds)
    return parser.parse_args(argv)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def natural(count: int, side: int) -> Tensor:
    """Make noise with the spectrum of natural images, 1 / f."""
    x = torch.randn(count, 3, side, side, generator=generator())
    f = (torch.fft.fftfreq(side)[:, None] ** 2 + torch.fft.rfftfreq(side)[None] ** 2).sqrt().clamp(min=1 / side)
    x = torch.fft.irfft2(torch.fft.rfft2(x) / f, s=(side, side))
    images: Tensor = (x - x.amin()) / (x.amax() - x.amin())
    return images


def psnr(images: Tensor, reference: Tensor, inside: Tensor | None = None) -> float:
    error = (images - reference).square()
    return -10 * (error.mean() if inside is None else error[inside.expand_as(error)].mean()).log10().item()


def interleaved(works: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Time several works in turn, and give the median of each in milliseconds."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds + 1):
        for work, spent in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            spent.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(spent[1:]) for spent in times]


def bare(images: Tensor, theta: Tensor, side: int) -> Tensor:
    return F.grid_sample(
        images, F.affine_grid(theta, [len(images), 3, side, side], align_corners=False), align_corners=False
    )


def antialiasing(rounds: int) -> None:
    """Measure the PSNR of views against 16 × 16 samples for each pixel, and the time of anti-aliasing."""
    images, source = natural(4, 192), 192
    turn = eq.RandomRotation(45).sample(4, generator=generator()).affine
    upright = eq.Affine.identity(4)
    many = torch.rand(64, 3, source, source, generator=generator())
    turns = eq.RandomRotation(45).sample(64, generator=generator()).affine
    theta = turns.inverse().matrix[:, :2]
    print("PSNR [dB] against a 16-fold supersampled reference, 1/f noise; time of 64 turned images of 192 × 192")
    print("         turned by up to 45°        upright                       time of anti-aliased over")
    print("shrink   plain   anti-aliased       plain   anti-aliased   AREA   bare grid_sample   plain")
    for shrink in (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0):
        side = round(source / shrink)
        middle = (..., slice(side // 4, -side // 4), slice(side // 4, -side // 4))
        found = []
        for g in (turn, upright):
            reference = F.avg_pool2d(g.warp(images, (side * 16, side * 16), antialias=False), 16)[middle]
            found += [psnr(g.warp(images, (side, side), antialias=a)[middle], reference) for a in (False, True)]
        area = [
            cv2.resize(image.permute(1, 2, 0).numpy(), (side, side), interpolation=cv2.INTER_AREA) for image in images
        ]
        stacked = torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image in area])
        found.append(psnr(stacked[middle], reference))
        ours, plain, floor = interleaved(
            [
                partial(turns.warp, many, (side, side)),
                partial(turns.warp, many, (side, side), antialias=False),
                partial(bare, many, theta, side),
            ],
            rounds,
        )
        turned, upright_text = (
            f"{found[0]:8.1f} {found[1]:10.1f}",
            f"{found[2]:14.1f} {found[3]:10.1f} {found[4]:10.1f}",
        )
        print(f"{shrink:5.2f} {turned} {upright_text} {ours / floor:15.2f} {ours / plain:11.2f}")


def round_trip(images: Tensor, steps: Sequence[eq.Affine]) -> tuple[Tensor, Tensor]:
    """Resample step by step, and map back in one step. Give the views and the images mapped back."""
    there = reduce(lambda views, g: g.warp(views, antialias=False), steps, images)
    return there, fuse(steps).inverse().warp(there, antialias=False)


def fuse(steps: Sequence[eq.Affine]) -> eq.Affine:
    return reduce(lambda first, second: second @ first, steps)


def chain(figure: Path | None) -> None:
    """Map images there and back, by one fused map and by one map for each transform."""
    hands = SyntheticHands(64, size=128).render(range(64)).image / 255
    print("\nThere and back: PSNR [dB] over the pixels that stayed inside the view, 64 pictures of 128 × 128")
    print("transforms           rendered hands            1/f noise")
    print("                  fused   step by step      fused   step by step")
    for count in range(1, len(CHAIN) + 1):
        steps = [transform.sample(64, generator=generator(k)).affine for k, transform in enumerate(CHAIN[:count])]
        fused = fuse(steps)
        ones = torch.ones(64, 1, 128, 128)
        inside = (round_trip(ones, steps)[1] > 0.999) & (round_trip(ones, [fused])[1] > 0.999)
        shown = [
            psnr(round_trip(images, way)[1], images, inside)
            for images in (hands, natural(64, 128))
            for way in ([fused], steps)
        ]
        print(f"{count:6d} {shown[0]:15.1f} {shown[1]:12.1f} {shown[2]:12.1f} {shown[3]:12.1f}")
    if figure:
        draw(hands, [fused], steps, inside, figure)


def draw(hands: Tensor, fused: Sequence[eq.Affine], steps: Sequence[eq.Affine], inside: Tensor, path: Path) -> None:
    """Draw one hand that goes there and back both ways, with a detail of each picture."""
    index, top, left, side = 17, 44, 44, 40
    ways = [("image", hands)]
    for name, way in (("fused", fused), ("step by step", steps)):
        there, home = round_trip(hands, way)
        one = slice(index, index + 1)
        ways += [(f"{name}: there", there), (f"and back, {psnr(home[one], hands[one], inside[one]):.1f} dB", home)]
    canvas, axes = plt.subplots(2, len(ways), figsize=(2.4 * len(ways), 5))
    for (whole, detail), (name, images) in zip(axes.T, ways, strict=True):
        picture = images[index].permute(1, 2, 0).clamp(0, 1).numpy()
        whole.imshow(picture)
        whole.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor="white"))
        whole.set_title(name)
        detail.imshow(picture[top : top + side, left : left + side], interpolation="nearest")
        for axis in (whole, detail):
            axis.axis("off")
    canvas.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, dpi=90)
    print(f"drawn in {path}")


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    antialiasing(args.rounds)
    chain(args.figure)


if __name__ == "__main__":
    main()
