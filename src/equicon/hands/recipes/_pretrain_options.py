"""The options of ``pretrain_freihand.py``, and the recipes that they start from."""

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import equicon as eq
from equicon.hands.recipes._dataset_table import SOURCES, is_rendered, source_of
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
from equicon.training import add_figure, number, whole

METHODS: dict[str, eq.Representation[Any]] = {"peclr": eq.PeCLRPoints(), "exact": eq.Points(), "simclr": eq.Invariant()}
"""How a transform acts on the embedding, by the name of the method."""

# "paper" is the configuration that was released with PeCLR (Spurr et al., ICCV 2021, arXiv 2106.05953). It wraps Adam
# in LARS as lightning-bolts had it: a tensor's gradient is shortened to 0.02 · |weights| / lr where it is longer. At
# this learning rate that is 4.4 times the length of the weights themselves, which gradients do not reach. So Adam alone
# does the same; no library that is kept up wraps Adam in LARS.
RECIPES: dict[str, dict[str, Any]] = {
    "quick": {
        "arch": "quarter_resnet18",
        "weights": "none",
        "size": 64,
        "inside": True,
        "padding_mode": "zeros",
        "blur": 0.0,
        "method": "exact",
        "temperature": 0.1,
        "batch_size": 64,
        "groups_per_batch": 2,
        "accumulate": 1,
        "epochs": 62.0,
        "lr": 2e-3,
        "picture_every": 10.0,
        "mlp_probe": False,
        "workers": 0,
    },
    "paper": {
        "arch": "resnet50",
        "weights": "imagenet",
        "size": 128,
        "inside": False,
        "padding_mode": "zeros",
        "blur": 0.0,
        "method": "peclr",
        "temperature": 0.5,
        "batch_size": 128,
        "groups_per_batch": 0,
        "accumulate": 16,
        "epochs": 100.0,
        "lr": 1e-4 * math.sqrt(128 * 16),
        "picture_every": 1.0,
        "mlp_probe": True,
        "workers": min(8, os.cpu_count() or 1),
    },
}
# What taught more on rendered hands, or as much (docs/explanation/what_must_not_be_seen.md), at the size of the paper's.
RECIPES["equicon"] = RECIPES["paper"] | {
    "inside": True,
    "blur": 1.0,
    "method": "exact",
    "temperature": 0.1,
    "groups_per_batch": 4,
    "accumulate": 1,
    "lr": 1e-4 * math.sqrt(128),
}
OUT = Path("runs/pretrain")
FREE = SHARED_FREE | {"boxes", "micro_batch", "picture_every", "probe_every"}


def parse_pretrain_args(description: str, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line: what is not given comes from the run that is resumed, or from the recipe.

    Args:
        description: What ``--help`` says first.
        argv: The words; those that the program was started with if None.
    """
    parser = _parser(description)
    wanted = parser.parse_args(argv)
    out, begun = open_run(wanted, OUT, "pre-training", several=True)
    data = wanted.data or begun.get("data") or ["synthetic"]
    recipe = wanted.recipe or ("quick" if is_rendered(data) else "paper")
    known = RECIPES[recipe] | {"recipe": recipe} | begun
    parser.set_defaults(**(known | {"data": None}))  # a default would be appended to
    args = parser.parse_args(argv)
    args.out = out
    args.data = data
    settle(parser, args, begun, FREE)
    if wrong := _wrong_data(args):
        parser.error(wrong)
    if args.inside and args.padding_mode != "zeros":
        parser.error(
            f"--padding-mode: with --inside, views show nothing outside, got {args.padding_mode}. Add --no-inside."
        )
    if args.context < 1:
        parser.error(
            f"--context: expected the width of pictures over the hand's square, at least 1, got {args.context:g}."
        )
    if args.holdout >= 1:
        parser.error(f"--holdout: expected a share in [0, 1), got {args.holdout:g}.")
    check_pair(parser, "--margin", args.margin)
    return args


def _wrong_data(args: argparse.Namespace) -> str:
    """Say which options of the data do not go together, if any do not."""
    data, weights = args.data, args.data_weights
    sources = [source_of(name) for name in data]
    alone = [source.name for source in sources if source.rendered]
    if alone and len(data) > 1:
        return f"--data: '{alone[0]}' stands alone, got {', '.join(data)}."
    probed = [source.name for source in sources if source.probed]
    if len(probed) > 1:
        return f"--data: expected {probed[0]} once, for the probes are of its samples, got {', '.join(data)}."
    if weights and len(data) == 1:
        return "--data-weights: one data set has nothing to be weighed against. Give --data for each."
    if weights and len(weights) != len(data):
        return f"--data-weights: expected {len(data)} numbers, one for each --data, got {len(weights)}."
    if args.groups_per_batch:
        if each := [source.name for source in sources if not source.groups]:
            return f"--groups-per-batch: the images of '{each[0]}' are in no groups. Leave it out."
        if alone and not args.scenes:
            return "--scenes: hands that share none are in no groups. Give --groups-per-batch 0 too."
        if alone and args.groups_per_batch > args.scenes:
            return f"--groups-per-batch: expected at most {args.scenes}, the --scenes, got {args.groups_per_batch}."
        if args.batch_size % args.groups_per_batch:
            wanted = f"a number that divides {args.batch_size}, the --batch-size"
            return f"--groups-per-batch: expected {wanted}, got {args.groups_per_batch}."
    boxed = sum(source.boxes for source in sources)
    if args.boxes and boxed != 1:
        others = ", ".join(source.name for source in SOURCES if not source.boxes and not source.rendered)
        known = ", and only one of them" if boxed else f"; {others} and rendered hands have their own"
        return f"--boxes: only a folder of unlabelled images takes it{known}."
    return ""


def _parser(description: str) -> argparse.ArgumentParser:
    parser = make_parser(description)

    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        action="append",
        help="'synthetic', the default, renders --hands hands once, 'stream' renders new ones for ever, on --device; "
        "or the folder of FreiHAND; or that of YouTube3DHands, or of unlabelled images, where there is nothing to "
        "probe. Several folders, each with its --data, are mixed",
    )
    data.add_argument(
        "--data-weights",
        type=number(above=0.0),
        nargs="+",
        metavar="SHARE",
        help="one for each --data: its share of the images seen; not given: each image once an epoch",
    )
    data.add_argument(
        "--mirror-left",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="mirror the left hands of YouTube3DHands to right ones, as the authors do",
    )
    data.add_argument(
        "--boxes", type=Path, help='for a folder of images: JSON {"path in it": [x0, y0, x1, y1], or several} [pixels]'
    )
    data.add_argument("--hands", type=whole(1), default=2048, help="hands to render; of 'stream', those of an epoch")
    wide = "of hands to render: width of the image over that of the hand's square; views see what is around it"
    data.add_argument("--context", type=number(above=0.0), default=2.0, help=wide)
    shared = "of hands to render: scenes (person, light, background, camera) that they share; 0: each has its own"
    data.add_argument("--scenes", type=whole(0), default=32, help=shared)
    add_side(data)
    data.add_argument(
        "--holdout",
        type=number(),
        default=0.1,
        help="share of FreiHAND's samples kept for the probes; 0: learn from all",
    )
    add_reading(data, RECIPES)

    network = add_network(parser, RECIPES)
    add_figure(
        network,
        "--weights",
        RECIPES,
        help="to begin with: 'none' (random), 'imagenet' (torchvision's, which it downloads), a name of "
        "equicon.list_pretrained, or a file of an encoder",
    )
    network.add_argument("--hidden", type=whole(1), default=512, help="width of the projection head's hidden layer")
    network.add_argument("--points", type=whole(1), default=64, help="points (x, y) of the embedding")

    views = add_views(parser, RECIPES, translate=15 / 128)
    views.add_argument(
        "--margin",
        type=number(above=0.0),
        nargs=2,
        metavar=("LOW", "HIGH"),
        default=[0.9, 1.5],
        help="half-side of the crop over the distance from the joints' mean to the farthest; or over a box or picture",
    )

    outside = "what views show outside of an image: black, its border, or its reflection"
    add_figure(views, "--padding-mode", RECIPES, choices=get_args(eq.PaddingMode), help=outside)
    blur = (
        "largest standard deviation of a blur that hides how much a view was magnified, half of it the least; 0: none"
    )
    add_figure(views, "--blur", RECIPES, type=number(), metavar="PIXELS", help=blur)
    inside = "magnify each view by as little as is needed to show nothing outside of its image"
    add_figure(views, "--inside", RECIPES, action=argparse.BooleanOptionalAction, help=inside)

    training = parser.add_argument_group("training")
    training.add_argument(
        "--recipe",
        choices=RECIPES,
        help="chooses the defaults that are listed as (quick: ..., paper: ..., equicon: ...); not given: quick on "
        "rendered hands, else paper",
    )
    how = "how a transform acts on the embedding: peclr as published, exact exactly, simclr not at all"
    add_figure(training, "--method", RECIPES, choices=METHODS, help=how)
    add_figure(training, "--temperature", RECIPES, type=number(above=0.0), help="of the loss, NT-Xent")
    batch = "images that a loss compares, on all ranks together; each is seen twice"
    add_figure(training, "--batch-size", RECIPES, type=whole(2), help=batch)
    groups = ", ".join(f"{source.groups} of {source.name}" for source in SOURCES if source.groups)
    add_figure(
        training,
        "--groups-per-batch",
        RECIPES,
        type=whole(0),
        metavar="N",
        help=f"draw each batch from N groups ({groups}), so that its images differ in little but the hand; N divides "
        "--batch-size, and what is left over of the groups makes batches of more; 0: any images",
    )
    micro = (
        "images that a rank puts through the network at a time, to save memory; gradients are those of the whole "
        "batch; not given: all"
    )
    training.add_argument("--micro-batch", type=whole(1), help=micro)
    add_figure(training, "--accumulate", RECIPES, type=whole(1), help="batches whose gradients make a step")
    add_schedule(
        training,
        RECIPES,
        epochs="passes over the unlabelled images",
        lr="learning rate of Adam at its highest; the paper's grows as the root of the images that make a step",
    )
    training.add_argument(
        "--weight-decay", type=number(), default=1e-6, help="L2 penalty on weights, not on biases and norms"
    )
    add_machine(training, precise="network")

    run = add_run(parser, out=OUT, keep="checkpoints to keep")
    add_figure(run, "--picture-every", RECIPES, type=number(above=0.0), help="between pictures of views [epochs]")
    mlp = "probe with a small network too, which takes a quarter of a minute on 2,000 labels"
    add_figure(run, "--mlp-probe", RECIPES, action=argparse.BooleanOptionalAction, help=mlp)
    run.add_argument(
        "--probe-every", type=number(), default=0.0, help="between probes [epochs]; 0: first and last only"
    )
    run.add_argument(
        "--labelled",
        type=whole(10),
        default=2000,
        help="labelled hands of the probes, at most; half as many test them",
    )
    return parser
