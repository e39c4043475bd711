"""Measure how often the surroundings of a hand tell which image a view shows.

If they tell, a contrastive loss need not learn the pose.

For each image of a batch, two views are made with the paper's augmentation. A view is described by something that knows
no pose: the mean and the standard deviation of each colour, outside the hand. The table shows how often, of all second
views, the nearest one belongs to the same image, or to another version of the same hand. Images that share a scene give
little away.

python benchmarks/surroundings.py
python benchmarks/surroundings.py --data data/freihand
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import default_collate

import equicon as eq
from equicon.data import GroupedBatchSampler
from equicon.hands import FreiHAND, Hand, write_freihand

SIZE = (64, 64)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data = "folder of FreiHAND; if not given, hands are rendered in its layout"
    parser.add_argument("--data", type=Path, metavar="FOLDER", help=data)
    samples = "hands to render, in four versions each (default: 256)"
    parser.add_argument("--samples", type=int, default=256, metavar="N", help=samples)
    domain = "look of rendered hands; studio has plain backgrounds (default: wild)"
    parser.add_argument("--domain", default="wild", choices=["wild", "studio"], help=domain)
    size = "images in a batch, which are to be told apart (default: 64)"
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help=size)
    batches = "batches for each row of the table (default: 16)"
    parser.add_argument("--batches", type=int, default=16, metavar="N", help=batches)
    return parser.parse_args(argv)


def describe(hand: Hand, *, whole: bool) -> Tensor:
    """Describe a new view of each image (B, 6) by the mean and the standard deviation of its colours.

    They are taken outside the hand, or over the whole view.
    """
    source = (hand.image.shape[-2], hand.image.shape[-1])
    frame = eq.Affine.from_points(hand.xy, source)
    view, g = eq.presets.peclr()(hand.image, size=SIZE, frame=frame)
    to_view = g @ frame
    shown = to_view.warp(torch.ones(len(view), 1, *source), SIZE) > 0.99  # without the black beyond the image
    xy = to_view.points(hand.xy, source, SIZE)
    low, high = (edge[:, :, None, None] for edge in (xy.amin(1), xy.amax(1)))
    margin = 0.1 * (high - low)
    y, x = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    grid = torch.stack([x, y])[None]
    inside = ((grid > low - margin) & (grid < high + margin)).all(1, keepdim=True)
    weight = (shown if whole else shown & ~inside).float()
    total = weight.sum((2, 3)).clamp(min=1)
    mean = (view * weight).sum((2, 3)) / total
    square = (view.square() * weight).sum((2, 3)) / total
    return torch.cat([mean, (square - mean.square()).clamp(min=0).sqrt()], 1)


def tell(first: Hand, second: Hand, *, whole: bool) -> float:
    """Give how often the nearest second view is the one of the same row."""
    pair = torch.stack([describe(hand, whole=whole) for hand in (first, second)])
    pair = pair / pair.flatten(0, 1).std(0)
    nearest = torch.cdist(pair[0], pair[1]).argmin(1)
    return float((nearest == torch.arange(len(nearest))).float().mean())


def batches(data: FreiHAND, size: int, number: int, *, grouped: bool) -> Iterator[list[int]]:
    """Give the indices of batches, from all samples or each from one group (neighbours in one version)."""
    groups = data.groups if grouped else torch.zeros(len(data), dtype=torch.long)
    sampler = GroupedBatchSampler(groups, size, 1)
    while number:
        for batch in sampler:
            if number and len(groups[batch].unique()) == 1:  # skip batches of what was left over
                number -= 1
                yield batch


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        if args.data is None:
            write_freihand(folder, args.samples, size=96, domain=args.domain, num_evaluation=1)
        data = FreiHAND(folder if args.data is None else args.data)
        torch.manual_seed(0)
        print(f"share of {args.batch_size} views whose image is found; chance is {1 / args.batch_size:.3f}")
        print("first view     second view    batch of   outside  all of the view")
        each, every = [(version,) for version in data.versions], data.versions
        rows = [(one, one) for one in (*each, every)] + [(each[0], other) for other in each[1:]]
        for first, second in rows:
            ones, others = (data.select(versions=versions) for versions in (first, second))
            for grouped in (False, True):
                found = []
                for batch in batches(ones, args.batch_size, args.batches, grouped=grouped):
                    hands = [default_collate([part[i] for i in batch]) for part in (ones, others)]
                    found.append([tell(*hands, whole=whole) for whole in (False, True)])
                outside, whole = torch.tensor(found).mean(0).tolist()
                names = [
                    "any version" if len(versions) > 1 else f"version {versions[0]}" for versions in (first, second)
                ]
                of = "one group" if grouped else "any"
                print(f"{names[0]:14s} {names[1]:14s} {of:9s} {outside:8.3f} {whole:8.3f}", flush=True)


if __name__ == "__main__":
    main()
