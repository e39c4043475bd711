"""The options that ``pretrain_freihand.py`` and ``finetune_freihand.py`` share, and how both are settled."""

import argparse
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias, get_args

import torch

from equicon.hands._rendered.settings import Side
from equicon.hands.recipes._networks import ARCHS
from equicon.training import (
    PRECISIONS,
    Help,
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
"""The figures that an option not given has, by the recipe's name and the option's."""

SHARED_FREE = frozenset(
    ["data", "device", "keep", "lr", "out", "resume", "save_every", "skip_corrupt", "weights", "workers"]
)
"""What may change when a run is resumed; the rest would make it another run."""


def make_parser(description: str) -> argparse.ArgumentParser:
    """Make a parser that says defaults and takes no option by half its name."""
    return argparse.ArgumentParser(description=description, formatter_class=Help, allow_abbrev=False)


def add_reading(data: Any, recipes: Recipes) -> None:
    """Add how images are read."""
    skip = "go on without images that cannot be read; names them"
    data.add_argument("--skip-corrupt", action="store_true", help=skip)
    add_figure(data, "--workers", recipes, type=whole(0), help="processes that read images")


def add_side(data: Any) -> None:
    """Add which hands are rendered."""
    data.add_argument("--side", choices=get_args(Side), default="right", help="of hands to render: left, right or both")


def add_network(parser: argparse.ArgumentParser, recipes: Recipes) -> Any:
    """Add the group of the network, with what it is."""
    network = parser.add_argument_group("network")
    arch = f"one of {', '.join(ARCHS)}; the first is a ResNet-18 of a quarter of the width, the others torchvision's"
    add_figure(network, "--arch", recipes, choices=ARCHS, metavar="NAME", help=arch)
    return network


def add_views(parser: argparse.ArgumentParser, recipes: Recipes, *, translate: float) -> Any:
    """Add the group of the views, with what all of them have."""
    views = parser.add_argument_group("views")
    add_figure(views, "--size", recipes, type=whole(8), help="side of the views [pixels]")
    views.add_argument("--degrees", type=number(), default=45.0, help="rotation to either side, at most [degrees]")
    shift = "shift to either side, at most [share of the view's side]"
    views.add_argument("--translate", type=number(), default=translate, help=shift)
    views.add_argument(
        "--jitter",
        type=number(),
        nargs=4,
        metavar=("BRIGHT", "CONTRAST", "SATURATION", "HUE"),
        default=[0.5, 0.1, 0.5, 0.01],
        help="colour: factors of 1 ± the value, and hue [turns]",
    )
    return views


def add_schedule(training: Any, recipes: Recipes, *, epochs: str, lr: str) -> None:
    """Add how long and how fast it learns."""
    add_figure(training, "--epochs", recipes, type=number(above=0.0), help=epochs)
    warmup = "share of the run in which the learning rate rises, then a cosine"
    training.add_argument("--warmup", type=number(), default=0.1, help=warmup)
    add_figure(training, "--lr", recipes, type=number(above=0.0), help=lr)


def add_machine(training: Any, *, precise: str) -> None:
    """Add the seed, and what it is run on; ``precise`` is what the precision is of."""
    training.add_argument("--seed", type=whole(0), default=0, help="of everything random")
    training.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="where to train")
    training.add_argument(
        "--precision",
        default="auto",
        choices=["auto", *PRECISIONS],
        help=f"of the {precise}; auto is bfloat16 where that is fast, else float16 on a GPU and float32 elsewhere",
    )


def add_run(parser: argparse.ArgumentParser, *, out: Path, keep: str) -> Any:
    """Add the group of the run: its folder and its checkpoints."""
    run = parser.add_argument_group("run")
    where = f"folder for the results; not given: {out}, or {out}-2 and so on where there is a run already"
    run.add_argument("--out", type=Path, help=where)
    resume = "go on with the run in --out, if there is one; without --out, with the last of its defaults"
    run.add_argument("--resume", action="store_true", help=resume)
    run.add_argument("--save-every", type=number(above=0.0), default=1.0, help="between checkpoints [epochs]")
    run.add_argument("--keep", type=whole(1), default=3, help=keep)
    return run


def check_pair(parser: argparse.ArgumentParser, flag: str, pair: list[float]) -> None:
    """Check that the first of two figures is not the larger one."""
    if pair[0] > pair[1]:
        parser.error(f"{flag}: expected LOW <= HIGH, got {pair[0]:g} {pair[1]:g}.")


def open_run(wanted: argparse.Namespace, default: Path, name: str, *, several: bool) -> tuple[Path, dict[str, Any]]:
    """Choose the folder of a run, and read what the run was begun with that is resumed there; else nothing.

    Args:
        wanted: What is given, of which ``out`` and ``resume`` are read.
        default: The first folder to try where none is given.
        name: Of the programme.
        several: Whether its ``data`` are several, which tells its runs from another programme's.

    Returns:
        The folder and the arguments. The programme ends where the run in the folder is of another one.
    """
    out = choose_out(wanted.out, default, resume=wanted.resume)
    begun = read_arguments(out) if wanted.resume else {}
    if "data" in begun and isinstance(begun["data"], list) != several:
        sys.exit(f"--out: {out} holds another run than one of {name}. Give another folder.")
    return out, begun


def settle(
    parser: argparse.ArgumentParser, args: argparse.Namespace, begun: Mapping[str, Any], free: Collection[str]
) -> None:
    """Check the options against those of the run that is resumed and the machine, and choose the precision."""
    check_begun(parser, args, begun, free)
    check_device(parser, args.device)
    if args.precision == "auto":  # written down, so that it is the same where the run is resumed
        args.precision = fast_precision(args.device)
