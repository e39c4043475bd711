"""Draw a contact sheet of synthetic hands, to see what the examples learn from.

python examples/show_hands.py --domain studio --out runs/hands.png
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torchvision.utils import make_grid, save_image

from equicon.hands import SyntheticHands


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--count", type=int, default=40, help="how many hands")
    parser.add_argument("--columns", type=int, default=10, help="how many to a row")
    parser.add_argument("--size", type=int, default=96, help="side of an image [pixels]")
    parser.add_argument("--domain", choices=["wild", "studio"], default="wild", help="where the hands are")
    parser.add_argument("--seed", type=int, default=0, help="of the data set")
    parser.add_argument("--out", type=Path, default=Path("runs/hands.png"), help="the picture to write")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    hands = SyntheticHands(args.count, size=args.size, seed=args.seed, domain=args.domain).render(range(args.count))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_image(make_grid(hands.image.to(torch.float32) / 255, args.columns, padding=1), args.out)
    print(f"{args.count} hands in {args.out}")


if __name__ == "__main__":
    main()
