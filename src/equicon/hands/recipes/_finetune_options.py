"""The options of ``finetune_freihand.py``, and the two recipes that they start from."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from equicon.training._backbone import ARCHS
from equicon.training._options import (
    PRECISIONS,
    Help,
    Once,
    add_figure,
    check_begun,
    check_device,
    fast_precision,
    number,
    read_arguments,
    whole,
)

RECIPES: dict[str, dict[str, Any]] = {
    "quick": {"arch": "resnet18", "size": 64, "batch_size": 32, "epochs": 5.0, "lr": 1e-3, "workers": 0},
    "full": {
        "arch": "resnet50",
        "size": 224,
        "batch_size": 128,
        "epochs": 50.0,
        "lr": 5e-4,
        "workers": min(8, os.cpu_count() or 1),
    },
}
# What may change when a run is resumed; the rest would make it another run.
FREE = {
    "data", "device", "keep", "lr", "out", "resume", "save_every", "skip_corrupt", "validate_every", "weights",
    "workers",
}  # fmt: skip


def parse_args(description: str, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line: what is not given comes from the run that is resumed, or from the recipe."""
    parser = _parser(description)
    wanted = parser.parse_args(argv)
    begun = read_arguments(wanted.out) if wanted.resume else {}
    recipe = wanted.recipe or ("quick" if wanted.data == "synthetic" else "full")
    parser.set_defaults(**(RECIPES[recipe] | begun))
    args = parser.parse_args(argv)
    check_begun(parser, args, begun, FREE)
    if not 0 < args.fraction <= 1:
        parser.error(f"--fraction: expected a share in (0, 1], got {args.fraction:g}.")
    if not 0 < args.holdout < 1:
        parser.error(f"--holdout: expected a share in (0, 1), got {args.holdout:g}.")
    if args.scale[0] > args.scale[1]:
        parser.error(f"--scale: expected LOW <= HIGH, got {args.scale[0]:g} {args.scale[1]:g}.")
    check_device(parser, args.device)
    if args.precision == "auto":  # written down, so that it is the same where the run is resumed
        args.precision = fast_precision(args.device)
    return args


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=Help, allow_abbrev=False)

    data = parser.add_argument_group("data")
    data.add_argument(
        "--data", action=Once, default="synthetic", help="'synthetic' renders --hands hands; or the folder of FreiHAND"
    )
    data.add_argument("--hands", type=whole(1), default=4096, help="hands to render")
    fraction = "share of the hands whose labels are used; a run takes as many steps whatever it is"
    data.add_argument("--fraction", type=number(above=0.0), default=1.0, help=fraction)
    data.add_argument(
        "--holdout",
        type=number(above=0.0),
        default=0.1,
        help="share of the hands to validate on; of FreiHAND, by the same seed, those of pre-training's probes",
    )
    skip = "go on without images that cannot be read; names them"
    data.add_argument("--skip-corrupt", action="store_true", help=skip)
    add_figure(data, "--workers", RECIPES, type=whole(0), help="processes that read images")

    network = parser.add_argument_group("network")
    arch = f"a torchvision ResNet: {', '.join(ARCHS)}"
    add_figure(network, "--arch", RECIPES, choices=ARCHS, metavar="NAME", help=arch)
    network.add_argument(
        "--weights",
        default="none",
        help="of the encoder: 'none' (from scratch), 'imagenet' (torchvision's, which it downloads), or a file: the "
        "encoder.pt of pre-training, or what PeCLR's authors released",
    )

    views = parser.add_argument_group("views")
    add_figure(views, "--size", RECIPES, type=whole(8), help="side of the views [pixels]")
    views.add_argument("--degrees", type=number(), default=45.0, help="rotation to either side, at most [degrees]")
    scale = "of the hand, about 0.7 of the view"
    views.add_argument(
        "--scale", type=number(above=0.0), nargs=2, metavar=("LOW", "HIGH"), default=[0.7, 1.3], help=scale
    )
    translate = "shift to either side, at most [share of the view's side]"
    views.add_argument("--translate", type=number(), default=0.1, help=translate)
    views.add_argument(
        "--jitter",
        type=number(),
        nargs=4,
        metavar=("BRIGHT", "CONTRAST", "SATURATION", "HUE"),
        default=[0.5, 0.1, 0.5, 0.01],
        help="colour: factors of 1 ± the value, and hue [turns]",
    )

    training = parser.add_argument_group("training")
    training.add_argument(
        "--recipe",
        choices=RECIPES,
        help="where what is named (quick: ..., full: ...) comes from; not given: quick on rendered hands, else full",
    )
    training.add_argument(
        "--loss-weights",
        type=number(),
        nargs=3,
        metavar=("2D", "DEPTH", "3D"),
        default=[10.0, 1.0, 0.2],
        help="of the mean absolute errors: joints [half a view]; depth from the palm, joints in space [bone lengths]",
    )
    add_figure(training, "--batch-size", RECIPES, type=whole(2), help="images to a step, on all ranks together")
    add_figure(training, "--epochs", RECIPES, type=number(above=0.0), help="passes over all images, labelled or not")
    warmup = "share of the run in which the learning rate rises, then a cosine"
    training.add_argument("--warmup", type=number(), default=0.1, help=warmup)
    add_figure(training, "--lr", RECIPES, type=number(above=0.0), help="learning rate of AdamW at its highest")
    training.add_argument("--weight-decay", type=number(), default=1e-4, help="of AdamW")
    training.add_argument("--seed", type=whole(0), default=0, help="of everything random")
    training.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="where to train")
    training.add_argument(
        "--precision",
        default="auto",
        choices=["auto", *PRECISIONS],
        help="of the encoder; auto is bfloat16 where that is fast, else float16 on a GPU and float32 elsewhere",
    )

    run = parser.add_argument_group("run")
    run.add_argument("--out", type=Path, default=Path("runs/finetune"), help="folder for the results")
    run.add_argument("--resume", action="store_true", help="go on with the run in --out, if there is one")
    run.add_argument("--save-every", type=number(above=0.0), default=1.0, help="between checkpoints [epochs]")
    run.add_argument("--keep", type=whole(1), default=3, help="checkpoints to keep, beside the best model")
    run.add_argument("--validate-every", type=number(above=0.0), default=1.0, help="between validations [epochs]")
    return parser
