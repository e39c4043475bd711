"""The data of a run on keypoints: items to train on, and items of other videos, folders or stretches to validate."""

import argparse
import hashlib
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equicon.data import KeypointDataset, open_keypoints
from equicon.data._boxes import read_boxes
from equicon.data._listing import list_images
from equicon.keypoints import KeypointTask
from equicon.recipes._opening import count_known, reader, unwrapped
from equicon.recipes._run_data import FinetuneData

# Views are turned, shifted and enlarged. So an item shows more than a view does, and has finer pixels.
_AROUND, _FINER = 1.6, 1.25
_STEPS = 20  # in an epoch at least, so that an epoch of a few dozen labels is still worth something


@dataclass(frozen=True, kw_only=True)
class KeypointData(FinetuneData):
    """The items that a model learns from and is validated on.

    Args:
        margin: Side of the views divided by the longer side of the box.
        there: The number of items to train on, whether their labels are used or not.
    """

    margin: float
    there: int

    @property
    def about(self) -> KeypointDataset:
        """The items whose labels are used, as a plain data set."""
        items: KeypointDataset = unwrapped(self.labelled)
        return items

    @property
    def held_out(self) -> KeypointDataset:
        """The items that validate the model, as a plain data set."""
        items: KeypointDataset = unwrapped(self.validation)
        return items

    def __str__(self) -> str:
        used = "" if len(self.about) == self.there else f", of which {len(self.about):,} are labelled"
        again = f"; they repeat, so that an epoch has {self.count:,}" if self.there < self.count else ""
        return f"{self.there:,} {self.name}{used}; validated on {len(self.held_out):,} others{again}{self.beside}"

    @cached_property  # each checkpoint has it
    def labels(self) -> dict[str, Any]:
        """The names of the keypoints, and a sum over all labels, for a run that is resumed."""
        return {"names": list(self.about.names), "sum": sum_labels(self.about, self.held_out)}

    def check_same(self, begun: dict[str, Any]) -> None:
        """End the program if the labels are not those that a run was begun with.

        Args:
            begun: What ``labels`` was then.
        """
        if begun["names"] != (names := list(self.about.names)):
            sys.exit(f"--data: the run was begun on the keypoints {begun['names']}, got {names}.")
        if begun != self.labels:
            sys.exit("--data: the run was begun on other labels, or on another split of them. Give it the same data.")


def sum_labels(*parts: KeypointDataset) -> str:
    """Sum up all labels, boxes, groups and names of pictures, so that a change of any of them shows.

    Args:
        parts: Data sets, in order.
    """
    digest = hashlib.sha256()
    for part in parts:
        for value in (part.xy, part.visible, part.boxes, part.groups):
            digest.update(value.numpy().tobytes())
        digest.update("\n".join(str(part.path(i).relative_to(part.root)) for i in range(len(part))).encode())
    return digest.hexdigest()


def load_keypoint_data(args: argparse.Namespace) -> KeypointData:
    """Open the data set that ``--data`` names.

    Args:
        args: The options of ``finetune_keypoints.py``.

    Raises:
        ValueError: If the data set cannot be opened, or has one group only, so that nothing can be held out.
    """
    about, margin = open_for_views(args.data, args.size)
    rest, held_out = about.split(args.holdout, args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    chosen = torch.randperm(len(rest), generator=generator, device="cpu")[: count_known(len(rest), args.fraction)]
    few = rest.select(chosen.sort().values)
    labelled, validation = (reader(part, args) for part in (few, held_out))
    name = f"items with {len(about.names)} keypoints in {Path(args.data)}"
    count = max(len(rest), _STEPS * args.batch_size)
    return KeypointData(labelled, validation, count, name, margin=margin, there=len(rest))


def open_for_views(data: str, size: int) -> tuple[KeypointDataset, float]:
    """Open a data set for views of a size, and give the margin of their frames.

    Args:
        data: The value of ``--data``.
        size: Side of the square views in pixels.

    Raises:
        ValueError: If the data set cannot be opened.
    """
    about = open_keypoints(data, size)
    if about.margin == 1:  # whole pictures: there is nothing around them
        return about.resized(round(_FINER * size)), 1.0
    return about.resized(round(_FINER * _AROUND * size), margin=_AROUND * about.margin), about.margin


def mean_pose(about: KeypointDataset, margin: float) -> Tensor:
    """Compute the mean place (K, 2) of each keypoint in units of the frame. A keypoint that no item has is at 0.

    Args:
        about: The items whose labels are used.
        margin: Side of the frame divided by the longer side of the box.
    """
    boxes = about.boxes.double()
    centre, longer = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).amax(1)
    units = (about.xy.double() - centre[:, None]) / (longer * margin / 2)[:, None, None]
    known = ((about.visible > 0) & boxes.isfinite().all(1)[:, None])[..., None]  # no box: a picture that is damaged
    return (torch.where(known, units, 0.0).sum(0) / known.sum(0).clamp(min=1)).float()


def make_task(data: KeypointData, args: argparse.Namespace) -> KeypointTask:
    """Describe what a model learns from the data, for its file.

    Args:
        data: The data.
        args: The options of ``finetune_keypoints.py``.
    """
    about = data.about
    pose = [(x, y) for x, y in mean_pose(about, data.margin).tolist()]
    return KeypointTask(
        arch=args.arch,
        head=args.head,
        size=args.size,
        margin=data.margin,
        names=about.names,
        skeleton=about.skeleton,
        flip=tuple(about.flip.tolist()),
        mean_pose=tuple(pose),
    )


def open_pictures(folder: Path, task: KeypointTask, boxes: Path | None = None) -> KeypointDataset:
    """Open pictures without labels, as items that a model takes. All their labels are at 0.

    Args:
        folder: A folder of pictures, or one picture.
        task: What the model predicts.
        boxes: A JSON file of boxes, as ``UnlabelledImages`` takes it. Without one, an item is a whole picture.

    Raises:
        ValueError: If the folder holds no pictures, or a file is damaged.
    """
    one = folder.is_file()
    names, folder, found = [folder.name] if one else list_images(folder), folder.parent if one else folder, None
    if boxes is not None:
        by_name = read_boxes(boxes, folder, names)
        names = [name for name, several in by_name.items() for _ in several]
        found = torch.from_numpy(np.concatenate(list(by_name.values())))
    shape = (len(names), len(task.names))
    nowhere, seen = torch.zeros(*shape, 2, device="cpu"), torch.full(shape, 2, device="cpu")
    margin = task.margin if boxes is not None else 1.0
    return KeypointDataset(
        names, nowhere, seen, round(_FINER * task.size), names=task.names, root=folder, boxes=found, margin=margin
    )
