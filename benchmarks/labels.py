"""Measure what a mask, 17 points and a box add to the time of a view, in equicon and beside other libraries.

python benchmarks/labels.py                                       (a CPU, one thread; two minutes)
python benchmarks/labels.py --batches 16 --rounds 3
python benchmarks/labels.py --save docs/results/labels.json

All libraries turn pictures of 224 × 224 by up to 30°, scale them by 0.8 to 1.2, shift them by up to a tenth, and flip
half of them. They read pictures bilinearly, and masks from the nearest pixel. It counts the CPU time of this process
alone. So other work on the machine does not change the ratios.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kornia.augmentation as K
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from tqdm import tqdm

import equicon as eq
from equicon.recipes import cpu_name

SIDE = 224
SIZE = (SIDE, SIDE)
PACKAGES = ("torch", "kornia", "torchvision", "albumentations")
BESIDE, WIDE = "equicon, mask of bytes", "equicon, mask of int64"
GOAL = 1.6

Work = Callable[[], object]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 1], metavar="N", help="pictures at a time")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="timings of each row; the rows take turns")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the figures there too, as JSON")
    return parser.parse_args(argv)


def make_labels(batch: int) -> dict[str, Tensor]:
    """Make pictures with a mask, 17 points and a box each, which lie well inside."""
    pictures = torch.randint(0, 256, (batch, 3, *SIZE), dtype=torch.uint8)
    masks = torch.randint(0, 5, (batch, 1, SIDE // 8, SIDE // 8)).repeat_interleave(8, 2).repeat_interleave(8, 3)
    xy = 50 + 120 * torch.rand(batch, 17, 2)
    return {"pictures": pictures, "masks": masks, "xy": xy, "boxes": torch.cat([xy.amin(1), xy.amax(1)], -1)[:, None]}


def with_equicon(made: dict[str, Tensor], dtype: torch.dtype) -> tuple[Work, Work]:
    augment = eq.Compose([eq.RandomAffine(30, 0.1, (0.8, 1.2)), eq.RandomHorizontalFlip()])
    pictures, masks, xy, boxes = made["pictures"], made["masks"].to(dtype), made["xy"], made["boxes"]

    def labelled() -> object:
        views, g = augment(pictures)
        seen, clipped = g.visible(xy, SIZE), g.clip_boxes(boxes, SIZE)
        return views, g.masks(masks), g.points(xy, SIZE), seen, clipped

    return lambda: augment(pictures), labelled


def with_kornia(made: dict[str, Tensor]) -> tuple[Work, Work]:
    def chain(*keys: str) -> K.AugmentationSequential:
        moves = K.RandomAffine(30.0, (0.1, 0.1), (0.8, 1.2), p=1.0), K.RandomHorizontalFlip(p=0.5)
        return K.AugmentationSequential(*moves, data_keys=list(keys))

    alone, labelled = chain("input"), chain("input", "mask", "keypoints", "bbox_xyxy")
    given = [made["pictures"].float() / 255, made["masks"].float(), made["xy"], made["boxes"]]  # it takes floats
    return lambda: alone(given[0]), lambda: labelled(*given)


def with_torchvision(made: dict[str, Tensor]) -> tuple[Work, Work]:
    move = v2.RandomAffine(30, (0.1, 0.1), (0.8, 1.2), interpolation=v2.InterpolationMode.BILINEAR)
    chain = v2.Compose([move, v2.RandomHorizontalFlip()])
    given = [
        (
            tv_tensors.Image(picture),
            tv_tensors.Mask(mask),
            tv_tensors.KeyPoints(xy, canvas_size=SIZE),
            tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=SIZE),
        )
        for picture, mask, xy, boxes in zip(
            made["pictures"], made["masks"].to(torch.uint8), made["xy"], made["boxes"], strict=True
        )
    ]
    return lambda: [chain(one[0]) for one in given], lambda: [chain(*one) for one in given]


def with_albumentations(made: dict[str, Tensor]) -> tuple[Work, Work]:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # otherwise the import asks PyPI for a newer version
    import albumentations as A  # of the extra peers, so that --help works without it

    def chain(**params: Any) -> Any:
        shift = dict.fromkeys("xy", (-0.1, 0.1))
        move = A.Affine((0.8, 1.2), shift, rotate=(-30, 30), keep_ratio=True, p=1)
        return A.Compose([move, A.HorizontalFlip()], **params)

    alone = chain()
    labelled = chain(keypoint_params=A.KeypointParams("xy"), bbox_params=A.BboxParams("pascal_voc"))
    given = [
        {
            "image": picture.permute(1, 2, 0).contiguous().numpy(),
            "mask": mask[0].numpy(),
            "keypoints": xy.numpy(),
            "bboxes": boxes.numpy(),
        }
        for picture, mask, xy, boxes in zip(
            made["pictures"], made["masks"].to(torch.uint8), made["xy"], made["boxes"], strict=True
        )
    ]
    return lambda: [alone(image=one["image"]) for one in given], lambda: [labelled(**one) for one in given]


ROWS: dict[str, Callable[[dict[str, Tensor]], tuple[Work, Work]]] = {
    BESIDE: partial(with_equicon, dtype=torch.uint8),
    WIDE: partial(with_equicon, dtype=torch.int64),
    "Kornia": with_kornia,
    "torchvision v2": with_torchvision,
    "albumentations": with_albumentations,
}


def milliseconds(work: Work, batch: int) -> float:
    """Measure the CPU time of a picture. Few pictures are taken again, until there are 64."""
    times = max(1, 64 // batch)
    start = time.process_time()
    for _ in range(times):
        work()
    return 1e3 * (time.process_time() - start) / (times * batch)


def measure(batch: int, rounds: int) -> dict[str, dict[str, float]]:
    """Time the rows in turns. Give for each the milliseconds of a picture, alone and with its labels, and the ratio."""
    torch.manual_seed(0)
    made = make_labels(batch)
    works = {name: make(made) for name, make in ROWS.items()}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for turn in tqdm(range(rounds + 1), desc=f"{batch} at a time", leave=False):
        for name, (alone, labelled) in works.items():
            spent = []
            for work in (alone, labelled):
                torch.manual_seed(turn)  # the same views
                spent.append(milliseconds(work, batch))
            if turn:  # the first one fills caches
                times[name].append((spent[0], spent[1]))
    return {
        name: {
            "alone": statistics.median(alone for alone, _ in found),
            "labelled": statistics.median(labelled for _, labelled in found),
            "ratio": statistics.median(labelled / alone for alone, labelled in found),
        }
        for name, found in times.items()
    }


def table_rows(found: dict[str, dict[str, float]]) -> list[str]:
    """Write what was measured as a table in Markdown."""
    rows = ["| | alone, ms | with labels, ms | labels ÷ alone | ÷ equicon |", "|---|---|---|---|---|"]
    for name, one in found.items():
        times = one["labelled"] / found[BESIDE]["labelled"]
        rows.append(f"| {name} | {one['alone']:.2f} | {one['labelled']:.2f} | **{one['ratio']:.2f}** | {times:.2f} |")
    return rows


def show(batch: int, rounds: int, found: dict[str, dict[str, float]]) -> None:
    print(f"\n{batch} at a time, medians of {rounds}: ms for a picture of {SIDE} × {SIDE}")
    print("\n".join(table_rows(found)))
    for name in (BESIDE, WIDE):
        said = "reached" if found[name]["ratio"] <= GOAL else "missed"
        print(f"{name}: labels cost at most {GOAL} × the picture alone: {said}")


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    torch.set_num_threads(1)
    import cv2

    cv2.setNumThreads(1)
    versions = {name: version(name) for name in PACKAGES} | {"OpenCV": cv2.__version__}
    print(f"{date.today()}, {platform.machine()}, 1 thread, {', '.join(' '.join(one) for one in versions.items())}")
    measured = {}
    for batch in args.batches:
        measured[str(batch)] = measure(batch, args.rounds)
        show(batch, args.rounds, measured[str(batch)])
    if args.save is not None:
        args.save.parent.mkdir(parents=True, exist_ok=True)
        told = {"date": str(date.today()), "machine": cpu_name(), "threads": 1, "rounds": args.rounds}
        text = json.dumps({**told, "versions": versions, "milliseconds": measured}, indent=1)
        args.save.write_text(text + "\n", encoding="utf-8")
        print(f"written to {args.save}")


if __name__ == "__main__":
    main()
