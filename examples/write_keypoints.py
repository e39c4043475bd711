"""Write a small project of videos and labels in DeepLabCut's layout, to try the keypoint programs without data.

    python examples/write_keypoints.py --out data/mouse

It shows rendered hands in motion, with six keypoints. The last video is for tests. Files in --out:

    CollectedData.csv        labels of every fifth frame of the other videos
    labeled-data/video0/     these frames, a folder for each video
    videos/video0.mp4        the videos, if PyAV is installed
    test/                    every fifth frame of the last video, with labels, laid out in the same way
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

if __name__ == "__main__":  # Ctrl-C during the imports below ends the program without a traceback
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

from equicon.training import need

need("torchvision", "tqdm", "matplotlib")

import torch

from equicon.data import write_deeplabcut, write_video
from equicon.hands import JOINT_NAMES, SyntheticHands
from equicon.recipes import render
from equicon.training import Help, escape_stdout, interruptible, whole

PICKED = ["wrist", "thumb_tip", "index_tip", "middle_tip", "ring_tip", "little_tip"]
CLIP, EVERY = 24, 5


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], formatter_class=Help)
    parser.add_argument("--videos", type=whole(2), default=5, metavar="N", help="videos; the last one is for tests")
    frames = f"frames of a video; a multiple of {CLIP}, after which another movement begins"
    parser.add_argument("--frames", type=whole(CLIP), default=10 * CLIP, metavar="N", help=frames)
    parser.add_argument("--size", type=whole(16), default=128, metavar="PIXELS", help="side of the frames [pixels]")
    parser.add_argument("--out", type=Path, default=Path("data/mouse"), metavar="FOLDER", help="folder to write to")
    args = parser.parse_args(argv)
    if args.frames % CLIP:
        parser.error(f"--frames: expected a multiple of {CLIP}, got {args.frames}.")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    escape_stdout()
    with interruptible():
        args = parse_args(argv)
        try:
            write(args)
        except (OSError, ValueError) as error:
            sys.exit(f"--out: {error}")


def write(args: argparse.Namespace) -> None:
    source = SyntheticHands(
        args.videos * args.frames, args.size, domain="studio", scenes=args.videos, clip=CLIP, side="right"
    )
    (rendered,) = render(source)
    video = source.groups
    images = torch.stack([hand.image for hand in rendered.hands])
    joints = [JOINT_NAMES.index(name) for name in PICKED]
    xy = torch.stack([hand.xy[joints] for hand in rendered.hands])
    labelled = torch.arange(len(source)) % EVERY == 0
    for folder, chosen in ((args.out, video < args.videos - 1), (args.out / "test", video == args.videos - 1)):
        chosen &= labelled
        visible = torch.full((int(chosen.sum()), len(PICKED)), 2)
        write_deeplabcut(folder, images[chosen], xy[chosen], visible, names=PICKED, groups=video[chosen])
    if find_spec("av"):
        for number in range(args.videos):
            write_video(args.out / "videos" / f"video{number}.mp4", images[video == number], rate=25)
    else:
        print("Without PyAV there are no videos. To write them: pip install 'equicon[video]'")
    print(f"{int(labelled.sum()):,} labelled frames of {args.videos} videos are in {args.out}.")


if __name__ == "__main__":
    main()
