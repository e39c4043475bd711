"""Find keypoints in pictures or in a video, with a model of your own, and look at what it finds.

    python examples/predict_keypoints.py runs/keypoints/best.pt mouse/videos/monday.mp4
    python examples/predict_keypoints.py runs/keypoints/best.pt mouse/new-pictures --out runs/new

Each picture should show one animal, person or thing, as large as in the training data. With --boxes, a JSON file says
where things are: {"a.png": [x1, y1, x2, y2], "b.png": [[x1, y1, x2, y2], ...]}. Files in --out:

    predictions.csv   x, y and likelihood of each keypoint, in DeepLabCut's format: a row for each frame or picture
    predicted.mp4     of a video: the video with the keypoints painted on it, as opaque as the model is sure
    predicted.png     of pictures: some of them with the keypoints
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

if __name__ == "__main__":  # Ctrl-C during the imports below ends the program without a traceback
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

from equicon.training import need

need("torchvision", "tqdm", "matplotlib")

import matplotlib as mpl

mpl.use("Agg")

import torch
from matplotlib import pyplot as plt
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from equicon.data import (
    CorruptImage,
    VideoFrames,
    is_video,
    write_deeplabcut_predictions,
    write_video,
    write_video_predictions,
)
from equicon.keypoints import KeypointPredictor, read_keypoint_model
from equicon.recipes import add_prediction, views_generator
from equicon.recipes.keypoints import (
    average_keypoints,
    draw_sheet,
    open_pictures,
    overlay,
    run_keypoints,
    short_name,
    stacked,
)
from equicon.training import Help, check_device, escape_stdout, interruptible, last_line, loading, write_figure

SHOWN = 24


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    description = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=description, formatter_class=Help, allow_abbrev=False)
    parser.add_argument("model", type=Path, metavar="MODEL", help="best.pt of finetune_keypoints.py")
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a picture, a folder of pictures, or a video")
    boxes = (
        'JSON file with boxes, {"a.png": [x1, y1, x2, y2], "b.png": [[...], ...]}; without one, each picture shows one '
        "thing, which fills it"
    )
    parser.add_argument("--boxes", type=Path, metavar="FILE", help=boxes)
    add_prediction(parser, batch_size=32)
    parser.add_argument("--out", type=Path, default=Path("runs/predicted"), metavar="FOLDER", help="folder to write to")
    args = parser.parse_args(argv)
    check_device(parser, args.device)
    return args


def main(argv: Sequence[str] | None = None) -> None:
    escape_stdout()
    with interruptible():
        args = parse_args(argv)
        try:
            if not args.source.exists():
                sys.exit(
                    f"SOURCE: expected a picture, a folder of pictures, or a video, got {args.source}, which is none."
                )
            predictor = read_keypoint_model(args.model)
            predictor.model.to(args.device)
            if is_video(args.source):
                predict_video(predictor, args)
            else:
                predict_pictures(predictor, args)
        except CorruptImage as error:
            sys.exit(last_line(error))
        except (OSError, ValueError, ModuleNotFoundError) as error:
            sys.exit(str(error))


def predict_pictures(predictor: KeypointPredictor, args: argparse.Namespace) -> None:
    task = predictor.task
    data = open_pictures(args.source, task, boxes=args.boxes)
    loader = tqdm(DataLoader(data, args.batch_size, **loading(args)), desc="predict", unit="batch")
    found = run_keypoints(predictor, loader, torch.device(args.device), views=args.views)
    write_deeplabcut_predictions(
        args.out / "predictions.csv", data, data.to_source(found.xy, found.items), found.confidence
    )
    chosen = torch.linspace(0, len(data) - 1, min(SHOWN, len(data))).round().long().tolist()
    titles = [short_name(data.path(i)) for i in chosen]
    shown = stacked(data, chosen)
    figure = draw_sheet(shown.image / 255, found.xy[chosen], task.skeleton, titles=titles, columns=6)
    write_figure(args.out / "predicted.png", figure)
    plt.close(figure)
    print(f"{len(data):,} items: {args.out / 'predictions.csv'}. See {args.out / 'predicted.png'}.")


def predict_video(predictor: KeypointPredictor, args: argparse.Namespace) -> None:
    if args.boxes:
        sys.exit("--boxes: expected a folder of pictures with it, got a video.")
    task, device = predictor.task, torch.device(args.device)
    video = VideoFrames(args.source, task.size)
    xy, confidence, generator = [], [], views_generator()
    for batch in tqdm(DataLoader(video, args.batch_size, **loading(args)), desc="predict", unit="batch"):
        image, box = batch.image.to(device), batch.box.to(device)
        found = average_keypoints(predictor, image, box, args.views, generator)
        xy.append(video.to_source(found.xy.cpu()))
        confidence.append(found.confidence.cpu())
    places, sure = torch.cat(xy), torch.cat(confidence)
    write_video_predictions(args.out / "predictions.csv", task.names, places, sure)
    painted = paint(video, places, sure, task.skeleton)
    write_video(args.out / "predicted.mp4", painted, video.frame_rate)
    print(f"{len(video):,} frames: {args.out / 'predictions.csv'}. See {args.out / 'predicted.mp4'}.")


def paint(video: VideoFrames, xy: Tensor, confidence: Tensor, skeleton: Sequence[tuple[int, int]]) -> Iterator[Tensor]:
    for number, frame in tqdm(video.frames(), total=len(video), desc="paint", unit="frame"):
        yield overlay(frame, xy[number], skeleton, confidence[number])


if __name__ == "__main__":
    main()
