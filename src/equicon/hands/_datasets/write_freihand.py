"""Synthetic hands on disk, in FreiHAND's own layout."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from kornia.io import write_image

from equicon._checks import check_int, check_progress, value_error
from equicon.data._files import write_text
from equicon.hands._datasets.freihand import BLOCK
from equicon.hands._rendered.domain import DomainName
from equicon.hands._rendered.pictures import render_hands
from equicon.hands._rendered.settings import Settings, Side
from equicon.hands._skeleton import bone_length

_VERSIONS = 4
_BATCH = 32
_EVALUATION = 2**31  # its first sample: beyond those of any training set, so the two never share a hand


def write_freihand(
    root: str | os.PathLike[str],
    num_samples: int,
    *,
    num_evaluation: int | None = None,
    size: int = 224,
    seed: int = 0,
    domain: DomainName = "wild",
    context: float = 1.0,
    scenes: int | None = None,
    side: Side = "both",
    progress: Callable[[list[Any]], Iterable[Any]] | None = None,
) -> None:
    """Write synthetic hands to disk in FreiHAND's layout (``training/rgb/00000000.jpg``, ``training_K.json``, ...).

    Training has four images of each sample: the same hand and camera, with another background and exposure. Version v
    of sample s is image ``s + v * num_samples``. The 64 samples of a block (``FreiHAND.groups``) share a scene in each
    version, as in a recording. So in batches from few blocks, the scene does not give images away. Version 0 of the
    first block is what ``SyntheticHands(..., scenes=1)`` shows, as a JPEG. Evaluation has one image of each sample, and
    its hands depend on the seed alone. There are no ``verts`` and no ``mano``, since the hands are made without the
    MANO mesh.

    Files appear whole or not at all, the annotations after all images.

    Args:
        root: The folder to write to; it is made where it does not exist.
        num_samples: Number of training samples, at least 1.
        num_evaluation: Number of evaluation samples, at least 1; by default an eighth of ``num_samples``, nearly
            FreiHAND's own proportion.
        size: Height and width of the hand's square in pixels, at least 8.
        seed: At least 0.
        domain: ``"wild"`` or ``"studio"``, as for ``SyntheticHands``; the same hands in either.
        context: Width of the images divided by the width of the hand's square, at least 1.
        scenes: How many scenes the blocks share in each version, at least 1. With None, each block has its own scene.
        side: ``"both"``, ``"left"`` or ``"right"``. FreiHAND has right hands only.
        progress: Wraps the list of batches, for example ``tqdm``.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is too small, or the folder already holds such a set.

    Examples:
        >>> import tempfile
        >>> root = tempfile.mkdtemp()
        >>> write_freihand(root, num_samples=2, size=64)
        >>> len(FreiHAND(root)), len(FreiHAND(root, "evaluation"))
        (8, 1)
    """
    num_samples = check_int("num_samples", num_samples, low=1)
    if num_evaluation is None:
        num_evaluation = max(1, num_samples // 8)
    num_evaluation = check_int("num_evaluation", num_evaluation, low=1)
    settings = Settings(size, seed, domain, context=context, scenes=scenes, side=side, run=BLOCK)
    check_progress(progress)
    folder = Path(root)
    _check_free(folder)

    splits = (("training", 0, num_samples, _VERSIONS), ("evaluation", _EVALUATION, num_evaluation, 1))
    jobs = []
    for split, start, count, versions in splits:
        (folder / split / "rgb").mkdir(parents=True, exist_ok=True)
        for version in range(versions):
            jobs += [(split, start, count, version, first) for first in range(0, count, _BATCH)]
    labels: dict[str, list[Any]] = {f"{split}_{kind}": [] for split, *_ in splits for kind in ("K", "xyz", "scale")}
    for split, start, count, version, first in jobs if progress is None else progress(jobs):
        samples = range(first, min(first + _BATCH, count))
        hands = render_hands([start + sample for sample in samples], settings, version=version)
        for sample, image in zip(samples, hands.image, strict=True):
            save_image(folder / split / "rgb" / f"{version * count + sample:08d}.jpg", image)
        if version == 0:
            labels[f"{split}_K"] += hands.K.tolist()
            labels[f"{split}_xyz"] += hands.xyz.tolist()
            labels[f"{split}_scale"] += bone_length(hands.xyz).tolist()
    for name, records in labels.items():
        write_text(folder / f"{name}.json", json.dumps(records))


def _check_free(folder: Path) -> None:
    for split in ("training", "evaluation"):
        for found in (*folder.glob(f"{split}_*.json"), *folder.glob(f"{split}/rgb/*.jpg")):
            there = f"{folder}, which already holds {found.relative_to(folder)}"
            raise value_error("root", "a folder without a FreiHAND set", there, "Choose or make an empty folder.")


def save_image(path: Path, image: torch.Tensor) -> None:
    """Write a JPEG, whole or not at all.

    Unlike ``write_whole``, it does not wait for the disk, which would take longer than the rendering. A set is whole
    when its annotations are there, since they are written last.
    """
    part = path.with_name(f".{path.name}")  # it must end in .jpg, which chooses the format
    write_image(part, image, quality=95)
    part.replace(path)
