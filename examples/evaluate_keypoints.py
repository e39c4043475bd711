"""Test a keypoint model on labelled pictures, and see where it fails.

    python examples/evaluate_keypoints.py runs/keypoints/best.pt --data mouse/test

Give pictures that the model did not learn from: another video, folder or person. The mean pose of its training data,
which looks at no picture, is measured beside it. Files in --out:

    evaluation.json   the errors of the model and of the mean pose: mean distance and root of its mean square [pixels of
                      the pictures], mean distance over the longer side of the box (nme), and the share of keypoints
                      within a fifth of that side (pck); the mean distance of each keypoint; for COCO's labels also the
                      average precision by OKS, if pycocotools is installed
    worst.png         the items with the largest errors, worst first: predicted (dots) and true (circles)
    predictions.json  if the labels are COCO's: the predictions in its format for results
    predictions.csv   if the labels are DeepLabCut's: the predictions in its format
"""

import argparse
import json
import math
import os
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # Ctrl-C during the imports below ends the program without a traceback
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

from equicon.training import need

need("torchvision", "tqdm", "matplotlib")

import matplotlib as mpl

mpl.use("Agg")

import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from equicon.data import (
    CocoKeypoints,
    CorruptImage,
    KeypointDataset,
    write_coco_results,
    write_deeplabcut_predictions,
)
from equicon.keypoints import KeypointPredictor, read_keypoint_model
from equicon.metrics import coco_keypoint_ap, epe
from equicon.recipes import add_prediction
from equicon.recipes.keypoints import (
    MEAN,
    NEAR,
    TUNED,
    KeypointErrors,
    Tested,
    draw_sheet,
    format_keypoint_errors,
    open_for_views,
    run_keypoints,
    short_name,
    stacked,
)
from equicon.training import (
    Help,
    check_device,
    escape_stdout,
    interruptible,
    last_line,
    loading,
    write_figure,
    write_text,
)

SHOWN = 24


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    description = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=description, formatter_class=Help, allow_abbrev=False)
    parser.add_argument("model", type=Path, metavar="MODEL", help="best.pt of finetune_keypoints.py")
    where = "folder with COCO's annotations.json or DeepLabCut's CollectedData*.csv, or one of these files"
    parser.add_argument("--data", required=True, metavar="PATH", help=where)
    add_prediction(parser, batch_size=64)
    out = "folder for the results; if not given, the folder of the model"
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=out)
    args = parser.parse_args(argv)
    check_device(parser, args.device)
    args.out = args.out or args.model.parent
    return args


def main(argv: Sequence[str] | None = None) -> None:
    escape_stdout()
    with interruptible():
        args = parse_args(argv)
        try:
            evaluate(args)
        except CorruptImage as error:
            sys.exit(last_line(error))
        except (OSError, ValueError, ModuleNotFoundError) as error:
            sys.exit(str(error))


def evaluate(args: argparse.Namespace) -> None:
    predictor = read_keypoint_model(args.model)
    task, device = predictor.task, torch.device(args.device)
    data, _ = open_for_views(args.data, task.size)
    if data.names != task.names:
        sys.exit(f"--data: expected the keypoints of the model, {listed(task.names)}, got {listed(data.names)}.")
    print(f"{args.model}: {task.head} on {task.arch}, views of {task.size} × {task.size} pixels, tested on {args.data}")
    predictor.model.to(device)
    loader = tqdm(DataLoader(data, args.batch_size, **loading(args)), desc="evaluate", leave=False)
    tested = run_keypoints(predictor, loader, device, views=args.views)
    xy = data.to_source(tested.xy, tested.items)
    far = epe(xy, data.xy, visible=data.visible > 0, reduction="none")
    figure = draw_worst(tested, data, predictor, far.nanmean(1))
    write_figure(args.out / "worst.png", figure)
    plt.close(figure)
    written = write_predictions(tested, data, xy, args)
    errors = tested.errors(data)
    found = results(errors, data, far.nanmean(0), args) | average_precision(data, written)
    write_text(args.out / "evaluation.json", json.dumps(found, indent=1) + "\n")
    print(f"{len(data):,} items\n{format_keypoint_errors(errors)}")
    if "oks" in found:
        print("OKS: " + ", ".join(f"{name} {value:.3f}" for name, value in found["oks"].items() if value is not None))
    print(f"See {args.out / 'worst.png'}. Predictions are in {written}.")


def listed(names: Sequence[str]) -> str:
    """Name a few keypoints, and say how many there are."""
    return f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def results(
    errors: dict[str, KeypointErrors], data: KeypointDataset, far: Tensor, args: argparse.Namespace
) -> dict[str, Any]:
    """Collect the errors of the model and of the mean pose, and the mean distance (K,) of each keypoint."""
    return {
        "count": len(data),
        "model": errors[TUNED]._asdict(),
        "mean pose": errors[MEAN]._asdict(),
        "pixels of each": {name: number_or_none(value) for name, value in zip(data.names, far.tolist(), strict=True)},
        "pck within": NEAR,
        "weights": str(args.model),
        "data": str(args.data),
        "views": args.views,
    }


def average_precision(data: KeypointDataset, predictions: Path) -> dict[str, dict[str, float | None]]:
    """Measure COCO's average precision, if the labels are COCO's and pycocotools is installed."""
    if not isinstance(data, CocoKeypoints) or find_spec("pycocotools") is None:
        return {}
    found = coco_keypoint_ap(data.file, predictions)
    return {"oks": {name: number_or_none(value) for name, value in found.items()}}


def number_or_none(value: float) -> float | None:
    """JSON knows no NaN, which stands for what was not measured."""
    return None if math.isnan(value) else value


def draw_worst(tested: Tested, data: KeypointDataset, predictor: KeypointPredictor, far: Tensor) -> Figure:
    """Draw the items with the largest mean distance (N,), relative to their boxes."""
    sides = (data.boxes[:, 2:] - data.boxes[:, :2]).amax(1)
    order = (far / sides).argsort(descending=True)[:SHOWN].tolist()
    first = stacked(data, order)
    titles = [f"{short_name(data.path(i))}: {far[i]:.1f} px" for i in order]
    return draw_sheet(
        first.image / 255, tested.xy[order], predictor.task.skeleton, first.xy, first.visible, titles, columns=6
    )


def write_predictions(tested: Tested, data: KeypointDataset, xy: Tensor, args: argparse.Namespace) -> Path:
    coco = isinstance(data, CocoKeypoints)
    path: Path = args.out / ("predictions.json" if coco else "predictions.csv")
    (write_coco_results if coco else write_deeplabcut_predictions)(path, data, xy, tested.confidence)
    return path


if __name__ == "__main__":
    main()
