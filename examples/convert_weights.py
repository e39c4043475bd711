"""Write the encoder of any checkpoint of PeCLR as a plain torchvision state dict.

python examples/convert_weights.py peclr_rn50_yt3dh_fh.pth encoder.pt

It reads what ``equicon.hands.read_encoder`` reads: torchvision's state dicts, the official pre-training's Lightning
checkpoints, released and own fine-tuned models. A ResNet takes the result by ``load_state_dict(..., strict=False)``.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # Ctrl-C while all that follows is imported ends it without a traceback
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import torch

from equicon.hands import read_encoder
from equicon.training import escape_stdout, interruptible, write_whole


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", metavar="SOURCE", type=Path, help="the checkpoint; nothing in it runs")
    parser.add_argument("target", metavar="TARGET", type=Path, help="the file to write; it must not exist")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    escape_stdout()
    with interruptible():
        args = parse_args(argv)
        if args.target.exists():
            sys.exit(f"TARGET: {args.target} exists. Remove it, or give another name.")
        try:
            state = read_encoder(args.source)
            write_whole(args.target, lambda file: torch.save(state, file))
        except (OSError, ValueError) as error:
            sys.exit(str(error))
        print(f"{args.target}: {len(state)} tensors")


if __name__ == "__main__":
    main()
