"""Turn a SimCLR loop into a PeCLR loop. Only the lines marked "changed" differ.

python examples/simclr_to_peclr.py          (half a minute on a CPU; needs the core of equicon alone)

Both loops train a small network on rendered hands, without labels. Then a linear probe predicts the joints from the
features of each network. The run is so small that it shows how to do it, not how well it works.
"""

import argparse
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

import equicon as eq
from equicon.hands import SyntheticHands
from equicon.probes import Features, format_probes, probe

SIZE = 48


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    hands = "hands to render; the probe uses half of them (default: 1024)"
    parser.add_argument("--hands", type=int, default=1024, metavar="N", help=hands)
    parser.add_argument("--steps", type=int, default=150, metavar="N", help="training steps of a loop (default: 150)")
    batch = "images in a batch; each is seen in two views (default: 64)"
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help=batch)
    return parser.parse_args(argv)


def make_encoder() -> nn.Module:
    widths = (3, 16, 32, 64)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten())


def train_simclr(images: Tensor, steps: int, batch_size: int) -> nn.Module:
    encoder = make_encoder()
    model = nn.Sequential(encoder, nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 64, bias=False))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    augment = eq.Compose([eq.presets.peclr(), eq.Normalize.imagenet()])
    criterion = eq.NTXentLoss(0.5)
    for _ in range(steps):
        batch = images[torch.randint(len(images), (batch_size,))]
        x1, _ = augment(batch)
        x2, _ = augment(batch)
        z1, z2 = model(torch.cat([x1, x2])).chunk(2)
        loss = criterion(z1, z2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return encoder


def train_peclr(images: Tensor, steps: int, batch_size: int) -> nn.Module:
    encoder = make_encoder()
    model = nn.Sequential(encoder, nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 64, bias=False))  # 32 points (x, y)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    augment = eq.Compose([eq.presets.peclr(), eq.Normalize.imagenet()])
    criterion = eq.PeCLRLoss(temperature=0.5)  # changed
    for _ in range(steps):
        batch = images[torch.randint(len(images), (batch_size,))]
        x1, g1 = augment(batch)  # changed: the matrices are kept
        x2, g2 = augment(batch)  # changed
        z1, z2 = model(torch.cat([x1, x2])).chunk(2)
        loss = criterion(z1, z2, g1, g2)  # changed: undoes the transforms on the embeddings, then compares
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return encoder


@torch.no_grad()
def embed(encoder: nn.Module, images: Tensor, xy: Tensor) -> Features:
    views, _ = eq.Normalize.imagenet()(images)
    return Features(encoder.eval()(views), xy)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    hands = SyntheticHands(args.hands, size=SIZE).render(range(args.hands))
    half, quarter = args.hands // 2, args.hands // 4
    found = {}
    for name, train in (("SimCLR", train_simclr), ("PeCLR", train_peclr)):
        torch.manual_seed(0)
        encoder = train(hands.image[:half], args.steps, args.batch_size)
        fitted = embed(encoder, hands.image[half:-quarter], hands.xy[half:-quarter])
        tested = embed(encoder, hands.image[-quarter:], hands.xy[-quarter:])
        found[name] = [probe(fitted, tested, kind="mean"), probe(fitted, tested)]
    print(format_probes(found))


if __name__ == "__main__":
    main()
