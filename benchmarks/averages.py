"""Measure what averages over views gain and cost: the errors of the 2.5D model that comes with equicon, and the time.

The hands are rendered, and the model never saw them. It predicts as examples/evaluate_freihand.py does. The spread over
the views tells how sure the model is, so the last columns compare it with the error of each hand.

python benchmarks/averages.py
python benchmarks/averages.py --degrees 45 --scale 0.7 1.3 --translate 0.1      (the views of training)
"""

import argparse
import platform
import time
from collections.abc import Sequence
from datetime import date

import torch
from torch import Tensor
from tqdm import tqdm

import equicon as eq
from equicon.hands import Hand, Pose25D, SyntheticHands, bone_length, pose_errors, project, read_pose25d
from equicon.recipes import average_pose, views_generator

MODEL = "hands-r18-quarter-pose"
SEED = 2**31 - 1  # of the hands, which no training run uses
FIRST = 0.65  # the first box over the image, as in examples/evaluate_freihand.py


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    hands = "hands of each domain (default: 500)"
    parser.add_argument("--hands", type=int, default=500, metavar="N", help=hands)
    views = "numbers of views, with the plain one (default: 1 2 4 8 16)"
    parser.add_argument("--views", type=int, nargs="+", default=[1, 2, 4, 8, 16], metavar="N", help=views)
    parser.add_argument("--degrees", type=float, default=15.0, help="views are turned by up to this (default: 15)")
    shift = "and shifted by up to this share of their side (default: 0.05)"
    parser.add_argument("--translate", type=float, default=0.05, metavar="SHARE", help=shift)
    scale = "and scaled by a factor in this range (default: 0.9 1.1)"
    parser.add_argument("--scale", type=float, nargs=2, default=[0.9, 1.1], metavar=("LOW", "HIGH"), help=scale)
    parser.add_argument("--batch-size", type=int, default=50, metavar="N", help="hands at a time (default: 50)")
    return parser.parse_args(argv)


def load() -> tuple[Pose25D, eq.Pretrained]:
    kept = eq.pretrained(MODEL)
    model = Pose25D(kept.encoder, kept.width)
    eq.load_weights(model, read_pose25d(MODEL), MODEL)
    return model.eval(), kept


@torch.inference_mode()
def predict(
    model: Pose25D, kept: eq.Pretrained, hand: Hand, views: int, augment: eq.EquivariantTransform, batch: int
) -> tuple[Tensor, Tensor, float]:
    """Predict joints (N, 21, 3) in metres, and give the mean spread (N,) of each hand in pixels, and the seconds."""
    joints, spreads, generator = [], [], views_generator()
    start = time.perf_counter()
    for images, K, xyz in tqdm(
        zip(*(part.split(batch) for part in (hand.image, hand.K, hand.xyz)), strict=True), desc=f"{views}", leave=False
    ):
        found = average_pose(
            model,
            images,
            K,
            views=views,
            size=kept.size[0],
            first=FIRST,
            normalize=kept.normalize,
            generator=generator,
            augment=augment,
        )
        joints.append(found.pose.joints(bone_length(xyz)))
        magnified = found.frame.linear.det().abs().sqrt() * kept.size[0] / images.shape[-1]
        spreads.append(found.spread.norm(dim=-1).mean(1) / magnified)
    return torch.cat(joints), torch.cat(spreads), time.perf_counter() - start


def spearman(one: Tensor, other: Tensor) -> float:
    ranks = torch.stack([value.argsort().argsort().double() for value in (one, other)])
    return float(torch.corrcoef(ranks)[0, 1])


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    model, kept = load()
    augment = eq.RandomAffine(args.degrees, args.translate, tuple(args.scale))
    print(f"{date.today()}, {platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{MODEL}, {args.hands} hands of each domain, images of {kept.size[0]} pixels, {augment}")
    print("domain  views  2D px   gain ± standard error   from the wrist mm   PA mm   EPE mm   ms/image   Spearman")
    for domain in ("studio", "wild"):
        hand = SyntheticHands(args.hands, kept.size[0], SEED, domain, side="right").render(range(args.hands))
        first: Tensor | None = None
        for views in args.views:
            joints, spread, seconds = predict(model, kept, hand, views, augment, args.batch_size)
            errors = pose_errors(joints, hand.xyz, hand.K)
            each = (project(joints, hand.K) - hand.xy).norm(dim=-1).mean(1)
            first = each if first is None else first
            gain, doubt = (first - each).mean(), (first - each).std() / len(each) ** 0.5
            rank = f"{spearman(spread, each):.2f}" if views > 1 else "-"
            print(
                f"{domain:7s} {views:5d} {errors.px:6.2f} {gain:10.2f} ± {doubt:.2f} {errors.mm:24.1f}"
                f" {errors.pa_mm:9.1f} {errors.epe_mm:8.1f} {1e3 * seconds / args.hands:9.2f} {rank:>10s}",
                flush=True,
            )


if __name__ == "__main__":
    main()
