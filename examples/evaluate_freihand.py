"""Test a fine-tuned model by FreiHAND's official protocol, and write the file that its leaderboard takes.

Test on rendered hands that the model never saw:

    python examples/evaluate_freihand.py runs/finetune/best.pt

Test on the evaluation set of FreiHAND, unpacked at data/freihand. The models that PeCLR's authors released work too:

    python examples/evaluate_freihand.py runs/tenth/best.pt --data data/freihand --out runs/tenth
    python examples/evaluate_freihand.py rn50_peclr_yt3d-fh_pt_fh_ft.pth --data data/freihand --out runs/released

The model predicts each image twice: first from the middle of the image, then from a crop around the hand that it found
there. The data set gives the length of one bone with each image. This length turns bone lengths into metres. Files in
--out:

    pred.zip         pred.json: joints (21, 3) of every image in metres, and vertices (778, 3), which are all 0 because
                     the model has no mesh
    evaluation.json  if there are labels: EPE, PA-EPE, their medians, AUC and PCK, as in the official program
    pck.png          if there are labels: the share of joints within each error
    predictions.png  the first images, with the predicted joints
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

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

from equicon import Normalize, list_pretrained, load_weights
from equicon._pretrained.files import is_stored, read_stored
from equicon.data import CorruptImage
from equicon.hands import (
    FreiHAND,
    Hand,
    Pose25D,
    SyntheticHands,
    bone_length,
    pose_errors,
    project,
    read_pose25d,
    write_leaderboard,
)
from equicon.metrics import epe, pck, procrustes_align
from equicon.recipes import (
    add_prediction,
    average_pose,
    build_encoder,
    draw_skeletons,
    network_name,
    render,
    views_generator,
)
from equicon.training import (
    Help,
    WeightsError,
    check_device,
    escape_stdout,
    interruptible,
    last_line,
    loading,
    number,
    read_arguments,
    whole,
    write_figure,
    write_text,
)

SEED = 2**31 - 1  # the seed of the rendered hands, which no training run uses
CENTRAL = {"synthetic": 0.65}  # the first box over the image: rendered hands are larger than FreiHAND's
THRESHOLDS = torch.linspace(0, 0.05, 100, dtype=torch.float64)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    description = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=description, formatter_class=Help, allow_abbrev=False)
    model = "best.pt of finetune_freihand.py, a released fine-tuned model, or the name of one that comes with equicon"
    parser.add_argument("model", type=Path, metavar="MODEL", help=model)
    data = "'synthetic' renders hands; any other value is FreiHAND's folder; if not given, what the model learned from"
    parser.add_argument("--data", help=data)
    parser.add_argument("--hands", type=whole(1), default=1000, metavar="N", help="hands to render and test on")
    beside = "if not given, as in arguments.json beside the model, else"
    parser.add_argument("--arch", type=network_name, metavar="NAME", help=f"the model's encoder; {beside} resnet50")
    size = f"side of the square views [pixels]; {beside} 224"
    parser.add_argument("--size", type=whole(8), metavar="PIXELS", help=size)
    first = "side of the first box over the side of the image; if not given, 0.33 as officially, 0.65 on rendered hands"
    parser.add_argument("--first", type=number(above=0.0), metavar="SHARE", help=first)
    add_prediction(parser, batch_size=64)
    out = "folder for the results; if not given, the folder of the model, or runs/NAME for one that comes with equicon"
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=out)
    args = parser.parse_args(argv)
    check_device(parser, args.device)
    begun = read_arguments(args.model.parent)
    if is_stored(args.model):
        try:
            about = read_stored(args.model).about
        except (OSError, ValueError) as error:
            parser.error(str(error))
        begun = {"arch": about["arch"], "size": about["size"][0], "normalize": Normalize(about["mean"], about["std"])}
    if isinstance(begun.get("data"), list):
        begun = {}  # the arguments of pre-training: load_model says that an encoder cannot be tested
    args.data = args.data or begun.get("data", "synthetic")
    args.arch = args.arch or begun.get("arch", "resnet50")
    args.size = args.size or begun.get("size", 224)
    args.side = begun.get("side", "right")
    args.normalize = begun.get("normalize", Normalize.imagenet())
    args.first = args.first or CENTRAL.get(args.data, 0.33)
    args.out = args.out or (Path("runs") / args.model if str(args.model) in list_pretrained() else args.model.parent)
    return args


class Tested(NamedTuple):
    """Hands to test on: their images and cameras, the length of a bone [m] for each, and whether joints are known."""

    hands: Any
    scale: Tensor
    labelled: bool


def load_data(args: argparse.Namespace) -> Tested:
    if args.data == "synthetic":
        (hands,) = render(SyntheticHands(args.hands, args.size, SEED, "studio", side=args.side))
        xyz = torch.stack([hand.xyz for hand in hands.hands])
        return Tested(hands, bone_length(xyz), True)
    data = FreiHAND(args.data, "evaluation")
    return Tested(data, data.scale, bool(data[0].xyz.isfinite().all()))


def load_model(args: argparse.Namespace) -> Pose25D:
    encoder, width = build_encoder(args.arch, "none", size=args.size)
    model = Pose25D(encoder, width)
    state = read_pose25d(args.model)
    try:
        load_weights(model, state, str(args.model))
    except ValueError as error:
        raise ValueError(f"{error} Give its --arch.") from error
    return model.eval().to(args.device).to(memory_format=torch.channels_last)


@torch.inference_mode()
def predict(model: Pose25D, tested: Tested, args: argparse.Namespace) -> tuple[Tensor, Tensor, Tensor]:
    """Predict joints (N, 21, 3) in metres, and give them with the true joints and K."""
    found, generator = [], views_generator()
    loader = DataLoader(tested.hands, args.batch_size, **loading(args))
    with tqdm(total=len(tested.scale), desc="evaluate", unit="img") as bar:
        for hand, scale in zip(loader, tested.scale.split(args.batch_size), strict=True):
            images, K = hand.image.to(args.device), hand.K.to(args.device)
            pose, _, _ = average_pose(
                model,
                images,
                K,
                views=args.views,
                size=args.size,
                first=args.first,
                normalize=args.normalize,
                generator=generator,
            )
            found.append((pose.joints(scale.to(args.device)).cpu(), hand.xyz, hand.K))
            bar.update(len(images))
    joints, xyz, K = (torch.cat(values) for values in zip(*found, strict=True))
    return joints, xyz, K


def measure(joints: Tensor, xyz: Tensor, K: Tensor) -> dict[str, Any]:
    """Measure as the official program does, in centimetres. Our own measures are in pixels and from the wrist."""
    joints, xyz = joints.double(), xyz.double()
    aligned = procrustes_align(joints, xyz)
    errors = pose_errors(joints, xyz, K)
    return {
        "hands": len(joints),
        "EPE [cm]": errors.epe_mm / 10,
        "median EPE [cm]": 100 * epe(joints, xyz, reduction="median").item(),
        "AUC": errors.auc,
        "PA-EPE [cm]": errors.pa_mm / 10,
        "median PA-EPE [cm]": 100 * epe(aligned, xyz, reduction="median").item(),
        "PA-AUC": errors.pa_auc,
        "from the wrist [cm]": errors.mm / 10,
        "2D [px]": errors.px,
        "thresholds [cm]": (100 * THRESHOLDS).tolist(),
        "PCK": pck(joints, xyz, THRESHOLDS).tolist(),
        "PA-PCK": pck(aligned, xyz, THRESHOLDS).tolist(),
    }


def draw_pck(found: dict[str, Any]) -> Figure:
    figure, axis = plt.subplots(figsize=(5, 3.6))
    at = found["thresholds [cm]"]
    for name, prefix in (("as predicted", ""), ("after alignment (PA)", "PA-")):
        label = f"{name}: EPE {found[f'{prefix}EPE [cm]']:.2f} cm, AUC {found[f'{prefix}AUC']:.3f}"
        axis.plot(at, found[f"{prefix}PCK"], label=label)
    axis.set(xlabel="error at most [cm]", ylabel="share of joints (PCK)", xlim=(0, 5), ylim=(0, 1))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    figure.tight_layout()
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    escape_stdout()
    with interruptible():
        args = parse_args(argv)
        try:
            evaluate(args)
        except CorruptImage as error:
            sys.exit(last_line(error))
        except (OSError, ValueError, WeightsError) as error:
            sys.exit(str(error))


def evaluate(args: argparse.Namespace) -> None:
    print(f"{args.model}: {args.arch}, views of {args.size} × {args.size} pixels, tested on {args.data}")
    model, tested = load_model(args), load_data(args)
    joints, xyz, K = predict(model, tested, args)
    first = [tested.hands[index] for index in range(min(8, len(joints)))]
    shown = Hand(*(torch.stack(field) for field in zip(*first, strict=True)))
    figure = draw_skeletons(shown.image / 255, project(joints[:8], shown.K), shown.xy if tested.labelled else None)
    write_figure(args.out / "predictions.png", figure)
    plt.close(figure)
    write_leaderboard(args.out / "pred.zip", joints)
    if tested.labelled:
        found = measure(joints, xyz, K) | {"model": str(args.model), "data": args.data, "views": args.views}
        write_text(args.out / "evaluation.json", json.dumps(found, indent=1) + "\n")
        curve = draw_pck(found)
        write_figure(args.out / "pck.png", curve)
        plt.close(curve)
        print(
            f"{len(joints):,} hands: EPE {found['EPE [cm]']:.2f} cm (AUC {found['AUC']:.3f}), "
            f"PA-EPE {found['PA-EPE [cm]']:.2f} cm (AUC {found['PA-AUC']:.3f}), "
            f"from the wrist {found['from the wrist [cm]']:.2f} cm, 2D {found['2D [px]']:.2f} px of the image"
        )
    else:
        print(f"{len(joints):,} hands. {args.data} has no labels, so there are no errors to report.")
    print(f"For the leaderboard: {args.out / 'pred.zip'} (checked by reading it). See {args.out / 'predictions.png'}.")


if __name__ == "__main__":
    main()
