"""The tables of labels that DeepLabCut and Lightning Pose write."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equicon._checks import value_error

_UNIQUE = "single"  # DeepLabCut's name for what has points of its own, such as the corners of a box
_EMPTY = ("", "nan")


class Table(NamedTuple):
    """The labels of pictures (n) with up to M animals each, of K points.

    Args:
        names: The names of the points.
        individuals: The names of the animals; a single empty one if the table names none.
        files: The picture of each row, with ``/`` between folders.
        xy: (n, M, K, 2) float64, NaN where there is no label.
        lines: The line of the file that each row begins in.
    """

    names: tuple[str, ...]
    individuals: tuple[str, ...]
    files: list[str]
    xy: NDArray[np.float64]
    lines: list[int]


def read_table(path: Path) -> Table:
    """Read a table of three or four header rows, with one to three columns that name a picture.

    Raises:
        ValueError: If the table is damaged, or is none of DeepLabCut's.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, row) for row in reader if row]
    except OSError as error:
        raise value_error("csv", "a file", f"{path}, which cannot be read: {error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise value_error(str(path), "a table in UTF-8", f"this: {error}") from error
    header: dict[str, list[str]] = {}
    while rows and rows[0][1][0] in ("scorer", "individuals", "bodyparts", "coords"):
        row = rows.pop(0)[1]
        header[row[0]] = row
    if list(header) not in (["scorer", "bodyparts", "coords"], ["scorer", "individuals", "bodyparts", "coords"]):
        wanted = "rows scorer, bodyparts, coords (or scorer, individuals, bodyparts, coords) at the top"
        raise value_error(str(path), wanted, ", ".join(header) or "none of them", "Is it DeepLabCut's CSV of labels?")
    if not rows:
        raise value_error(str(path), "at least one row of labels", "none")
    lead = _count_lead(header["coords"])
    parts, individuals, columns = _columns(path, header, lead)
    rows = [(line, row) for line, row in rows if any(cell.strip() for cell in row)]  # spreadsheets leave empty ones
    for line, row in rows:
        if len(row) != len(header["coords"]):
            wanted = f"{len(header['coords'])} columns, as the header has"
            raise value_error(f"{path} (line {line})", wanted, f"{len(row)}", "It may be cut short: copy it again.")
    files = ["/".join(cell for cell in row[:lead] if cell).replace("\\", "/") for _, row in rows]
    lines: dict[str, int] = {}
    for (line, _), name in zip(rows, files, strict=True):
        if (first := lines.setdefault(name, line)) != line:
            raise value_error(f"{path} (line {line})", "each picture once", f"{name}, which line {first} has too")
    xy = np.stack([_numbers(f"{path} (line {line})", row, columns) for line, row in rows])
    lone = np.isnan(xy).any(-1) != np.isnan(xy).all(-1)
    if lone.any():
        row, animal, part = np.argwhere(lone)[0]
        where = f"{path} (line {rows[row][0]}): {individuals[animal]} {parts[part]}"
        raise value_error(where, "x and y, or neither", "one of them")
    return Table(parts, individuals, files, xy, [line for line, _ in rows])


def _count_lead(coords: Sequence[str]) -> int:
    return next((i for i, cell in enumerate(coords) if i and cell), len(coords))


def _columns(
    path: Path, header: dict[str, list[str]], lead: int
) -> tuple[tuple[str, ...], tuple[str, ...], NDArray[np.int64]]:
    """Return the points, the animals, and the columns (M, K, 2) of x and y."""
    found: dict[tuple[str, str, str], int] = {}
    animals = header.get("individuals", [""] * len(header["coords"]))
    for row in header.values():
        if len(row) != len(header["coords"]):
            raise value_error(f"{path} ({row[0]})", f"{len(header['coords'])} columns, as coords has", f"{len(row)}")
    for column, key in enumerate(zip(animals, header["bodyparts"], header["coords"], strict=True)):
        if column < lead:
            continue
        if key in found or key[2] not in ("x", "y", "likelihood"):
            wanted = "x, y or likelihood, each once for a point"
            raise value_error(f"{path} (column {column + 1})", wanted, f"{' '.join(filter(None, key))}")
        found[key] = column
    individuals = tuple(dict.fromkeys(animal for animal, _, _ in found))
    if len(individuals) > 1:
        individuals = tuple(animal for animal in individuals if animal != _UNIQUE)
    parts = tuple(dict.fromkeys(part for animal, part, _ in found if animal == next(iter(individuals), None)))
    needed = {(animal, part, axis) for animal in individuals for part in parts for axis in ("x", "y")}
    there = {key for key in found if key[0] in individuals and key[2] != "likelihood"}
    if needed != there or not parts:
        odd = " ".join(filter(None, min(needed ^ there, default=("nothing",))))
        raise value_error(f"{path} (header)", "x and y of the same points for each animal", f"{odd} for one alone")
    columns = [[[found[animal, part, axis] for axis in ("x", "y")] for part in parts] for animal in individuals]
    return parts, individuals, np.array(columns)


def _numbers(where: str, row: Sequence[str], columns: NDArray[np.int64]) -> NDArray[np.float64]:
    values = np.full(len(row), np.nan)
    for column in columns.flatten().tolist():
        cell = row[column].strip()
        if cell.lower() in _EMPTY:
            continue
        try:
            values[column] = float(cell)
        except ValueError as error:
            raise value_error(f"{where}, column {column + 1}", "a number or nothing", f"{cell!r}") from error
        if not abs(values[column]) < 1e9:
            raise value_error(f"{where}, column {column + 1}", "a number of pixels, or nothing", f"{cell!r}")
    return values[columns]
