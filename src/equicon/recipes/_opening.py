"""What all data sources need to open their data."""

import argparse
import math
from pathlib import Path
from typing import Any

import equicon as eq
from equicon.data import SkipCorrupt

# Views are shrunk, turned and shifted. They reach to the corners of a square that is 2.5 times as wide as the box.
MARGIN = 2.5


def same_path(path: str, other: str) -> bool:
    """Say whether two paths, which need not exist, lead to the same place."""
    return Path(path).resolve() == Path(other).resolve()


def count_known(count: int, fraction: float) -> int:
    """Count the hands whose labels are used. The hands of a smaller fraction are among those of a larger one."""
    return max(1, round(fraction * count))


def reader(data: Any, args: argparse.Namespace) -> Any:
    """Let a data set go on without corrupt images if ``--skip-corrupt`` is given."""
    return SkipCorrupt(data) if args.skip_corrupt else data


def unwrapped(data: Any) -> Any:
    """Give the data set itself, whether it may skip corrupt images or not."""
    return data.dataset if isinstance(data, SkipCorrupt) else data


def probe_counts(args: argparse.Namespace) -> tuple[int, int]:
    """Say how many images the probes learn from, and on how many others they are tested."""
    return args.labelled, math.ceil(args.labelled / 2)


def beyond(args: argparse.Namespace) -> eq.PaddingMode:
    """Choose what to put beside a photograph that is too small, so that views show no black unless asked to."""
    return "reflection" if args.inside else args.padding_mode
