"""Annotation files: a JSON list of records of one shape, checked and made one tensor."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equicon._checks import describe, value_error


def check_there(root: Path, path: Path) -> None:
    """Check that a data set has a file or folder, and if not say what is there instead."""
    if path.exists():
        return
    wanted = f"a data set with {path.relative_to(root)}"
    if not root.is_dir():
        raise value_error(
            "root", wanted, f"{root}, which is no folder", "Give the folder that the archive was unpacked to."
        )
    names = sorted(path.name for path in root.iterdir())
    listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"
    raise value_error(
        "root", wanted, f"{root}, which holds {listed}", "Look one folder up or down, or unpack it again."
    )


def read_records(path: Path, shape: tuple[int, ...], *, like: tuple[Path, int] | None = None) -> Tensor:
    """Read a JSON list of numbers or nested lists, all of one shape.

    Args:
        path: The file.
        shape: What each record's shape must be; ``()`` for plain numbers.
        like: Another file and its number of records, which this one must have too.

    Returns:
        The records (n, ...), float32.

    Raises:
        ValueError: If the file is damaged or empty, or a record is of another shape or not finite.
    """
    try:
        records = json.loads(path.read_bytes())
    except ValueError as error:
        raise value_error(str(path), "JSON", f"this: {error}", "It may be cut short: unpack it again.") from error
    if not isinstance(records, list) or not records:
        raise value_error(str(path), "a list of records", "an empty one" if records == [] else describe(records))
    if like is not None and len(records) != like[1]:
        fix = "Take the files from the same copy."
        raise value_error(str(path), f"{like[1]} records, as many as {like[0].name} has", f"{len(records)}", fix)
    values = torch.from_numpy(np.stack([_numbers(path, i, record, shape) for i, record in enumerate(records)])).float()
    broken = values.reshape(len(values), -1).isfinite().all(dim=1).logical_not().nonzero()
    if len(broken):
        first = int(broken[0])
        raise value_error(f"{path} (record {first})", "finite numbers", describe(records[first]))
    return values


def _numbers(path: Path, index: int, record: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    wanted = f"numbers of shape {shape}" if shape else "a number"
    try:
        array = np.asarray(record, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise value_error(f"{path} (record {index})", wanted, describe(record)) from error
    if array.shape != shape:
        raise value_error(f"{path} (record {index})", wanted, f"shape {array.shape}")
    return array
