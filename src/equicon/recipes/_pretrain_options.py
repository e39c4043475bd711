"""The options of ``pretrain_freihand.py``, and the recipes that set their defaults."""

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import equicon as eq
from equicon.recipes._dataset_table import SOURCES, is_rendered, source_of
from equicon.recipes._options import (
    SHARED_FREE,
    add_machine,
    add_network,
    add_reading,
    add_recipe,
    add_run,
    add_schedule,
    add_side,
    add_views,
    check_pair,
    make_parser,
    open_run,
    settle,
)
from equicon.recipes._pretrain_parts import METHODS, OPTIMIZERS
from equicon.training import Several, add_figure, number, whole

# "paper" is the configuration that was released with PeCLR (Spurr et al., ICCV 2021, arXiv 2106.05953). The release
# wraps Adam in LARS from lightning-bolts, which shortens the gradient of a tensor to 0.02 · |weights| / lr if it is
# longer. At this learning rate, the limit is 4.4 times the norm of the weights. Gradients do not get so long, so Adam
# alone makes the same steps. No library that is still maintained wraps Adam in LARS.
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
# The paper's size, with settings that taught as much or more on rendered hands (see what_must_not_be_seen.md).
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
    """Parse the command line. Options that are not given come from the resumed run, or from the recipe.

    Args:
        description: The first text of ``--help``.
        argv: The words of the command line. None takes those of the running program.
    """
    parser = _parser(description)
    wanted = parser.parse_args(argv)
    out, begun = open_run(wanted, OUT, "pre-training", several=True)
    data = wanted.data or begun.get("data") or ["synthetic"]
    recipe = wanted.recipe or ("quick" if is_rendered(data) else "paper")
    known = RECIPES[recipe] | {"recipe": recipe} | begun
    parser.set_defaults(**(known | {"data": data}))
    args = parser.parse_args(argv)
    args.out = out
    settle(parser, args, begun, FREE)
    if wrong := _wrong_data(args):
        parser.error(wrong)
    if args.inside and args.padding_mode != "zeros":
        parser.error(
            f"--padding-mode: views with --inside have no padding, got {args.padding_mode}. Add --no-inside to pad."
        )
    if args.context < 1:
        ratio = "the width of a picture over that of the hand's square"
        parser.error(f"--context: expected at least 1, got {args.context:g}. It is {ratio}.")
    if args.holdout >= 1:
        parser.error(f"--holdout: expected a share in [0, 1), got {args.holdout:g}.")
    check_pair(parser, "--margin", args.margin)
    return args


def _wrong_data(args: argparse.Namespace) -> str:
    """Say which options of the data contradict each other; give an empty text if none do."""
    data, weights = args.data, args.data_weights
    sources = [source_of(name) for name in data]
    alone = [source.name for source in sources if source.rendered]
    if alone and len(data) > 1:
        return f"--data: '{alone[0]}' cannot be mixed with other data, got {', '.join(data)}."
    probed = [source.name for source in sources if source.probed]
    if len(probed) > 1:
        return f"--data: expected {probed[0]} once, because the probes use its samples, got {', '.join(data)}."
    if weights and len(data) == 1:
        return "--data-weights: expected several data sets, got one. Give --data for each."
    if weights and len(weights) != len(data):
        return f"--data-weights: expected {len(data)} numbers, one for each --data, got {len(weights)}."
    if args.groups_per_batch:
        if each := [source.name for source in sources if not source.groups]:
            return f"--groups-per-batch: the images of '{each[0]}' have no groups. Leave the option out."
        if alone and not args.scenes:
            return "--scenes: hands that share no scenes have no groups. Give --groups-per-batch 0 too."
        if alone and args.groups_per_batch > args.scenes:
            return f"--groups-per-batch: expected at most {args.scenes} (--scenes), got {args.groups_per_batch}."
        if args.batch_size % args.groups_per_batch:
            wanted = f"a number that divides {args.batch_size} (--batch-size)"
            return f"--groups-per-batch: expected {wanted}, got {args.groups_per_batch}."
    boxed = sum(source.boxes for source in sources)
    if args.boxes and boxed != 1:
        others = ", ".join(source.name for source in SOURCES if not source.boxes and not source.rendered)
        known = "exactly one such folder" if boxed else f"such a folder; {others} and rendered hands have own boxes"
        return f"--boxes: it is for a folder of photographs. Expected {known}."
    return ""


def _parser(description: str) -> argparse.ArgumentParser:
    parser = make_parser(description)

    known = (
        "quick: small, takes minutes on a CPU; paper: the published configuration; equicon: as large as paper, with "
        "views that hide borders, batches from few groups and a lower temperature. If not given: quick on rendered "
        "hands, else paper"
    )
    add_recipe(parser, RECIPES, known)

    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        action=Several,
        help="what to train on: 'synthetic' (the default) renders --hands hands once; 'stream' renders new hands all "
        "the time, on --device; any other value is a folder of FreiHAND, of YouTube3DHands or of photographs. To mix "
        "several folders, give --data for each. YouTube3DHands and photographs have no labels for probes",
    )
    data.add_argument(
        "--data-weights",
        type=number(above=0.0),
        nargs="+",
        metavar="SHARE",
        help="share of each --data in the images of an epoch, in the same order; if not given, each image is seen once "
        "an epoch",
    )
    boxes = 'JSON file of hand boxes in photographs: {"path in the folder": [x0, y0, x1, y1] or several boxes} [pixels]'
    data.add_argument("--boxes", type=Path, metavar="FILE", help=boxes)
    data.add_argument(
        "--mirror-left",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="mirror the left hands of YouTube3DHands to right ones, as PeCLR's authors do",
    )
    add_reading(data, RECIPES)

    rendered = parser.add_argument_group("rendered hands", "Only for --data synthetic and --data stream.")
    hands = "hands to render; with 'stream', the hands in an epoch"
    rendered.add_argument("--hands", type=whole(1), default=2048, metavar="N", help=hands)
    shared = "scenes (person, light, background, camera) that the hands share; 0: each hand has its own"
    rendered.add_argument("--scenes", type=whole(0), default=32, metavar="N", help=shared)
    wide = "width of the picture over the width of the hand's square; above 1, views can show what is around the square"
    rendered.add_argument("--context", type=number(above=0.0), default=2.0, metavar="RATIO", help=wide)
    add_side(rendered)

    network = add_network(parser, RECIPES)
    add_figure(
        network,
        "--weights",
        RECIPES,
        help="weights to start from: 'none' (random), 'imagenet' or 'hub' (torchvision or timm downloads them), a name "
        "of equicon.list_pretrained, or a file that holds an encoder",
    )
    hidden = "width of the projection head's hidden layer"
    network.add_argument("--hidden", type=whole(1), default=512, metavar="N", help=hidden)
    points = "points (x, y) of the embedding, which has two values for each"
    network.add_argument("--points", type=whole(1), default=64, metavar="N", help=points)

    views = add_views(parser, RECIPES, translate=15 / 128)
    views.add_argument(
        "--margin",
        type=number(above=0.0),
        nargs=2,
        metavar=("LOW", "HIGH"),
        default=[0.9, 1.5],
        help="range of the crop's half-side, in multiples of the distance from the joints' mean to the farthest joint; "
        "without joints, of half the box, of half the rendered hand's square, or of half the photograph",
    )
    inside = "magnify each view just enough to show nothing outside its image: then no border gives the transform away"
    add_figure(views, "--inside", RECIPES, action=argparse.BooleanOptionalAction, help=inside)
    outside = (
        "what views show outside their image: black (zeros), its edge pixels (border) or its mirror image "
        "(reflection); the last two need --no-inside"
    )
    add_figure(views, "--padding-mode", RECIPES, choices=get_args(eq.PaddingMode), help=outside)
    blur = (
        "largest standard deviation of a blur that hides how much a view was magnified; the smallest is half of it; "
        "0: no blur"
    )
    add_figure(views, "--blur", RECIPES, type=number(), metavar="PIXELS", help=blur)

    training = parser.add_argument_group("training")
    how = "how a transform acts on the embedding: as published (peclr), exactly (exact), or not at all (simclr)"
    add_figure(training, "--method", RECIPES, choices=METHODS, help=how)
    temperature = "temperature of the NT-Xent loss; lower it if the run reports that the loss is at its floor"
    add_figure(training, "--temperature", RECIPES, type=number(above=0.0), help=temperature)
    batch = "images that one loss compares, on all ranks together; each is seen in two views"
    add_figure(training, "--batch-size", RECIPES, type=whole(2), metavar="N", help=batch)
    groups = "; ".join(f"{source.name}: {source.groups}" for source in SOURCES if source.groups)
    add_figure(
        training,
        "--groups-per-batch",
        RECIPES,
        type=whole(0),
        metavar="N",
        help="draw each batch from N groups, so that its images differ in little but the hand; 0: from all images. "
        f"Groups are, for {groups}. N must divide --batch-size. What remains of the groups makes batches from more "
        "groups",
    )
    more = "batches whose gradients make one step; more imitate a larger batch for the optimizer, but not for the loss"
    add_figure(training, "--accumulate", RECIPES, type=whole(1), metavar="N", help=more)
    micro = (
        "images that a rank passes through the network at a time; give it if the batch does not fit into memory. The "
        "gradient is that of the whole batch, and batch norm sees N images. If not given: all images"
    )
    training.add_argument("--micro-batch", type=whole(1), metavar="N", help=micro)
    add_schedule(
        training,
        RECIPES,
        epochs="passes over the unlabelled images",
        lr="highest learning rate of Adam; the paper's grows as the square root of the number of images in a step",
        clip=0.0,
    )
    adam = "Adam with an L2 penalty, or AdamW, whose decay of weights does not depend on the gradient"
    training.add_argument("--optimizer", choices=OPTIMIZERS, default="adam", help=adam)
    decay = "L2 penalty on weights, or decay of weights; biases, norms, positions and tokens have none"
    training.add_argument("--weight-decay", type=number(), default=1e-6, metavar="FACTOR", help=decay)
    add_machine(parser, precise="network")

    probes = parser.add_argument_group("probes", "Probes measure what the frozen features tell about the joints.")
    held = "share of FreiHAND's samples that are kept for the probes; 0: train on all samples, without probes"
    probes.add_argument("--holdout", type=number(), default=0.1, metavar="SHARE", help=held)
    labels = "labelled hands that the probes learn from, at most; half as many others test them"
    probes.add_argument("--labelled", type=whole(10), default=2000, metavar="N", help=labels)
    every = "epochs between probes; 0: probe only before and after training"
    probes.add_argument("--probe-every", type=number(), default=0.0, metavar="EPOCHS", help=every)
    mlp = "probe with a small network too, which takes about 15 seconds on 2,000 labels"
    add_figure(probes, "--mlp-probe", RECIPES, action=argparse.BooleanOptionalAction, help=mlp)

    run = add_run(parser, out=OUT, keep="newest checkpoints to keep")
    pictures = "epochs between pictures of views in TensorBoard"
    add_figure(run, "--picture-every", RECIPES, type=number(above=0.0), metavar="EPOCHS", help=pictures)
    return parser
