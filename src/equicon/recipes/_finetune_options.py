"""The options of ``finetune_freihand.py``, and the two recipes that set their defaults."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from equicon.recipes._options import (
    SHARED_FREE,
    add_consistency,
    add_machine,
    add_network,
    add_reading,
    add_recipe,
    add_run,
    add_schedule,
    add_side,
    add_views,
    check_labelled,
    make_parser,
    open_run,
    settle,
)
from equicon.recipes._refining import CLIP_NORM
from equicon.training import Once, add_figure, number, whole

RECIPES: dict[str, dict[str, Any]] = {
    "quick": {
        "arch": "quarter_resnet18",
        "size": 64,
        "batch_size": 64,
        "epochs": 20.0,
        "lr": 3e-3,
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
FREE = SHARED_FREE | {"unlabelled", "validate_every"}


def parse_finetune_args(description: str, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line. Options that are not given come from the resumed run, or from the recipe.

    Args:
        description: The first text of ``--help``.
        argv: The words of the command line. None takes those of the running program.
    """
    parser = _parser(description)
    wanted = parser.parse_args(argv)
    out, begun = open_run(wanted, OUT, "fine-tuning", several=False)
    recipe = wanted.recipe or ("quick" if wanted.data == "synthetic" else "full")
    parser.set_defaults(**(RECIPES[recipe] | begun))
    args = parser.parse_args(argv)
    args.out = out
    args.baseline &= begun.get("weights", args.weights) != "none"  # a resumed run keeps its baseline
    settle(parser, args, begun, FREE)
    check_labelled(parser, args)
    return args


def _parser(description: str) -> argparse.ArgumentParser:
    parser = make_parser(description)

    known = "quick: small, takes minutes on a CPU; full: for FreiHAND. If not given: quick on rendered hands, else full"
    add_recipe(parser, RECIPES, known)

    data = parser.add_argument_group("data")
    where = "what to train on: 'synthetic' renders hands; any other value is the folder of FreiHAND"
    data.add_argument("--data", action=Once, default="synthetic", help=where)
    fraction = "share of the training hands whose labels are used; the number of steps stays the same"
    add_figure(data, "--fraction", RECIPES, type=number(above=0.0), metavar="SHARE", help=fraction)
    data.add_argument(
        "--holdout",
        type=number(above=0.0),
        default=0.1,
        metavar="SHARE",
        help="share of the hands that validate the model and never train it; on FreiHAND, the --holdout and --seed of "
        "pre-training hold out the same hands",
    )
    add_reading(data, RECIPES)

    rendered = parser.add_argument_group("rendered hands", "Only for --data synthetic.")
    rendered.add_argument("--hands", type=whole(1), default=4096, metavar="N", help="hands to render for training")
    add_side(rendered)

    add_network(parser, RECIPES).add_argument(
        "--weights",
        default="none",
        help="weights that the encoder starts from: 'none' (random), 'imagenet' or 'hub' (torchvision or timm has them "
        "on the internet), a name of equicon.list_pretrained, or a file: the encoder.pt of pre-training, or one that "
        "PeCLR's authors released",
    )

    views = add_views(parser, RECIPES, translate=0.1)
    scale = "range of the hand's size, as a multiple of 0.7 of the view's side"
    views.add_argument(
        "--scale", type=number(above=0.0), nargs=2, metavar=("LOW", "HIGH"), default=[0.7, 1.3], help=scale
    )

    add_consistency(parser)

    training = parser.add_argument_group("training")
    batch = "images in a step, on all ranks together"
    add_figure(training, "--batch-size", RECIPES, type=whole(2), metavar="N", help=batch)
    add_schedule(
        training,
        RECIPES,
        epochs="passes over all training images, labelled or not",
        lr="highest learning rate of AdamW; lower it if the loss is not finite",
        clip=CLIP_NORM,
    )
    decay = "weight decay of AdamW; biases, norms, positions and tokens have none"
    training.add_argument("--weight-decay", type=number(), default=1e-4, metavar="FACTOR", help=decay)
    training.add_argument(
        "--loss-weights",
        type=number(),
        nargs=3,
        metavar=("2D", "DEPTH", "3D"),
        default=[10.0, 1.0, 0.2],
        help="weights of the mean absolute errors: of joints in 2D [half a view], of depths relative to the palm and "
        "of joints in space [both in bone lengths]",
    )
    beside = "also train the same model from random weights on the same views, to compare; not if --weights is none"
    add_figure(training, "--baseline", RECIPES, action=argparse.BooleanOptionalAction, help=beside)
    add_machine(parser, precise="encoder")

    run = add_run(parser, out=OUT, keep="newest checkpoints to keep; the best model is kept besides")
    every = "epochs between validations"
    add_figure(run, "--validate-every", RECIPES, type=number(above=0.0), metavar="EPOCHS", help=every)
    return parser
