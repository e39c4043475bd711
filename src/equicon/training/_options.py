"""Options of training programs: how numbers are read, defaults by recipe, and what a resumed run may change."""

import argparse
import json
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from equicon._devices import fast_type
from equicon.training._checkpoints import Checkpoints

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""The values of ``--precision``, apart from ``auto``."""


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Adds the default of an option to its help, if it has one.

    Examples:
        >>> parser = argparse.ArgumentParser(formatter_class=Help)
        >>> _ = parser.add_argument("--seed", default=3, help="seed of all random numbers")
        >>> "seed of all random numbers (default: 3)" in parser.format_help()
        True
    """

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = action.default is None or action.default is False
        return action.help if silent else super()._get_help_string(action)


class Once(argparse.Action):
    """Refuses a second value of an option. Otherwise, the first value would be lost without a message.

    Examples:
        >>> parser = argparse.ArgumentParser()
        >>> _ = parser.add_argument("--data", action=Once, default="synthetic")
        >>> parser.parse_args(["--data", "a"]).data
        'a'
    """

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        if getattr(namespace, self.dest) not in (self.default, values):
            parser.error(f"{option}: expected once, got {getattr(namespace, self.dest)} and {values}.")
        setattr(namespace, self.dest, values)


class Several(argparse.Action):
    """Lists all values of an option that is given several times. A default is replaced; ``"append"`` would add to it.

    Examples:
        >>> parser = argparse.ArgumentParser()
        >>> _ = parser.add_argument("--data", action=Several, default=["synthetic"])
        >>> parser.parse_args([]).data, parser.parse_args(["--data", "a", "--data", "b"]).data
        (['synthetic'], ['a', 'b'])
    """

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        known = getattr(namespace, self.dest)
        setattr(namespace, self.dest, [values] if known is self.default else [*known, values])


def add_figure(group: Any, name: str, recipes: Mapping[str, Mapping[str, Any]], *, help: str, **options: Any) -> None:
    """Add an option whose default depends on the recipe.

    Args:
        group: A parser or a group of its options.
        name: The option as the user gives it, such as ``--lr``.
        recipes: The default values, by the recipe's name and the option's name.
        help: What the option means. The values of the recipes are added to it.
        **options: What ``add_argument`` takes besides.

    Examples:
        >>> parser = argparse.ArgumentParser()
        >>> add_figure(parser, "--lr", {"quick": {"lr": 0.1}, "full": {"lr": 0.01}}, type=float, help="rate")
        >>> "rate (quick: 0.1, full: 0.01)" in parser.format_help()
        True
    """
    values = {recipe: figures[name[2:].replace("-", "_")] for recipe, figures in recipes.items()}
    said = ", ".join(f"{k}: {v:.4g}" if isinstance(v, float) else f"{k}: {v}" for k, v in values.items())
    group.add_argument(name, help=f"{help} ({said})", default=argparse.SUPPRESS, **options)


def number(*, above: float | None = None) -> Callable[[str], float]:
    """Make a parser of finite numbers that are at least 0, or above a bound if you give one.

    Examples:
        >>> number(above=0.0)("0.5")
        0.5
    """

    def parse(text: str) -> float:
        value = float(text)
        if not math.isfinite(value) or value < 0 or (above is not None and value <= above):
            wanted = "of at least 0" if above is None else f"above {above:g}"
            raise argparse.ArgumentTypeError(f"expected a number {wanted}, got {text}")
        return value

    parse.__name__ = "number"
    return parse


def whole(low: int) -> Callable[[str], int]:
    """Make a parser of whole numbers that are at least ``low``.

    Examples:
        >>> whole(1)("3")
        3
    """

    def parse(text: str) -> int:
        value = int(text)
        if value < low:
            raise argparse.ArgumentTypeError(f"expected at least {low}, got {text}")
        return value

    parse.__name__ = "whole number"
    return parse


def check_device(parser: argparse.ArgumentParser, device: str) -> None:
    """End the program with a message of the parser if the device does not exist.

    Examples:
        >>> check_device(argparse.ArgumentParser(), "cpu")
    """
    try:
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # each kind of device has its own
        parser.error(f"--device: expected a device of this machine, got {device}: {str(error).splitlines()[0]}")


def fast_precision(device: str) -> str:
    """Choose the type that trains fast on a device.

    It is bfloat16 on a CUDA GPU or a CPU with instructions for it, float16 on other CUDA GPUs, and float32 everywhere
    else.

    Examples:
        >>> fast_precision("cpu") in PRECISIONS
        True
    """
    return str(fast_type(device)).removeprefix("torch.")


def choose_out(given: Path | None, default: Path, *, resume: bool) -> Path:
    """Choose the folder of a run.

    Args:
        given: The value of ``--out``; None if it was not given.
        default: The first folder to try. The next ones are ``default-2``, ``default-3`` and so on.
        resume: Whether to resume a run.

    Returns:
        The given folder. If none is given, the first folder without a run or, to resume, the last folder with a run. If
        there is no run to resume, ``default``.

    Examples:
        >>> choose_out(None, Path("runs/nowhere"), resume=False)
        PosixPath('runs/nowhere')
    """
    if given is not None:
        return given
    taken = [default]
    while Checkpoints(taken[-1] / "checkpoints").paths():
        taken.append(default.with_name(f"{default.name}-{len(taken) + 1}"))
    return taken[-2] if resume and len(taken) > 1 else taken[-1]


def arguments_text(args: argparse.Namespace) -> str:
    """Write the arguments as JSON, for ``--resume`` and for people. ``out`` and ``resume`` are left out.

    Examples:
        >>> print(arguments_text(argparse.Namespace(lr=0.1, out="runs/a", resume=False)), end="")
        {
          "lr": 0.1
        }
    """
    kept = {name: _plain(value) for name, value in vars(args).items() if name not in ("out", "resume")}
    return json.dumps(kept, indent=2) + "\n"


def read_arguments(out: Path) -> dict[str, Any]:
    """Read the arguments of the run in a folder; give an empty dict if there is no run.

    Raises:
        SystemExit: If the file is damaged.

    Examples:
        >>> read_arguments(Path("runs/nowhere"))
        {}
    """
    path = out / "arguments.json"
    try:
        begun: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    except ValueError as error:
        raise SystemExit(f"{path} is damaged: {error}.") from error
    if not isinstance(begun, dict):
        raise SystemExit(f"{path} is damaged: expected an object, got {type(begun).__name__}.")
    return begun


def check_begun(
    parser: argparse.ArgumentParser, args: argparse.Namespace, begun: Mapping[str, Any], free: Collection[str]
) -> None:
    """Check that the options equal those that the run was begun with, apart from those that may change.

    Args:
        parser: The parser. It ends the program if an option differs.
        args: The options of this command.
        begun: The options that the run was begun with, as ``read_arguments`` gives them.
        free: The names of the options that may change.

    Examples:
        >>> check_begun(argparse.ArgumentParser(), argparse.Namespace(lr=0.2, seed=0), {"lr": 0.1, "seed": 0}, {"lr"})
    """
    for name, value in begun.items():
        if name not in free and _plain(getattr(args, name)) != value:
            flag = f"--{name.replace('_', '-')}"
            parser.error(
                f"{flag}: the run in {args.out} was begun with {value}, got {_plain(getattr(args, name))}. "
                f"Leave {flag} out, or start a new run with another --out."
            )


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
