"""Write your own transform and filter, and test them against the laws of the library.

python examples/own_transform.py --out runs/own_transform.png        (seconds; needs the core of equicon alone)

A transform draws random parameters, and an ``Action`` keeps them. The geometry of a chain is merged into one warp, and
its colour changes into one colour map, however long the chain is. A change that is neither geometry nor colour is a
``Filter``.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from kornia.io import write_image
from torch import Tensor
from typing_extensions import override

import equicon as eq
from equicon.hands import SyntheticHands
from equicon.testing import assert_transform


@dataclass(frozen=True)
class RandomQuarterTurn(eq.EquivariantTransform):
    """Turn each image by a multiple of 90 degrees."""

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> eq.Action:
        turns = eq.draw.integers(batch_size, 0, 4, generator) * (torch.pi / 2)
        # Counter-clockwise on the screen, in the unit frame: x right, y down.
        linear = torch.stack([turns.cos(), turns.sin(), -turns.sin(), turns.cos()], -1).view(-1, 2, 2)
        return eq.Action(eq.Affine.from_linear(linear))


@dataclass(frozen=True)
class Vignette(eq.Filter):
    """Darken each view towards its corners, with a strength of its own."""

    strength: Tensor  # (B,)

    @override
    def apply(self, views: Tensor, anchor: Tensor | None = None) -> Tensor:
        y, x = (torch.linspace(-1, 1, n, device=views.device, dtype=views.dtype) for n in views.shape[-2:])
        distance = (x.square() + y.square()[:, None]) / 2
        return views * (1 - self.strength.to(views.dtype)[:, None, None, None] * distance)


@dataclass(frozen=True)
class RandomVignette(eq.EquivariantTransform):
    """Darken the corners of each image by a random strength up to ``highest``, in [0, 1]."""

    highest: float = 0.8

    @override
    def _draw(self, batch_size: int, generator: torch.Generator | None) -> eq.Action:
        strength = eq.draw.uniform(batch_size, 0.0, self.highest, generator)
        return eq.Action(eq.Affine.identity(batch_size, device=strength.device), filters=(Vignette(strength),))


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    out = "picture to write (default: runs/own_transform.png)"
    parser.add_argument("--out", type=Path, default=Path("runs/own_transform.png"), metavar="FILE", help=out)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    assert_transform(RandomQuarterTurn())  # points move with pixels, replay, inverse, ...
    assert_transform(RandomVignette(0.3))
    augment = eq.Compose([RandomQuarterTurn(), eq.RandomScale((0.8, 1.2)), eq.RandomApply(RandomVignette(), p=0.7)])
    images = SyntheticHands(6, size=96).render(range(6)).image
    action = augment.sample(6, generator=torch.Generator().manual_seed(0))
    views = action(images)
    rows = torch.cat([images / 255, views, action.affine.inverse().warp(views)], 2)  # image, view, mapped back
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_image(args.out, (torch.cat(list(rows), 2).clamp(0, 1) * 255).round().to(torch.uint8))
    print(f"Both obey the laws. See {args.out}: images, their views, and the views mapped back.")


if __name__ == "__main__":
    main()
