"""Measure what it costs to open FreiHAND at full size: seconds, memory beyond imports, and each worker's own memory.

python benchmarks/open_freihand.py            (130,240 images; half a gigabyte on disk, in a temporary folder)
python benchmarks/open_freihand.py --records 500
python benchmarks/open_freihand.py --verts    (writes and reads 1.5 GB of vertices as well)
"""

import argparse
import gc
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from kornia.io import write_image
from torch.utils.data import DataLoader, TensorDataset, default_collate
from tqdm import tqdm, trange

from equicon.hands import FreiHAND, Hand

SHAPES = {"xyz": (21, 3), "scale": (), "verts": (778, 3), "K": (3, 3)}  # K is written last: it marks a complete folder


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    records = "samples to write, with four images each (default: 32560, as in FreiHAND)"
    parser.add_argument("--records", type=int, default=32_560, metavar="N", help=records)
    parser.add_argument("--verts", action="store_true", help="write and read the vertices too")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes that read images (default: 2)")
    root = "folder for the data set; it is kept, and read if it holds one already (default: a temporary folder)"
    parser.add_argument("--root", type=Path, metavar="FOLDER", help=root)
    return parser.parse_args(argv)


def make(root: Path, records: int, verts: bool) -> None:
    """Write the missing files of a data set in FreiHAND's layout.

    The labels are random. All images are copies of one 16 × 16 JPEG.
    """
    folder = root / "training" / "rgb"
    if not (root / "training_K.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_image(folder / "00000000.jpg", torch.full((3, 16, 16), 128, dtype=torch.uint8))
        image = (folder / "00000000.jpg").read_bytes()
        for number in trange(4 * records, desc="write images", unit="img"):
            (folder / f"{number:08d}.jpg").write_bytes(image)
    for kind, shape in SHAPES.items():
        path = root / f"training_{kind}.json"
        if path.exists() or (kind == "verts" and not verts):
            continue
        generator = torch.Generator().manual_seed(0)
        with path.open("w") as file:
            for i in trange(records, desc=f"write {kind}", unit="record"):
                # The published files have all digits of float64 too.
                record = torch.rand(shape, generator=generator, dtype=torch.float64)
                if kind == "K":  # a possible camera matrix
                    record = record.triu() + torch.diag(record.new_tensor([400.0, 400.0, 0.0]))
                    record[2, 2] = 1.0
                file.write(("[" if i == 0 else ", ") + json.dumps(record.tolist()))
            file.write("]")


def memory(what: str, file: str = "status") -> float:
    """Give a number that Linux keeps about this process, in MB; NaN on other systems."""
    try:
        lines = Path(f"/proc/self/{file}").read_text().splitlines()
    except OSError:
        return float("nan")
    return sum(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


class Meter:
    """Measures time and memory from the moment it is made."""

    def __init__(self) -> None:
        if Path("/proc/self/clear_refs").exists():
            Path("/proc/self/clear_refs").write_text("5")  # reset the peak
        self.memory, self.start = memory("VmRSS"), time.perf_counter()

    def show(self, what: str, goal: str = "") -> None:
        """Print the time, the peak of memory, and the memory that stays in use."""
        seconds = time.perf_counter() - self.start
        most, stay = memory("VmHWM") - self.memory, memory("VmRSS") - self.memory
        print(f"{what:34s} {seconds:6.2f} s, {most:5.0f} MB at most, {stay:5.0f} MB stay {goal}")


def bare(_: object) -> float:
    """Give the memory that a worker without data has for itself.

    It copies Python's objects when it counts references.
    """
    gc.collect()
    return memory("Private", "smaps_rollup")


def collate(hands: list[Hand]) -> tuple[int, int, float]:
    """Collate a batch as usual, and give the number of images, the process, and the memory that it has for itself."""
    return len(default_collate(hands).image), os.getpid(), memory("Private", "smaps_rollup")


def measure(root: Path, workers: int, verts: bool) -> None:
    """Open the data set, in a process that has imported everything and read nothing."""
    meter = Meter()
    data = FreiHAND(root)
    meter.show(f"open {len(data):,} images", "(goal: 10 s, 300 MB)")
    if verts:
        meter = Meter()
        size = data.verts.nbytes / 2**20
        meter.show(f"read the vertices, {size:.0f} MB")
    labels = sum(t.nbytes for t in (data.K, data.xyz, data.scale, *([data.verts] if verts else []))) / 2**20
    print(f"{'this process':34s} {memory('VmRSS'):6.0f} MB, of which the labels are {labels:.0f} MB")
    nothing = next(iter(DataLoader(TensorDataset(torch.zeros(1)), num_workers=1, collate_fn=bare)))
    private: dict[int, float] = {}
    loader = DataLoader(data, 64, num_workers=workers, collate_fn=collate)
    with tqdm(total=len(data), desc=f"read images, {workers} workers", unit="img") as bar:
        for count, process, own in loader:
            private[process] = own
            bar.update(count)
    for process, own in private.items():
        print(f"{f'worker {process} has for itself':34s} {own:6.0f} MB, and a worker without data {nothing:.0f} MB")


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        root = args.root or Path(temporary)
        make(root, args.records, args.verts)
        # A fresh process has only its imports in memory.
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(root, args.workers, args.verts))
        process.start()
        process.join()
    if process.exitcode:
        sys.exit(process.exitcode)


if __name__ == "__main__":
    main()
