"""Use your own loss on the embeddings in the canonical frame, with labels or any other keyword.

python examples/own_loss.py        (seconds; needs the core of equicon alone)

``PeCLRLoss(base_loss=f)`` maps the embeddings back to the canonical frame, and calls ``f(z1, z2, **keywords)`` with the
keywords that you gave it. Here, ``f`` is a supervised contrastive loss (Khosla et al. 2020, arXiv 2004.11362, equation
2). All images with the same label are positives of each other, whatever their rotation is.
"""

import argparse
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import equicon as eq


def supervised_contrastive(z1: Tensor, z2: Tensor, *, labels: Tensor, temperature: float = 0.2) -> Tensor:
    """Compare each view with all others. Views with the same label are positives."""
    z, owner = F.normalize(torch.cat([z1, z2]), dim=1), torch.cat([labels, labels])
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    scores = (z @ z.T / temperature).masked_fill(itself, -torch.inf)
    log_share = (scores - scores.logsumexp(1, keepdim=True)).masked_fill(itself, 0.0)
    positive = (owner[:, None] == owner) & ~itself
    return -((log_share * positive).sum(1) / positive.sum(1)).mean()


def draw_shapes(count: int, size: int = 32) -> tuple[Tensor, Tensor]:
    """Draw bright boxes of three shapes on a dark ground: images (N, 3, size, size) and labels (N,)."""
    labels = torch.arange(count) % 3
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, size)] * 2, indexing="ij")
    wide = torch.tensor([0.7, 0.45, 0.25])[labels][:, None, None]
    inside = (x.abs() < wide) & (y.abs() < 0.2 / wide)
    colors = torch.rand(count, 3, 1, 1) / 2 + 0.5
    return inside[:, None] * colors + 0.1 * torch.rand(count, 3, size, size), labels


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=100, metavar="N", help="training steps (default: 100)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    torch.manual_seed(0)
    images, labels = draw_shapes(240)
    encoder = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2048, 16, bias=False),
    )
    augment = eq.RandomAffine(45, translate=0.1, scale=(0.8, 1.2))
    criterion = eq.PeCLRLoss(representation=eq.Points(), base_loss=supervised_contrastive)
    optimizer = torch.optim.Adam(encoder.parameters(), 1e-3)
    for step in range(args.steps):
        chosen = torch.randint(len(images), (48,))
        (x1, g1), (x2, g2) = augment(images[chosen]), augment(images[chosen])
        loss = criterion(encoder(x1), encoder(x2), g1, g2, labels=labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0 or step == args.steps - 1:
            print(f"step {step}: {loss.item():.3f}")

    with torch.no_grad():
        x, g = augment(images)
        home = F.normalize(eq.Points().canonicalize(g, encoder(x)), dim=1)
    nearest = (home @ home.T).fill_diagonal_(-1).argmax(1)
    print(
        f"the nearest other embedding has the same label in {(labels[nearest] == labels).float().mean():.0%} of cases"
    )

    try:
        criterion(encoder(x), encoder(x), g, g, label=labels)
    except TypeError as error:
        print(f"a keyword that the loss does not take: {error}")


if __name__ == "__main__":
    main()
