"""Part sets of photographs into training and test parts, as folders of links to the original pictures."""

import csv
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from equicon.data import CocoKeypoints, DeepLabCutKeypoints, KeypointDataset, UnlabelledImages, open_keypoints
from equicon.recipes.keypoints import sum_labels
from equicon.training import write_text
from real_images.sets import Labelled
from real_images.sizes import Preset

SEED = 20_000
"""The seed of the first test part. No run has it, so that validation is drawn in another way."""

TEST = 0.2
"""The share of the items that is held out for tests."""

STRETCH = 128
"""Pictures of rooms are frames of recordings: so many neighbours are one group."""

HEADERS = ("scorer", "individuals", "bodyparts", "coords")


def part_set(task: Labelled, source: Path, out: Path, preset: Preset) -> None:
    """Write ``OUT/data/SET/PART/train`` and ``.../test``, unless this was done before.

    FreiHAND's layout has a part for tests of its own, and stays where it is.

    Args:
        task: The set.
        source: Its folder.
        out: The folder of the study.
        preset: The sizes of the study.

    Raises:
        ValueError: If the set cannot be read, or was begun with other labels.
    """
    if task.program == "freihand":
        if not (source / "evaluation_xyz.json").is_file():
            raise ValueError(f"expected FreiHAND's layout with evaluation_xyz.json, got {source}.")
        return
    data = open_keypoints(source, 32)
    for part in range(task.parts(preset)):
        folder = out / "data" / task.name / str(part)
        rest, held = data.split(TEST, seed=SEED + part)
        check_apart(rest, held)
        sum_ = {"labels": sum_labels(data), "groups": int(held.groups.unique().numel()), "items": len(held)}
        about = folder / "about.json"
        if about.exists():
            if json.loads(about.read_bytes()) != sum_:
                raise ValueError(f"{folder} was made from other labels than those of {source}. Give another --out.")
            continue
        shutil.rmtree(folder, ignore_errors=True)
        for name, some in (("train", rest), ("test", held)):
            write_part(some, folder / name)
        check_apart(open_keypoints(folder / "train", 32), open_keypoints(folder / "test", 32), groups=False)
        write_text(about, json.dumps(sum_))


def check_apart(rest: KeypointDataset, held: KeypointDataset, *, groups: bool = True) -> None:
    """Check that no group, and no picture, is in both parts.

    Args:
        rest: The training part.
        held: The test part.
        groups: Whether the parts come from the same reading, so that the numbers of their groups mean the same.

    Raises:
        ValueError: If something is in both.
    """
    both = set(rest.groups.tolist()) & set(held.groups.tolist()) if groups else set()
    shared = pictures_of(rest) & pictures_of(held)
    if both or shared:
        raise ValueError(
            f"expected parts that share nothing, got {len(both)} groups and {len(shared)} pictures in both."
        )


def pictures_of(data: KeypointDataset) -> set[str]:
    """List the files of a data set, links resolved."""
    return {os.path.realpath(data.path(i)) for i in range(len(data))}


def write_part(data: KeypointDataset, folder: Path) -> None:
    """Write some items of a data set in its own layout, with links to its pictures.

    Args:
        data: The items.
        folder: The folder to write to, which must not exist.

    Raises:
        ValueError: If the labels are in none of the layouts.
    """
    for i in range(len(data)):
        link(folder / data.path(i).relative_to(data.root), data.path(i))
    if isinstance(data, CocoKeypoints):
        write_text(folder / "annotations.json", json.dumps(coco_part(data)))
    elif isinstance(data, DeepLabCutKeypoints):
        with (folder / "CollectedData.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(table_part(data))
    else:
        raise ValueError(f"expected COCO's or DeepLabCut's layout, got {type(data).__name__}.")


def coco_part(data: CocoKeypoints) -> dict[str, Any]:
    """Take the records of some items out of their file."""
    whole: dict[str, Any] = json.loads(data.file.read_bytes())
    kept = set(data.image_ids.tolist())
    pictures = [picture for picture in whole["images"] if picture["id"] in kept]
    people = [person for person in whole["annotations"] if person["image_id"] in kept]
    return {"images": pictures, "annotations": people, "categories": whole["categories"]}


def table_part(data: DeepLabCutKeypoints) -> list[list[str]]:
    """Take the header and the rows of some items out of their tables."""
    names = {data.path(i).relative_to(data.root).as_posix() for i in range(len(data))}
    header: list[list[str]] = []
    kept: list[list[str]] = []
    for table in data.tables:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
        top = [row for row in rows if row[0] in HEADERS]
        coords = next(row for row in top if row[0] == "coords")
        lead = next(i for i, cell in enumerate(coords) if i and cell)
        header = header or top
        named = (("/".join(cell for cell in row[:lead] if cell).replace("\\", "/"), row) for row in rows[len(top) :])
        kept += [row for name, row in named if name in names]
    if len(kept) != len(names):
        raise ValueError(f"expected the {len(names)} pictures in {data.tables[0]} and so on, got {len(kept)} of them.")
    return header + kept


def group_pictures(source: Path, out: Path) -> None:
    """Write ``OUT/data/real_hands``, with a folder for each group of pictures, unless this was done before.

    What stands before the first digit of a name tells the recordings apart. The pictures of rooms come in stretches.

    Args:
        source: The folder of the pictures.
        out: The folder of the study.

    Raises:
        ValueError: If the folder holds no pictures.
    """
    folder, about = out / "data" / "real_hands", out / "data" / "real_hands.json"
    pictures = UnlabelledImages(source, 8)
    names = [pictures.path(i).relative_to(source).as_posix() for i in range(len(pictures))]
    digest = {"names": hashlib.sha256("\n".join(names).encode()).hexdigest()}
    if about.exists():
        if json.loads(about.read_bytes()) != digest:
            raise ValueError(f"{folder} was made from other pictures than those of {source}. Give another --out.")
        return
    shutil.rmtree(folder, ignore_errors=True)
    for name, group in zip(names, groups_of(names), strict=True):
        link(folder / group / name.replace("/", "-"), source / name)
    write_text(about, json.dumps(digest))


def groups_of(names: list[str]) -> list[str]:
    """Name the group of each picture.

    Args:
        names: Paths of pictures, sorted.
    """
    seen: dict[str, int] = {}
    found = []
    for name in names:
        head = re.split(r"\d", name.replace("/", "-"), maxsplit=1)[0].strip("-_ .") or "pictures"
        seen[head] = seen.get(head, -1) + 1
        found.append(f"{head}-{seen[head] // STRETCH}" if head == "rooms" else head)
    return found


def link(path: Path, picture: Path) -> None:
    """Link to a picture, which stays where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_symlink():
        path.symlink_to(picture.resolve())
