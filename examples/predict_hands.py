"""Find the joints of hands in your own pictures, with the model that comes with the package, and draw them.

python examples/predict_hands.py hand.jpg
python examples/predict_hands.py crops/*.png --side left --out runs/left.png

Each picture should show one hand, which fills at least half of it. The model has seen rendered hands only.
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

need("torchvision", "tqdm", "matplotlib", "safetensors")

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from tqdm import tqdm

from equicon.data import read_rgb
from equicon.hands import JOINT_NAMES, predict
from equicon.recipes import draw_bones
from equicon.training import Help, escape_stdout, interruptible, write_figure


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], formatter_class=Help)
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="pictures, with one hand in each")
    parser.add_argument("--side", choices=["right", "left"], default="right", help="which hands the pictures show")
    parser.add_argument("--out", type=Path, default=Path("runs/joints.png"), metavar="FILE", help="picture to write")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    escape_stdout()
    with interruptible():
        args = parse_args(argv)
        columns = min(4, len(args.pictures))
        rows = -(-len(args.pictures) // columns)
        figure, axes = plt.subplots(rows, columns, figsize=(3 * columns, 3.2 * rows), squeeze=False)
        for axis in axes.flat:
            axis.axis("off")
        for axis, path in zip(axes.flat, tqdm(args.pictures, disable=len(args.pictures) < 8), strict=False):
            try:
                image = read_rgb(path)
                found = predict(image, side=args.side)
            except (OSError, ValueError) as error:
                sys.exit(str(error))
            axis.imshow(image.permute(1, 2, 0).numpy())
            draw_bones(axis, found.xy[0])
            axis.set_title(path.name, fontsize=8)
            tip = found.xy[0, JOINT_NAMES.index("index_tip")].tolist()
            print(f"{path}: the tip of the index finger is at ({tip[0]:.0f}, {tip[1]:.0f})")
        try:
            write_figure(args.out, figure)
        except (OSError, ValueError) as error:  # for example, the suffix is not one of a picture
            sys.exit(f"--out: {args.out} could not be written: {error}.")
        print(f"See {args.out}.")


if __name__ == "__main__":
    main()
