"""The options of ``finetune_keypoints.py``, and the two recipes that set their defaults."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import torch

from equicon._pretrained.files import is_stored, read_stored
from equicon.keypoints import Head
from equicon.recipes._options import (
    SHARED_FREE,
    add_consistency,
    add_machine,
    add_network,
    add_reading,
    add_recipe,
    add_run,
    add_schedule,
    add_views,
    check_labelled,
    make_parser,
    open_run,
    settle,
)
from equicon.recipes._refining import CLIP_NORM
from equicon.training import Once, add_figure, number, read_arguments, whole

RECIPES: dict[str, dict[str, Any]] = {
    "quick": {
        "arch": "quarter_resnet18",
        "size": 96,
        "batch_size": 32,
        "epochs": 40.0,
        "lr": 3e-3,
        "workers": 0,
        "validate_every": 5.0,
    },
    "full": {
        "arch": "resnet50",
        "size": 256,
        "batch_size": 64,
        "epochs": 140.0,
        "lr": 5e-4,
        "workers": min(8, os.cpu_count() or 1),
        "validate_every": 2.0,
    },
}
OUT = Path("runs/keypoints")
FREE = SHARED_FREE | {"unlabelled", "validate_every"}


def parse_keypoint_args(description: str, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line. Options that are not given come from the resumed run, the weights, or the recipe.

    Args:
        description: The first text of ``--help``.
        argv: The words of the command line. None takes those of the running program.
    """
    parser = _parser(description)
    wanted = parser.parse_args(argv)
    out, begun = open_run(wanted, OUT, "keypoints", several=False)
    recipe = wanted.recipe or ("full" if torch.device(wanted.device).type == "cuda" else "quick")
    parser.set_defaults(**(RECIPES[recipe] | _network_of(wanted.weights) | begun))
    args = parser.parse_args(argv)
    if args.data is None:
        parser.error("--data: expected a folder or a file of labels, got none.")
    args.out = out
    settle(parser, args, begun, FREE)
    check_labelled(parser, args)
    if args.flip > 1:
        parser.error(f"--flip: expected a probability in [0, 1], got {args.flip:g}.")
    return args


def _network_of(weights: str) -> dict[str, Any]:
    """Find out which network weights belong to, from the file or from what pre-training wrote beside it."""
    try:
        about = read_stored(weights).about if is_stored(weights) else read_arguments(Path(weights).parent)
    except (OSError, ValueError):
        return {}  # to build the network from such weights says what is wrong
    known = is_stored(weights) or Path(weights).is_file()
    return {"arch": about["arch"]} if known and isinstance(about.get("arch"), str) else {}


def _parser(description: str) -> argparse.ArgumentParser:
    parser = make_parser(description)
    add_recipe(parser, RECIPES, "quick: small, for a CPU; full: for a GPU. If not given: quick on a CPU, else full")

    data = parser.add_argument_group("data")
    where = "folder with COCO's annotations.json or DeepLabCut's CollectedData*.csv, or one of these files"
    data.add_argument("--data", action=Once, metavar="PATH", help=where)
    fraction = "share of the training items whose labels are used; the number of steps stays the same"
    data.add_argument("--fraction", type=number(above=0.0), default=1.0, metavar="SHARE", help=fraction)
    holdout = "share of the items that validate the model; whole videos, folders or stretches of frames are held out"
    data.add_argument("--holdout", type=number(above=0.0), default=0.1, metavar="SHARE", help=holdout)
    add_reading(data, RECIPES)

    network = add_network(parser, RECIPES)
    network.add_argument(
        "--weights",
        default="none",
        help="weights that the encoder starts from: 'none' (random), 'imagenet' or 'hub' (torchvision or timm "
        "downloads them), a name of equicon.list_pretrained, or a file, such as the encoder.pt of pre-training; --arch "
        "follows from the file",
    )
    head = "heatmap: upsamples the encoder's map; regression: one linear layer on pooled features"
    network.add_argument("--head", choices=get_args(Head), default="heatmap", help=head)

    views = add_views(parser, RECIPES, translate=0.1)
    scale = "range of the size of the box in the view, as a multiple of its usual size"
    views.add_argument(
        "--scale", type=number(above=0.0), nargs=2, metavar=("LOW", "HIGH"), default=[0.75, 1.25], help=scale
    )
    flip = "probability that a view is mirrored; keypoints named left and right change places; 0 if sides are unnamed"
    views.add_argument("--flip", type=number(), default=0.0, metavar="P", help=flip)

    rendered = "hands to render for --unlabelled synthetic, at twice the size of the views"
    add_consistency(parser).add_argument("--hands", type=whole(1), default=8192, metavar="N", help=rendered)

    training = parser.add_argument_group("training")
    batch = "images in a step, on all ranks together"
    add_figure(training, "--batch-size", RECIPES, type=whole(2), metavar="N", help=batch)
    add_schedule(
        training,
        RECIPES,
        epochs="passes over all training items, labelled or not; few items repeat, until a pass has 20 steps",
        lr="highest learning rate of AdamW; lower it if the loss is not finite",
        clip=CLIP_NORM,
    )
    decay = "weight decay of AdamW; biases, norms, positions and tokens have none"
    training.add_argument("--weight-decay", type=number(), default=1e-4, metavar="FACTOR", help=decay)
    add_machine(parser, precise="model")

    run = add_run(parser, out=OUT, keep="newest checkpoints to keep; the best model is kept besides")
    every = "epochs between validations"
    add_figure(run, "--validate-every", RECIPES, type=number(above=0.0), metavar="EPOCHS", help=every)
    return parser
