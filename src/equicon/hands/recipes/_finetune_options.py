"""The options of ``finetune_freihand.py``, and the two recipes that they start from."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from equicon.hands.recipes._options import (
    SHARED_FREE,
    add_machine,
    add_network,
    add_reading,
    add_run,
    add_schedule,
    add_side,
    add_views,
    check_pair,
    make_parser,
    open_run,
    settle,
)
from equicon.training import Once, add_figure, number, whole

RECIPES: dict[str, dict[str, Any]] = {
    "quick": {
        "arch": "quarter_resnet18",
        "size": 64,
        "batch_size": 64,
        "epochs": 20.0,
        "lr": 1e-3,
        "workers": 0,
        "fraction": 0.1,
        "validate_every": 5.0,
        "baseline": True,
    },
    "full": {
        "arch": "resnet50",
        "size": 224,
        "batch_size": 128,
        "epochs": 50.0,
        "lr": 5e-4,
        "workers": min(8, os.cpu_count() or 1),
        "fraction": 1.0,
        "validate_every": 1.0,
        "baseline": False,
    },
}
OUT = Path("runs/finetune")
FREE = SHARED_FREE | {"validate_every"}


def parse_finetune_args(description: str, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line: what is not given comes from the run that is resumed, or from the recipe.

    Args:
        description: What ``--help`` says first.
        argv: The words; those that the program was started with if None.
    """
    parser = _parser(description)
    wanted = parser.parse_args(argv)
    out, begun = open_run(wanted, OUT, "fine-tuning", several=False)
    recipe = wanted.recipe or ("quick" if wanted.data == "synthetic" else "full")
    parser.set_defaults(**(RECIPES[recipe] | begun))
    args = parser.parse_args(argv)
    args.out = out
    args.baseline &= begun.get("weights", args.weights) != "none"  # when it goes on, as it was begun
    settle(parser, args, begun, FREE)
    if not 0 < args.fraction <= 1:
        parser.error(f"--fraction: expected a share in (0, 1], got {args.fraction:g}.")
    if not 0 < args.holdout < 1:
        parser.error(f"--holdout: expected a share in (0, 1), got {args.holdout:g}.")
    check_pair(parser, "--scale", args.scale)
    return args


def _parser(description: str) -> argparse.ArgumentParser:
    parser = make_parser(description)

    data = parser.add_argument_group("data")
    data.add_argument(
        "--data", action=Once, default="synthetic", help="'synthetic' renders --hands hands; or the folder of FreiHAND"
    )
    data.add_argument("--hands", type=whole(1), default=4096, help="hands to render")
    add_side(data)
    fraction = "share of the hands whose labels are used; a run takes as many steps whatever it is"
    add_figure(data, "--fraction", RECIPES, type=number(above=0.0), help=fraction)
    data.add_argument(
        "--holdout",
        type=number(above=0.0),
        default=0.1,
        help="share of the hands to validate on; of FreiHAND, by the same seed, those of pre-training's probes",
    )
    add_reading(data, RECIPES)

    add_network(parser, RECIPES).add_argument(
        "--weights",
        default="none",
        help="of the encoder: 'none' (from scratch), 'imagenet' (torchvision's, which it downloads), a name of "
        "equicon.list_pretrained, or a file: the encoder.pt of pre-training, or what PeCLR's authors released",
    )

    views = add_views(parser, RECIPES, translate=0.1)
    scale = "size of the hand, times 0.7 of the view"
    views.add_argument(
        "--scale", type=number(above=0.0), nargs=2, metavar=("LOW", "HIGH"), default=[0.7, 1.3], help=scale
    )

    training = parser.add_argument_group("training")
    training.add_argument(
        "--recipe",
        choices=RECIPES,
        help="chooses the defaults that are listed as (quick: ..., full: ...); not given: quick on rendered hands, "
        "else full",
    )
    training.add_argument(
        "--loss-weights",
        type=number(),
        nargs=3,
        metavar=("2D", "DEPTH", "3D"),
        default=[10.0, 1.0, 0.2],
        help="of the mean absolute errors: joints [half a view]; depth from the palm, joints in space [bone lengths]",
    )
    beside = "where --weights are not none: train the same model from random weights beside it, on the same views"
    add_figure(training, "--baseline", RECIPES, action=argparse.BooleanOptionalAction, help=beside)
    add_figure(training, "--batch-size", RECIPES, type=whole(2), help="images to a step, on all ranks together")
    add_schedule(
        training,
        RECIPES,
        epochs="passes over all images, labelled or not",
        lr="learning rate of AdamW at its highest",
    )
    training.add_argument("--weight-decay", type=number(), default=1e-4, help="of AdamW")
    add_machine(training, precise="encoder")

    run = add_run(parser, out=OUT, keep="checkpoints to keep, beside the best model")
    add_figure(run, "--validate-every", RECIPES, type=number(above=0.0), help="between validations [epochs]")
    return parser
