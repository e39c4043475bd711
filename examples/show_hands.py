"""Draw many rendered hands in one picture, to see what the examples learn from.

python examples/show_hands.py --domain studio --out runs/hands.png
python examples/show_hands.py --context 3 --scenes 2 --side right --count 12 --columns 4
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # Ctrl-C during the imports below ends the program without a traceback
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

from equicon.training import need

need("torchvision", "tqdm", "matplotlib")

import torch
from torchvision.utils import make_grid, save_image

from equicon.hands import SyntheticHands
from equicon.recipes import render
from equicon.training import Help, escape_stdout, interruptible, whole


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], formatter_class=Help)
    parser.add_argument("--count", type=whole(1), default=40, metavar="N", help="hands to render")
    parser.add_argument("--columns", type=whole(1), default=10, metavar="N", help="hands in a row of the picture")
    size = "side of the square around a hand [pixels]"
    parser.add_argument("--size", type=whole(8), default=96, metavar="PIXELS", help=size)
    where = "studio: plain backgrounds and steady light; wild: anything"
    parser.add_argument("--domain", choices=["wild", "studio"], default="wild", help=where)
    context = "width of an image over the width of the hand's square; above 1, it shows what is around the square"
    parser.add_argument("--context", type=float, default=1.0, metavar="RATIO", help=context)
    scenes = "scenes (person, light, background, camera) that the hands share; if not given, each has its own"
    parser.add_argument("--scenes", type=whole(1), metavar="N", help=scenes)
    clip = "consecutive images that show one hand in motion; 1: each image shows another hand"
    parser.add_argument("--clip", type=whole(1), default=1, metavar="N", help=clip)
    parser.add_argument("--side", choices=["both", "left", "right"], default="both", help="which hands to render")
    seed = "seed of the data set; change it for other hands"
    parser.add_argument("--seed", type=whole(0), default=0, help=seed)
    out = "picture to write"
    parser.add_argument("--out", type=Path, default=Path("runs/hands.png"), metavar="FILE", help=out)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    escape_stdout()
    with interruptible():
        args = parse_args(argv)
        names = ("size", "seed", "domain", "context", "scenes", "clip", "side")
        try:
            source = SyntheticHands(args.count, **{name: getattr(args, name) for name in names})
        except ValueError as error:  # the context is too small
            sys.exit(f"--{error}")
        (hands,) = render(source)
        sheet = make_grid(torch.stack([hand.image / 255 for hand in hands.hands]), args.columns, padding=1)
        try:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            save_image(sheet, args.out)
        except (OSError, ValueError) as error:  # for example, the suffix is not one of a picture
            sys.exit(f"--out: {args.out} could not be written: {error}.")
        print(f"{args.count} hands in {args.out}")


if __name__ == "__main__":
    main()
