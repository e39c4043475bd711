"""Keypoints in the layout of DeepLabCut (Mathis et al., Nature Neuroscience 2018) and Lightning Pose."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import final

import numpy as np
import torch

from equicon._checks import value_error
from equicon._views.warp import PaddingMode
from equicon.data._deeplabcut_table import Table, read_table
from equicon.data._keypoints import KeypointDataset
from equicon.data._labels import extent
from equicon.data._names import other_spelling

_LABELED = "labeled-data"
TABLES = "CollectedData*.csv"
_TRIED = 100  # pictures that are looked for in each folder where they may be
_LEVELS = 4  # folders above a table in which its pictures are looked for


@final
class DeepLabCutKeypoints(KeypointDataset):
    """The labelled frames of a project of DeepLabCut or Lightning Pose, cut to squares of one size.

    A table names a picture in its first column, or in its first two or three (``labeled-data``, video, picture). It has
    three header rows (scorer, bodyparts, coords), or a fourth, individuals, where there are several animals. Each
    animal of a picture is then an item, whose box is around its labelled points. With a single animal, an item is the
    whole picture. A point has a label where its x and y are neither empty nor NaN, and then its ``visible`` is 2.
    Columns of likelihood are ignored, and so is the individual ``single``, which has points of its own.

    The groups are the folders of the pictures, one for each video, or blocks of consecutive frames if there is one
    folder only, as ``KeypointDataset`` says.

    Convention: points are in pixels with integer pixel centres, as they are written.

    Args:
        csv: A table, such as ``CollectedData_scorer.csv``; or a folder that has one, or that has one in each folder of
            ``labeled-data``. These are joined.
        size: Side of the items in pixels, at least 1.
        margin: Side of the square divided by the longer side of the box, in [1e-4, 1e4]. With None it is 1.25, or 1 for
            whole pictures.
        padding_mode: What the square shows outside the picture: ``zeros``, which is black, ``border`` or
            ``reflection``.

    Attributes:
        tables: The files that were read.
        individuals: The names of the animals, of which ``instances`` are numbers; one empty name if there are none.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, a table is missing or damaged, or none of its pictures is there. The
            message names the line.
        CorruptImage: From an item whose picture cannot be read, or whose box lies outside of it.

    Examples:
        >>> import tempfile
        >>> root = tempfile.mkdtemp()
        >>> xy, visible = torch.tensor([[[10.0, 20.0], [30.0, 40.0]]]), torch.tensor([[2, 0]])
        >>> write_deeplabcut(root, torch.zeros(1, 3, 48, 64, dtype=torch.uint8), xy, visible, names=["nose", "tail"])
        >>> data = DeepLabCutKeypoints(root, 32)
        >>> data.names, data.xy.tolist(), data[0].box
        (('nose', 'tail'), [[[10.0, 20.0], [0.0, 0.0]]], tensor([-0.5000,  3.5000, 31.5000, 27.5000]))
    """

    def __init__(
        self,
        csv: str | os.PathLike[str],
        size: int,
        *,
        margin: float | None = None,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        self.tables = find_tables(Path(csv))
        read = [read_table(path) for path in self.tables]
        for path, table in zip(self.tables, read, strict=True):
            if (table.names, table.individuals) != (read[0].names, read[0].individuals):
                raise value_error(str(path), f"the points and animals of {self.tables[0].name}", "others")
        self.individuals = read[0].individuals
        named = [
            [_inside(path, table, row) for row in range(len(table.files))]
            for path, table in zip(self.tables, read, strict=True)
        ]
        roots = [_find_root(path, files) for path, files in zip(self.tables, named, strict=True)]
        root = Path(os.path.commonpath(roots))
        pictures = [folder / file for folder, files in zip(roots, named, strict=True) for file in files]
        xy = np.concatenate([table.xy for table in read])
        picture, animal = np.nonzero(~np.isnan(xy).all((2, 3)))
        several = len(self.individuals) > 1
        labels = torch.from_numpy(xy[picture, animal]).float()
        known = ~labels.isnan().any(-1)
        if not len(labels):
            raise value_error(str(self.tables[0]), "at least one label", "none")
        super().__init__(
            [pictures[i].relative_to(root).as_posix() for i in picture.tolist()],
            labels,
            known.long() * 2,
            size,
            names=read[0].names,
            root=root,
            boxes=extent(labels, known) if several else None,
            margin=margin,
            padding_mode=padding_mode,
        )
        self.instances = torch.from_numpy(animal)
        self.left_out = int(np.isnan(xy).all((1, 2, 3)).sum())


def find_tables(path: Path) -> list[Path]:
    """Return the table that is given, or those of a folder or of the videos of a project."""
    if path.is_file():
        return [path]
    here = sorted(path.glob(TABLES))
    below = [sorted(folder.glob(TABLES)) for folder in sorted((path / _LABELED).glob("*")) if folder.is_dir()]
    for several in [here] if here else below:
        if len(several) > 1:
            listed = ", ".join(table.name for table in several)
            raise value_error(
                "csv", f"one table in {several[0].parent}", listed, "Give one of them, or move the others."
            )
    tables = here or [table for several in below for table in several]
    if not tables:
        wanted = f"a table, or a folder with {TABLES} or {_LABELED}/*/{TABLES}"
        raise value_error("csv", wanted, f"{path}", other_spelling(path))
    return tables


def _inside(path: Path, table: Table, row: int) -> PurePosixPath:
    """Return the path of a picture in the project, also where the table has the path of its author's disk."""
    file = PurePosixPath(table.files[row])
    if (file.is_absolute() or ":" in file.parts[0]) and _LABELED in file.parts:
        file = PurePosixPath(*file.parts[file.parts.index(_LABELED) :])
    if not file.name or file.is_absolute() or ".." in file.parts:
        where = f"{path} (line {table.lines[row]})"
        raise value_error(where, f"a path of the project, such as {_LABELED}/video/img1.png", repr(table.files[row]))
    return file


def _find_root(path: Path, files: Sequence[PurePosixPath]) -> Path:
    """Return the folder of a table, or the nearest above it, that has any of its pictures."""
    folders = [path.parent.absolute(), *path.parent.absolute().parents][: _LEVELS + 1]
    for folder in folders:
        if any((folder / file).exists() for file in files[:_TRIED]):
            return folder
    fix = other_spelling(folders[0] / files[0]) or f"Put the table where it was, or {_LABELED} beside it."
    raise value_error(str(path), f"its pictures, such as {files[0]}", f"none in {folders[0]} or above", fix)
