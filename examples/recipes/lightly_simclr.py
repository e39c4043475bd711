"""From lightly's SimCLR to PeCLR, one piece at a time: the loss, then the views, then both.

python examples/recipes/lightly_simclr.py --step 3      (half a minute on a CPU; needs lightly and torchvision)

Step 0 is lightly alone. Step 1 takes equicon's loss, which has the same value. Step 2 takes equicon's views, and
lightly's loss. Step 3 takes both, and the loss undoes the transform of each view on its embedding. ``--loss`` takes
another loss of lightly. ``--looks lightly`` leaves colour and blur to lightly.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torchvision
from lightly.loss import BarlowTwinsLoss, DCLLoss, NTXentLoss, VICRegLoss
from lightly.models.modules import SimCLRProjectionHead
from lightly.transforms import SimCLRTransform
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

import equicon as eq
from equicon.hands import SyntheticHands

STORED, SIZE = 48, 32  # sides of the pictures and of the views
LOSSES = {"ntxent": lambda: NTXentLoss(0.5), "dcl": DCLLoss, "vicreg": VICRegLoss, "barlow": BarlowTwinsLoss}
NORMALIZE = eq.Normalize.imagenet()


class Pictures(Dataset[Any]):
    """Pictures (N, 3, H, W), uint8, that go through a transform one by one."""

    def __init__(self, images: Tensor, transform: Callable[[Any], Any]) -> None:
        self.images, self.transform = images, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.images[index])


def make_transform(step: int, looks: str) -> Any:
    """Make the transform that runs in the data set. Lightly's transforms take Pillow images."""
    if step < 2:
        return v2.Compose([v2.ToPILImage(), SimCLRTransform(SIZE)])  # two views, without their matrices
    if looks == "equicon":
        return lambda image: (image, image)
    still = {"min_scale": 1.0, "hf_prob": 0.0, "normalize": None}  # moves no pixel
    return v2.Compose([v2.ToPILImage(), SimCLRTransform(STORED, **still)])


def make_augment(looks: str) -> eq.Compose:
    if looks == "equicon":
        return eq.Compose([eq.presets.simclr(SIZE), NORMALIZE])
    return eq.Compose([eq.RandomResizedCrop((0.08, 1.0)), eq.RandomHorizontalFlip(), NORMALIZE])


def make_criterion(step: int, loss: str) -> nn.Module:
    theirs: nn.Module = LOSSES[loss]()
    if step == 0:
        return theirs
    if step == 1:
        return eq.NTXentLoss(0.5)
    representation = eq.Invariant() if step == 2 else eq.Points()  # exact for crops
    return eq.PeCLRLoss(representation=representation, base_loss=theirs)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--step", type=int, choices=range(4), default=3, help="which pieces to replace (default: 3)")
    parser.add_argument("--loss", choices=LOSSES, default="ntxent", help="which loss of lightly, except in step 1")
    parser.add_argument("--looks", choices=("equicon", "lightly"), default="equicon", help="whose colour and blur")
    parser.add_argument("--hands", type=int, default=256, help="hands to render (default: 256)")
    parser.add_argument("--epochs", type=int, default=4, help="epochs (default: 4)")
    parser.add_argument("--batch-size", type=int, default=64, help="images in a batch (default: 64)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> nn.Module:
    args = parse_args(argv)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - lightly's blur draws from it
    hands = SyntheticHands(args.hands, STORED, scenes=4)
    pictures = Pictures(hands.render(range(len(hands))).image, make_transform(args.step, args.looks))
    loader = DataLoader(pictures, args.batch_size, shuffle=True, drop_last=True)
    encoder = torchvision.models.resnet18(weights=None)
    encoder.fc = nn.Identity()
    model = nn.Sequential(encoder, SimCLRProjectionHead(512, 512, 128))  # 64 points
    augment, criterion = make_augment(args.looks), make_criterion(args.step, args.loss)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for epoch in range(args.epochs):
        for first, second in loader:
            if args.step < 2:
                z1, z2 = model(torch.cat([first, second])).chunk(2)
                loss = criterion(z1, z2)
            else:
                x1, g1 = augment(first, size=(SIZE, SIZE))
                x2, g2 = augment(second, size=(SIZE, SIZE))
                z1, z2 = model(torch.cat([x1, x2])).chunk(2)
                loss = criterion(z1, z2, g1, g2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"step {args.step}, epoch {epoch}: loss {loss.item():.3f}")
    return model


if __name__ == "__main__":
    main()
