"""Keypoints of anything, and videos, as sources of pre-training."""

import argparse
from copy import copy
from pathlib import Path

import torch

from equicon.data import KeypointDataset, VideoFrames, open_keypoints
from equicon.recipes._opening import MARGIN, beyond, probe_counts, reader
from equicon.recipes._run_data import PretrainData, hold_frames

_STRETCHES = 4  # of a video, which are its groups
_HELD = 4 * 10**9  # bytes of frames, of all videos together, that a process holds in memory


def pretrain_keypoints(args: argparse.Namespace, data: str, _: bool) -> PretrainData:
    """Open keypoints in COCO's or DeepLabCut's layout, of which a share is held out for probes."""
    items = open_keypoints(data, args.size)
    around = MARGIN if items.margin > 1 else 1.0  # whole pictures have nothing around them
    finer = 2 if items.margin == 1 else MARGIN
    items = items.resized(round(finer * args.size), margin=around, padding_mode=beyond(args))
    what = f"items with {len(items.names)} keypoints in {Path(data)}"
    if args.holdout == 0:
        return PretrainData(reader(_by_scene(items), args), len(items), None, what)
    rest, probed = items.split(args.holdout, seed=args.seed)
    fit, test = (_some(part, n, args.seed) for part, n in zip((rest, probed), probe_counts(args), strict=True))
    if len(fit.groups.unique()) == 1:  # one video is left to learn from: its stretches are the groups
        fit.groups = torch.arange(len(fit), device="cpu") * _STRETCHES // len(fit)
    if len(fit) < 5:
        few = f"{len(fit)} items are too few for probes"
        return PretrainData(reader(_by_scene(rest), args), len(rest), None, what, few)
    return PretrainData(reader(_by_scene(rest), args), len(rest), (reader(fit, args), reader(test, args)), what)


def _by_scene(items: KeypointDataset) -> KeypointDataset:
    """Take blocks of one sequence, which serve to hold some out, for one scene: batches come from all of it."""
    if not items.in_blocks:
        return items
    one = copy(items)
    one.groups = torch.zeros_like(items.groups)
    return one


def _some(items: KeypointDataset, count: int, seed: int) -> KeypointDataset:
    chosen = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed), device="cpu")[:count]
    return items.select(chosen.sort().values)


def pretrain_video(args: argparse.Namespace, data: str, quiet: bool) -> PretrainData:
    """Open the frames of a video."""
    frames = VideoFrames(data, 2 * args.size, padding_mode=beyond(args))
    frames.block = -(-len(frames) // _STRETCHES)  # long stretches, since a batch of neighbours would show one pose
    what, fits = f"frames of {Path(data)}", 3 * (2 * args.size) ** 2 * len(frames) <= _HELD / len(args.data)
    # To seek a frame takes much longer than to decode the next one. So a video is decoded once if its frames fit.
    images = reader(frames, args)
    return PretrainData(hold_frames(images, quiet=quiet) if fits else images, len(frames), None, what)
