"""Write your own representations: one that is a formula, and one that learns.

python examples/own_representation.py        (seconds; needs the core of equicon alone)

A representation says how a transform acts on the embedding. In this example, embeddings turn with the picture, by a
rotation that is unknown. ``Learned`` finds it: it maps the matrix of the transform to a rotation of the embedding, and
the loss trains this map like a part of the encoder. Its parameters belong to the criterion. If you move, save or load
the criterion, they come with it.
"""

import argparse
import io
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

import equicon as eq
from equicon.testing import assert_representation

WIDTH = 6


@dataclass(frozen=True)
class Directions(eq.Representation):
    """m directions (x, y), which turn and stretch with the picture but do not shift."""

    @override
    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 1 or shape[0] % 2:
            raise ValueError(f"z: expected embeddings of an even width, got {shape} for each image.")

    @override
    def _act(self, g: eq.Affine, z: Tensor) -> Tensor:
        return (z.view(len(z), -1, 2) @ g.linear.mT).flatten(1)

    @override
    def _canonicalize(self, g: eq.Affine, z: Tensor) -> Tensor:
        return self._act(g.inverse(), z)


class Learned(eq.Representation, nn.Module):
    """Turns the embedding by exp(angle · (W − Wᵀ)), a rotation of its whole space, and learns W."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(width, width))

    @override
    def _act(self, g: eq.Affine, z: Tensor) -> Tensor:
        return turn_by(self.weight, g, z)

    @override
    def _canonicalize(self, g: eq.Affine, z: Tensor) -> Tensor:
        return turn_by(self.weight.mT, g, z)  # the inverse rotation


def turn_by(weight: Tensor, g: eq.Affine, z: Tensor) -> Tensor:
    """Turn embeddings (B, D) by exp(angle · (W − Wᵀ))."""
    angle = torch.deg2rad(g.degrees).to(z.dtype)
    turn = torch.matrix_exp(angle[:, None, None] * (weight - weight.mT).to(z.dtype))
    return (turn @ z[..., None])[..., 0]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=300, metavar="N", help="training steps (default: 300)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    assert_representation(Directions(), width=WIDTH)
    torch.manual_seed(0)
    truth = torch.randn(WIDTH, WIDTH) / WIDTH**0.5
    known = eq.RandomRotation(90)
    criterion = eq.PeCLRLoss(0.2, representation=Learned(WIDTH))
    optimizer = torch.optim.Adam(criterion.parameters(), 0.02)  # add those of your encoder
    losses = []
    for _ in range(args.steps):
        content = torch.randn(64, WIDTH)  # what an ideal encoder would know about each image
        g1, g2 = (known.sample(64).affine for _ in range(2))
        z1, z2 = (turn_by(truth, g, content) for g in (g1, g2))
        loss = criterion(z1, z2, g1, g2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    print(f"loss {losses[0]:.3f} at first, {torch.stack(losses[-20:]).mean():.3f} at the end")

    file = io.BytesIO()
    torch.save(criterion.state_dict(), file)  # as a checkpoint holds it
    file.seek(0)
    again = eq.PeCLRLoss(0.2, representation=Learned(WIDTH))
    again.load_state_dict(torch.load(file, weights_only=True))
    before, after = (c(z1, z2, g1, g2).item() for c in (criterion, again))
    print(f"the loss is {before:.3f}, and {after:.3f} after saving and loading")


if __name__ == "__main__":
    main()
