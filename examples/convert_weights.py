"""Write the encoder of any PeCLR checkpoint as a plain torchvision state dict.

python examples/convert_weights.py peclr_rn50_yt3dh_fh.pth encoder.pt

It reads every file that ``equicon.hands.read_encoder`` reads: state dicts of torchvision, Lightning checkpoints of the
official pre-training, and fine-tuned models, the released ones and your own. A ResNet of torchvision loads the result
by ``load_state_dict(..., strict=False)``.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # Ctrl-C during the imports below ends the program without a traceback
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import torch

from equicon.hands import read_encoder
from equicon.training import escape_stdout, interruptible, write_whole


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", metavar="SOURCE", type=Path, help="checkpoint to read; no code in it runs")
    parser.add_argument("target", metavar="TARGET", type=Path, help="file to write; it must not exist yet")
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
