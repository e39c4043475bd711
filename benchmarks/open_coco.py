"""Measure what it costs to open a COCO file of 250,000 people, beside json.load and pycocotools, and to read pictures.

python benchmarks/open_coco.py                    (about 400 MB on disk, in a temporary folder)
python benchmarks/open_coco.py --people 5000 --pictures 200 --workers 2
"""

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from kornia.io import write_image
from torch.utils.data import DataLoader
from tqdm import trange

from equicon.data import CocoKeypoints, KeypointDataset, read_rgb

POINTS = 17
PER_PICTURE = 2
OUTLINE = 60  # numbers in an outline; COCO has about as many to a person


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--people", type=int, default=250_000, metavar="N", help="people in the file (default: 250000)")
    pictures = "pictures of 640 × 480 pixels that are read (default: 1000)"
    parser.add_argument("--pictures", type=int, default=1000, metavar="N", help=pictures)
    parser.add_argument("--size", type=int, default=256, metavar="PX", help="side of the items (default: 256)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes that read (default: 2)")
    return parser.parse_args(argv)


def write_annotations(path: Path, people: int) -> None:
    """Write a file as COCO's own: the outlines come first in a record, and the categories last in the file."""
    draw = np.random.default_rng(0)
    with path.open("w") as file:
        size = {"height": 480, "width": 640}
        images = [{"id": i, "file_name": f"{i:012d}.jpg", **size} for i in range(-(-people // PER_PICTURE))]
        file.write(f'{{"info": {{}}, "images": {json.dumps(images)}, "annotations": [')
        for i in trange(people, desc="write people", unit="person"):
            points = np.concatenate([draw.integers(0, 480, (POINTS, 2)), draw.integers(1, 3, (POINTS, 1))], 1)
            record = {
                "segmentation": [draw.uniform(0, 480, OUTLINE).round(2).tolist()],
                "num_keypoints": POINTS,
                "area": 1.5,
                "iscrowd": 0,
                "keypoints": points.flatten().tolist(),
                "image_id": i // PER_PICTURE,
                "bbox": [12.25, 30.5, 200.75, 310.0],
                "category_id": 1,
                "id": i,
            }
            file.write((", " if i else "") + json.dumps(record))
        names = [f"point_{i}" for i in range(POINTS)]
        file.write(f'], "categories": {json.dumps([{"id": 1, "name": "person", "keypoints": names}])}}}')


def with_equicon(path: Path) -> object:
    return CocoKeypoints(path, 256)


def with_json(path: Path) -> object:
    with path.open() as file:
        return json.load(file)


def with_pycocotools(path: Path) -> object:
    coco: object = import_module("pycocotools.coco").COCO(path)
    return coco


def peak() -> float:
    """Give the most memory that this process had so far, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def measure(name: str, opens: Callable[[Path], object], path: Path) -> None:
    """Open the file in a process that has imported everything and read nothing."""
    before, start, busy = peak(), time.perf_counter(), time.process_time()
    kept = opens(path)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    count = f", {len(kept):,} people" if isinstance(kept, KeypointDataset) else ""
    memory = f"{peak():6.0f} MB at most, {before:4.0f} MB of them before"
    print(f"{name:14s} {seconds:6.1f} s ({busy:.1f} s of a core), {memory}{count}")


def apart(target: Callable[..., None], *args: object) -> None:
    """Run a function in a fresh process."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=args)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(process.exitcode)


def write_pictures(root: Path, count: int) -> KeypointDataset:
    """Write JPEGs of about 150 kB, and label a person of about half the height in each."""
    draw = torch.Generator().manual_seed(0)
    files = [f"{i:06d}.jpg" for i in range(count)]
    for file in files:
        coarse = torch.rand(1, 3, 60, 80, generator=draw)
        detail = F.interpolate(coarse, (480, 640), mode="bicubic") + 0.05 * torch.rand(3, 480, 640, generator=draw)
        write_image(root / file, (detail[0].clamp(0, 1) * 255).byte(), quality=90)
    corner = torch.rand(count, 2, generator=draw) * 200
    boxes = torch.cat([corner, corner + torch.tensor([120.0, 240.0])], 1)
    xy, visible = boxes.view(count, 2, 2), torch.full((count, 2), 2)
    return KeypointDataset(files, xy, visible, 256, names=["a", "b"], root=root, boxes=boxes)


def read_pictures(data: KeypointDataset, workers: int) -> None:
    """Print how many items a second come, and what the time of one goes to."""
    loader = DataLoader(data, 64, num_workers=workers, persistent_workers=workers > 0)
    for _ in range(2):  # the first epoch starts the workers and fills the file cache
        start = time.perf_counter()
        count = sum(len(batch.image) for batch in loader)
        seconds = time.perf_counter() - start
    print(f"{workers} workers: {count / seconds:,.0f} items of {data.size} px a second")
    some = range(min(len(data), 200))
    start = time.perf_counter()
    for i in some:
        read_rgb(data.path(i))
    decoding = (time.perf_counter() - start) / len(some)
    start = time.perf_counter()
    for i in some:
        data[i]
    whole = (time.perf_counter() - start) / len(some)
    kilobytes = sum(data.path(i).stat().st_size for i in some) / len(some) / 1000
    print(
        f"one process: {1000 * whole:.1f} ms an item, of which {1000 * decoding:.1f} ms read and decode a JPEG of "
        f"640 × 480 pixels and {kilobytes:.0f} kB; {1000 * (whole - decoding):.1f} ms cut and resize it"
    )


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    torch.set_num_threads(1)  # as in a worker
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        data = write_pictures(root, args.pictures).resized(args.size)
        read_pictures(data, args.workers)
        path = root / "annotations.json"
        write_annotations(path, args.people)
        write_image(root / f"{0:012d}.jpg", torch.zeros(3, 480, 640, dtype=torch.uint8))
        print(f"{args.people:,} people, {path.stat().st_size / 2**20:,.0f} MB (goal: 30 s, 1,000 MB)")
        apart(measure, "equicon", with_equicon, path)
        apart(measure, "json.load", with_json, path)
        if find_spec("pycocotools"):
            apart(measure, "pycocotools", with_pycocotools, path)


if __name__ == "__main__":
    main()
