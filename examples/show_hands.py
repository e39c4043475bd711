"""Draw a contact sheet of synthetic hands, to see what the examples learn from.

python examples/show_hands.py --domain studio --out runs/hands.png
python examples/show_hands.py --context 3 --scenes 2 --side right --count 12 --columns 4
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # Ctrl-C while all that follows is imported ends it without a traceback
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

from equicon.training import need

need("torchvision", "tqdm", "matplotlib")

import torch
from torchvision.utils import make_grid, save_image

from equicon.hands import SyntheticHands
from equicon.hands.recipes import render
from equicon.training import Help, escape_stdout, interruptible, whole


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], formatter_class=Help)
    parser.add_argument("--count", type=whole(1), default=40, help="how many hands")
    parser.add_argument("--columns", type=whole(1), default=10, help="how many to a row")
    parser.add_argument("--size", type=whole(8), default=96, help="side of the hand's square [pixels]")
    parser.add_argument("--domain", choices=["wild", "studio"], default="wild", help="where the hands are")
    parser.add_argument("--context", type=float, default=1.0, help="width of an image, in hand's squares")
    parser.add_argument("--scenes", type=whole(1), help="how many scenes the hands share (default: one each)")
    parser.add_argument("--clip", type=whole(1), default=1, help="how many in a row show one hand in motion")
    parser.add_argument("--side", choices=["both", "left", "right"], default="both", help="which hands")
    parser.add_argument("--seed", type=whole(0), default=0, help="of the data set")
    parser.add_argument("--out", type=Path, default=Path("runs/hands.png"), help="the picture to write")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    escape_stdout()
    with interruptible():
        args = parse_args(argv)
        names = ("size", "seed", "domain", "context", "scenes", "clip", "side")
        try:
            source = SyntheticHands(args.count, **{name: getattr(args, name) for name in names})
        except ValueError as error:  # too small a context
            sys.exit(f"--{error}")
        (hands,) = render(source)
        sheet = make_grid(torch.stack([hand.image / 255 for hand in hands.hands]), args.columns, padding=1)
        try:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            save_image(sheet, args.out)
        except (OSError, ValueError) as error:  # such as an ending of no kind of picture
            sys.exit(f"--out: {args.out} could not be written: {error}.")
        print(f"{args.count} hands in {args.out}")


if __name__ == "__main__":
    main()
