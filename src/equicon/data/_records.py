"""Annotation files: read a JSON list of records of one shape, check it, and make one tensor of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equicon._checks import describe, first_bad, value_error
from equicon.data._json import remedy, stream_list
from equicon.data._names import other_spelling

_LARGEST = float(np.finfo(np.float32).max)


def check_there(root: Path, path: Path) -> None:
    """Check that a data set has a file or folder. If not, the error says what is there instead."""
    if path.exists():
        return
    wanted = f"a data set with {path.relative_to(root)}"
    if not root.is_dir():
        fix = other_spelling(root) or "Give the folder that the archive was unpacked to."
        raise value_error("root", wanted, f"{root}, which is no folder", fix)
    names = sorted(path.name for path in root.iterdir())
    listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"
    raise value_error(
        "root", wanted, f"{root}, which holds {listed}", "Look one folder up or down, or unpack it again."
    )


def read_records(path: Path, shape: tuple[int, ...], *, like: tuple[Path, int] | None = None) -> Tensor:
    """Read a JSON list of numbers or nested lists, all of one shape.

    It is read record by record, so that it takes little memory beyond the tensor. The vertices of FreiHAND are 1.5 GB
    of text; as Python's lists they would take several times that.

    Args:
        path: The file.
        shape: What each record's shape must be; ``()`` for plain numbers.
        like: Another file and its number of records, which this one must have too.

    Returns:
        The records (n, ...), float32.

    Raises:
        ValueError: If the file is damaged or empty, or a record is of another shape or not finite.
    """
    values, count = bytearray(), 0
    try:
        for record in stream_list(path):
            values += numbers(f"{path} (record {count})", record, shape).tobytes()
            count += 1
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise value_error(str(path), "JSON", f"this: record {count}: {error}", remedy(error)) from error
    if count == 0:
        raise value_error(str(path), "a list of records", "an empty one")
    if like is not None and count != like[1]:
        fix = "Take the files from the same copy."
        raise value_error(str(path), f"{like[1]} records, as many as {like[0].name} has", f"{count}", fix)
    return torch.frombuffer(values, dtype=torch.float32).reshape(-1, *shape)


def check_records(path: Path, records: Tensor, good: Tensor, expected: str) -> None:
    """Check that all records (n, ...) of a file are good (n,), and name the first that is not."""
    if (bad := first_bad(good)) is not None:
        raise value_error(f"{path} (record {bad})", expected, describe(records[bad].tolist()))


def numbers(where: str, record: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Check that a record holds numbers of the given shape, which are finite in float32."""
    wanted = f"numbers of shape {shape}" if shape else "a number"
    try:
        # First as float64, since the conversion of too large numbers to float32 only warns.
        array = np.asarray(record, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:  # a whole number may be beyond what a float can be
        raise value_error(where, wanted, describe(record)) from error
    if array.shape != shape:
        raise value_error(where, wanted, f"shape {array.shape}")
    if not (np.abs(array) <= _LARGEST).all():
        raise value_error(where, "finite numbers", describe(record))
    return array.astype(np.float32)
