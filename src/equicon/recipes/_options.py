"""The options that several training programs share, and their checks."""

import argparse
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias, get_args

import torch

from equicon.backbones._names import check_backbone
from equicon.hands._rendered.settings import Side
from equicon.recipes._opening import same_path
from equicon.training import (
    PRECISIONS,
    Help,
    Several,
    add_figure,
    check_begun,
    check_device,
    choose_out,
    fast_precision,
    number,
    read_arguments,
    whole,
)

Recipes: TypeAlias = Mapping[str, Mapping[str, Any]]
"""The default values, by the name of the recipe and the name of the option."""

SHARED_FREE = frozenset(
    (
        "checkpoint_blocks",
        "data",
        "device",
        "keep",
        "lr",
        "out",
        "resume",
        "save_every",
        "skip_corrupt",
        "workers",
    )
)
"""The options that may change when a run is resumed. Any other change would make it a different run."""


def make_parser(description: str) -> argparse.ArgumentParser:
    """Make a parser whose help shows defaults, and which accepts no abbreviated options."""
    return argparse.ArgumentParser(description=description, formatter_class=Help, allow_abbrev=False)


def add_recipe(parser: argparse.ArgumentParser, recipes: Recipes, what: str) -> None:
    """Add the group of the recipe."""
    group = parser.add_argument_group("recipe", "A recipe sets the defaults that are listed with its name below.")
    group.add_argument("--recipe", choices=recipes, help=what)


def add_reading(data: Any, recipes: Recipes) -> None:
    """Add the options for reading images."""
    skip = "replace an image that cannot be read by the next one, and list such images; by default, the run stops"
    data.add_argument("--skip-corrupt", action="store_true", help=skip)
    workers = "processes that read images; 0: the main process reads them; raise it if training waits for images"
    add_figure(data, "--workers", recipes, type=whole(0), metavar="N", help=workers)


def add_side(data: Any) -> None:
    """Add the option for left or right hands."""
    data.add_argument("--side", choices=get_args(Side), default="right", help="which hands to render")


def network_name(text: str) -> str:
    """Check the value of ``--arch``, as the type of an option.

    Args:
        text: The name of a network.
    """
    try:
        return check_backbone(text)
    except (ValueError, ModuleNotFoundError) as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("arch: ")) from error


def add_network(parser: argparse.ArgumentParser, recipes: Recipes) -> Any:
    """Add the group of the network, with its architecture and how much of it learns."""
    network = parser.add_argument_group("network")
    arch = (
        "encoder: quarter_resnet18 (a ResNet-18 with a quarter of the channels); a ResNet, RegNet, EfficientNet, "
        "ConvNeXt, ViT or Swin of torchvision, such as resnet50, convnext_tiny, vit_b_16 or swin_t; or timm/ and a "
        "name of timm, such as timm/vit_small_patch14_dinov2; equicon.backbones.list_backbones() lists torchvision's"
    )
    add_figure(network, "--arch", recipes, type=network_name, metavar="NAME", help=arch)
    drop = "share of images for which the encoder's last block is skipped, falling linearly to 0 at the first"
    network.add_argument("--drop-path", type=number(), default=0.0, metavar="SHARE", help=drop)
    frozen = "first blocks of the encoder that do not learn, the stem included"
    network.add_argument("--freeze-blocks", type=whole(0), default=0, metavar="N", help=frozen)
    again = "compute the activations of the encoder's blocks again for the gradient: less memory, a third more time"
    network.add_argument("--checkpoint-blocks", action="store_true", help=again)
    return network


def add_views(parser: argparse.ArgumentParser, recipes: Recipes, *, translate: float) -> Any:
    """Add the group of the views, with the options that both programs have."""
    views = parser.add_argument_group("views", "How the views of an image are drawn.")
    add_figure(views, "--size", recipes, type=whole(8), metavar="PIXELS", help="side of the square views [pixels]")
    turn = "largest rotation to either side; raise it if hands may point anywhere [degrees]"
    views.add_argument("--degrees", type=number(), default=45.0, help=turn)
    shift = "largest shift along each axis [share of the view's side]"
    views.add_argument("--translate", type=number(), default=translate, metavar="SHARE", help=shift)
    views.add_argument(
        "--jitter",
        type=number(),
        nargs=4,
        metavar=("BRIGHT", "CONTRAST", "SATURATION", "HUE"),
        default=[0.5, 0.1, 0.5, 0.01],
        help="colour: the first three change by factors of up to 1 ± the value, hue by up to ± the value [turns]",
    )
    return views


def add_schedule(training: Any, recipes: Recipes, *, epochs: str, lr: str, clip: float) -> None:
    """Add the length of the run, its learning rate, and the limits of a step."""
    add_figure(training, "--epochs", recipes, type=number(above=0.0), help=epochs)
    add_figure(training, "--lr", recipes, type=number(above=0.0), metavar="RATE", help=lr)
    warmup = "share of the run in which the learning rate rises to --lr; after that, it falls along a cosine"
    training.add_argument("--warmup", type=number(), default=0.1, metavar="SHARE", help=warmup)
    layers = "factor on the learning rate from each block of the encoder to the block below; 1: all learn alike"
    training.add_argument("--layer-decay", type=number(above=0.0), default=1.0, metavar="FACTOR", help=layers)
    long = "greatest norm of the gradient, which is shortened if it is longer; 0: it is never shortened"
    training.add_argument("--clip", type=number(), default=clip, metavar="NORM", help=long)


def add_consistency(parser: argparse.ArgumentParser) -> Any:
    """Add the group of pictures without labels, and give it."""
    group = parser.add_argument_group(
        "pictures without labels",
        "The model also learns to agree with its own average on other views of them. The average is what is kept. "
        "All options of this group need --unlabelled.",
    )
    where = "what --data of pretrain_freihand.py takes; give the option again to mix several"
    group.add_argument("--unlabelled", action=Several, default=[], metavar="DATA", help=where)
    weight = "weight of the disagreement in the loss"
    group.add_argument("--consistency", type=number(), default=1.0, metavar="WEIGHT", help=weight)
    rise = "share of the run in which this weight rises"
    group.add_argument("--ramp", type=number(), default=0.3, metavar="SHARE", help=rise)
    near = (
        "a point is taught if the average finds it at places in two views that are at most this far apart in the "
        "picture [half the side of the crop]"
    )
    group.add_argument("--agree", type=number(above=0.0), default=0.1, metavar="SHARE", help=near)
    decay = "share of the average that a step keeps"
    group.add_argument("--average", type=number(), default=0.99, metavar="SHARE", help=decay)
    return group


def add_machine(parser: argparse.ArgumentParser, *, precise: str) -> None:
    """Add the group of seed, device and precision; ``precise`` names what has this precision."""
    machine = parser.add_argument_group("seed and device")
    seed = "seed of everything random; change it for an independent run"
    machine.add_argument("--seed", type=whole(0), default=0, help=seed)
    device = "device to train on, such as cpu, cuda or cuda:1"
    machine.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help=device)
    machine.add_argument(
        "--precision",
        default="auto",
        choices=["auto", *PRECISIONS],
        help=f"type in which the {precise} computes; auto takes bfloat16 if the device is fast at it, else float16 on "
        "a GPU and float32 elsewhere",
    )


def add_run(parser: argparse.ArgumentParser, *, out: Path, keep: str) -> Any:
    """Add the group of the run: its folder and its checkpoints."""
    run = parser.add_argument_group("run", "Where the run is kept, and how often it is saved.")
    where = f"folder for the results; if not given, {out} or the first of {out}-2, {out}-3, ... without a run"
    run.add_argument("--out", type=Path, metavar="FOLDER", help=where)
    resume = "go on with the run in --out, or start one if there is none; without --out, take the last default folder"
    run.add_argument("--resume", action="store_true", help=resume)
    every = "epochs between checkpoints; lower it if an epoch takes hours"
    run.add_argument("--save-every", type=number(above=0.0), default=1.0, metavar="EPOCHS", help=every)
    run.add_argument("--keep", type=whole(1), default=3, metavar="N", help=keep)
    return run


def check_pair(parser: argparse.ArgumentParser, flag: str, pair: list[float]) -> None:
    """Check that the first of two numbers is not larger than the second."""
    if pair[0] > pair[1]:
        parser.error(f"{flag}: expected LOW <= HIGH, got {pair[0]:g} {pair[1]:g}.")


def check_shares(batch_size: int, world: int) -> None:
    """End the program if a step of fine-tuning cannot be shared by the ranks.

    Args:
        batch_size: The images in a step, on all ranks together.
        world: The number of ranks.
    """
    if batch_size % world or batch_size // world < 2:
        wanted = f"at least {2 * world}, and a multiple of {world} (the number of ranks)"
        why = "Then all ranks weigh the same, and batch norm has at least two images."
        sys.exit(f"--batch-size: expected {wanted}, got {batch_size}. {why}")


def check_labelled(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the shares of labels and of what is held out, and the range of scales."""
    if not 0 < args.fraction <= 1:
        parser.error(f"--fraction: expected a share in (0, 1], got {args.fraction:g}.")
    if not 0 < args.holdout < 1:
        parser.error(f"--holdout: expected a share in (0, 1), got {args.holdout:g}.")
    check_pair(parser, "--scale", args.scale)
    if not args.average < 1:
        parser.error(f"--average: expected a share in [0, 1), got {args.average:g}.")
    if args.ramp > 1:
        parser.error(f"--ramp: expected a share in [0, 1], got {args.ramp:g}.")


def add_prediction(parser: argparse.ArgumentParser, *, batch_size: int) -> None:
    """Add how the images of a program that predicts are read, and where it predicts."""
    size = "images to predict at a time"
    parser.add_argument("--batch-size", type=whole(1), default=batch_size, metavar="N", help=size)
    views = "views of each picture to average over: the plain one, and others that are slightly turned, scaled, shifted"
    parser.add_argument("--views", type=whole(1), default=1, metavar="N", help=views)
    workers = "processes that read images; 0: the main process reads them"
    parser.add_argument("--workers", type=whole(0), default=0, metavar="N", help=workers)
    device = "device to predict on, such as cpu, cuda or cuda:1"
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help=device)


def open_run(wanted: argparse.Namespace, default: Path, name: str, *, several: bool) -> tuple[Path, dict[str, Any]]:
    """Choose the folder of a run and, to resume a run, read the options that it was begun with.

    Args:
        wanted: The options of this command, of which ``out`` and ``resume`` are read.
        default: The first folder to try if none is given.
        name: The name of the program.
        several: Whether ``data`` is a list in this program. This tells its runs from those of the other program.

    Returns:
        The folder and the options, which are empty for a new run. The program ends if the folder holds a run of the
        other program.
    """
    out = choose_out(wanted.out, default, resume=wanted.resume)
    begun = read_arguments(out) if wanted.resume else {}
    if "data" in begun and isinstance(begun["data"], list) != several:
        sys.exit(f"--out: {out} holds a run of another kind, not of {name}. Give another folder.")
    return out, begun


def settle(
    parser: argparse.ArgumentParser, args: argparse.Namespace, begun: Mapping[str, Any], free: Collection[str]
) -> None:
    """Check the options against those of the resumed run and against the machine, and choose the precision."""
    if args.layer_decay > 1:
        parser.error(f"--layer-decay: expected a factor in (0, 1], got {args.layer_decay:g}.")
    if same_path(args.weights, begun.get("weights", args.weights)):
        args.weights = begun.get("weights", args.weights)  # the same file, written in another way
    check_begun(parser, args, begun, free)
    check_device(parser, args.device)
    if args.precision == "auto":  # the choice is saved, so that a resumed run keeps it
        args.precision = fast_precision(args.device)
