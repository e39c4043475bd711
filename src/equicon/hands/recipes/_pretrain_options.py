"""The options of ``pretrain_freihand.py``, and the two recipes that they start from."""

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import equicon as eq
from equicon.training._backbone import ARCHS
from equicon.training._options import (
    PRECISIONS,
    Help,
    add_figure,
    check_begun,
    check_device,
    fast_precision,
    number,
    read_arguments,
    whole,
)

METHODS: dict[str, eq.Representation[Any]] = {"peclr": eq.PeCLRPoints(), "exact": eq.Points(), "simclr": eq.Invariant()}
RENDERED = ("synthetic", "stream")

# "paper" is the configuration that was released with PeCLR (Spurr et al., ICCV 2021, arXiv 2106.05953). It wraps Adam
# in LARS as lightning-bolts had it: a tensor's gradient is shortened to 0.02 · |weights| / lr where it is longer. At
# this learning rate that is 4.4 times the length of the weights themselves, which gradients do not reach. So Adam alone
# does the same; no library that is kept up wraps Adam in LARS.
RECIPES: dict[str, dict[str, Any]] = {
    "quick": {
        "arch": "resnet18",
        "weights": "none",
        "size": 64,
        "batch_size": 32,
        "accumulate": 1,
        "epochs": 3.0,
        "lr": 1e-3,
        "workers": 0,
    },
    "paper": {
        "arch": "resnet50",
        "weights": "imagenet",
        "size": 128,
        "batch_size": 128,
        "accumulate": 16,
        "epochs": 100.0,
        "lr": 1e-4 * math.sqrt(128 * 16),
        "workers": min(8, os.cpu_count() or 1),
    },
}
# What may change when a run is resumed; the rest would make it another run.
FREE = {
    "boxes", "data", "device", "keep", "lr", "micro_batch", "out", "picture_every", "probe_every", "resume",
    "save_every", "skip_corrupt", "weights", "workers",
}  # fmt: skip


def parse_args(description: str, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line: what is not given comes from the run that is resumed, or from the recipe."""
    parser = _parser(description)
    wanted = parser.parse_args(argv)
    begun = _begun(wanted.out) if wanted.resume else {}
    data = wanted.data or begun.get("data") or ["synthetic"]
    recipe = wanted.recipe or ("quick" if is_rendered(data) else "paper")
    parser.set_defaults(**(RECIPES[recipe] | begun | {"data": None}))  # a default would be appended to
    args = parser.parse_args(argv)
    args.data = data
    check_begun(parser, args, begun, FREE)
    if wrong := _wrong_data(args):
        parser.error(wrong)
    if args.holdout >= 1:
        parser.error(f"--holdout: expected a share in [0, 1), got {args.holdout:g}.")
    if args.margin[0] > args.margin[1]:
        parser.error(f"--margin: expected LOW <= HIGH, got {args.margin[0]:g} {args.margin[1]:g}.")
    check_device(parser, args.device)
    if args.precision == "auto":  # written down, so that it is the same where the run is resumed
        args.precision = fast_precision(args.device)
    return args


def _wrong_data(args: argparse.Namespace) -> str:
    """Say which options of the data do not go together, if any do not."""
    data, weights = args.data, args.data_weights
    rendered = [name for name in data if name in RENDERED]
    if rendered and len(data) > 1:
        return f"--data: '{rendered[0]}' stands alone, got {', '.join(data)}."
    if sum(map(is_freihand, data)) > 1:
        return f"--data: expected FreiHAND once, for the probes are of its samples, got {', '.join(data)}."
    if weights and len(data) == 1:
        return "--data-weights: one data set has nothing to be weighed against. Give --data for each."
    if weights and len(weights) != len(data):
        return f"--data-weights: expected {len(data)} numbers, one for each --data, got {len(weights)}."
    plain = [name for name in data if name not in RENDERED and not is_freihand(name) and not is_youtube(name)]
    if args.boxes and len(plain) != 1:
        known = (
            "; FreiHAND, YouTube3DHands and rendered hands have their own" if not plain else ", and only one of them"
        )
        return f"--boxes: only a folder of unlabelled images takes it{known}."
    return ""


def is_rendered(data: Sequence[str]) -> bool:
    """Tell hands that are rendered, which come alone, from what is on disk."""
    return data[0] in RENDERED


def is_freihand(data: str) -> bool:
    """Tell a FreiHAND root from another folder of images."""
    return (Path(data) / "training").is_dir()


def is_youtube(data: str) -> bool:
    """Tell a YouTube3DHands root from another folder of images."""
    return (Path(data) / "youtube_train.json").is_file()


def _begun(out: Path) -> dict[str, Any]:
    begun = read_arguments(out)
    if isinstance(begun.get("data"), str):  # there was one, before there could be several
        begun["data"] = [begun["data"]]
    return begun


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=Help, allow_abbrev=False)

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
        help="of the images seen, for each --data; not given: each image once an epoch",
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
    data.add_argument("--hands", type=whole(1), default=4096, help="hands to render; of 'stream', those of an epoch")
    data.add_argument(
        "--skip-corrupt", action="store_true", help="go on without images that cannot be read; names them"
    )
    data.add_argument(
        "--holdout",
        type=number(),
        default=0.1,
        help="share of FreiHAND's samples kept for the probes; 0: learn from all",
    )
    add_figure(data, "--workers", RECIPES, type=whole(0), help="processes that read images")

    network = parser.add_argument_group("network")
    add_figure(
        network, "--arch", RECIPES, choices=ARCHS, metavar="NAME", help=f"a torchvision ResNet: {', '.join(ARCHS)}"
    )
    add_figure(
        network,
        "--weights",
        RECIPES,
        help="to begin with: 'none' (random), 'imagenet' (torchvision's, which it downloads), or a file of an encoder",
    )
    network.add_argument("--hidden", type=whole(1), default=512, help="width of the projection head's hidden layer")
    network.add_argument("--points", type=whole(1), default=64, help="points (x, y) of the embedding")

    views = parser.add_argument_group("views")
    add_figure(views, "--size", RECIPES, type=whole(8), help="side of the views [pixels]")
    views.add_argument(
        "--margin",
        type=number(above=0.0),
        nargs=2,
        metavar=("LOW", "HIGH"),
        default=[0.9, 1.5],
        help="half-side of the crop over the distance from the joints' mean to the farthest; or over a box or picture",
    )
    views.add_argument("--degrees", type=number(), default=45.0, help="rotation to either side, at most [degrees]")
    views.add_argument(
        "--translate", type=number(), default=15 / 128, help="shift to either side, at most [share of the view's side]"
    )
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
        help="where what is named (quick: ..., paper: ...) comes from; not given: quick on rendered hands, else paper",
    )
    how = "how a transform acts on the embedding: as published, exactly, not at all"
    training.add_argument("--method", default="peclr", choices=METHODS, help=how)
    training.add_argument("--temperature", type=number(above=0.0), default=0.5, help="of NT-Xent")
    batch = "images that a loss compares, on all ranks together; each is seen twice"
    add_figure(training, "--batch-size", RECIPES, type=whole(2), help=batch)
    micro = (
        "images that a rank puts through the network at a time, for the gradients of the whole batch; all if not given"
    )
    training.add_argument("--micro-batch", type=whole(1), help=micro)
    add_figure(training, "--accumulate", RECIPES, type=whole(1), help="batches whose gradients make a step")
    add_figure(training, "--epochs", RECIPES, type=number(above=0.0), help="passes over the unlabelled images")
    training.add_argument(
        "--warmup",
        type=number(),
        default=0.1,
        help="share of the run in which the learning rate rises, then a cosine",
    )
    lr = "learning rate of Adam at its highest; the paper's grows as the root of the images that make a step"
    add_figure(training, "--lr", RECIPES, type=number(above=0.0), help=lr)
    training.add_argument(
        "--weight-decay", type=number(), default=1e-6, help="L2 penalty on weights, not on biases and norms"
    )
    training.add_argument("--seed", type=whole(0), default=0, help="of everything random")
    training.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="where to train")
    training.add_argument(
        "--precision",
        default="auto",
        choices=["auto", *PRECISIONS],
        help="of the network; auto is bfloat16 where that is fast, else float16 on a GPU and float32 elsewhere",
    )

    run = parser.add_argument_group("run")
    run.add_argument("--out", type=Path, default=Path("runs/pretrain"), help="folder for the results")
    run.add_argument("--resume", action="store_true", help="go on with the run in --out, if there is one")
    run.add_argument("--save-every", type=number(above=0.0), default=1.0, help="between checkpoints [epochs]")
    run.add_argument("--keep", type=whole(1), default=3, help="checkpoints to keep")
    run.add_argument("--picture-every", type=number(above=0.0), default=1.0, help="between pictures of views [epochs]")
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
