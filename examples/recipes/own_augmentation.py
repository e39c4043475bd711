"""Keep your own augmentation, of torchvision or albumentations, and hand its matrix to the loss.

python examples/recipes/own_augmentation.py --views torchvision      (half a minute on a CPU; needs both packages)

Nine points go through the pipeline together with each picture. A matrix is fitted to where they went.
"""

import argparse
import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from torchvision.tv_tensors import Image, KeyPoints

import equicon as eq
from equicon.hands import SyntheticHands

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # otherwise the import asks PyPI for a newer version
import albumentations as A

BILINEAR = v2.InterpolationMode.BILINEAR
MOVES = [v2.RandomHorizontalFlip(), v2.RandomAffine(45, (0.1, 0.1), (0.8, 1.2), interpolation=BILINEAR)]
TORCHVISION = v2.Compose([*MOVES, v2.ColorJitter(0.4, 0.4, 0.4, 0.1)])
MOVE = A.Affine(rotate=(-45, 45), translate_percent=(-0.1, 0.1), scale=(0.8, 1.2), p=1)
KEEP = A.KeypointParams("xy", remove_invisible=False)
ALBUMENTATIONS = A.Compose([A.HorizontalFlip(), MOVE, A.ColorJitter()], keypoint_params=KEEP, seed=0)


def nine_points(image: Tensor) -> tuple[tuple[int, int], Tensor]:
    """Return (H, W), and nine points (9, 2) in pixels: the corners, the middles of the edges, and the centre."""
    height, width = image.shape[-2:]
    return (height, width), torch.cartesian_prod(torch.linspace(0, width - 1, 3), torch.linspace(0, height - 1, 3))


def fit_affine(before: Tensor, after: Tensor, source: tuple[int, int], view: tuple[int, int]) -> eq.Affine:
    """Fit the affine map that moved points (N, 2), in pixels of the source, to points in pixels of the view."""
    if after.shape != before.shape:
        raise ValueError(f"{len(before)} points became {len(after)}: keep points outside, and reflect no border")
    homogeneous = torch.cat([before, torch.ones(len(before), 1)], 1).double()
    matrix = torch.linalg.lstsq(homogeneous, after.double()).solution.T
    if (error := (homogeneous @ matrix.T - after).abs().max()) > 0.1:
        raise ValueError(f"the pipeline is not affine: the best affine map misses a point by {error:.1f} pixels")
    return eq.Affine.from_pixels(matrix.float()[None], source, view)


def torchvision_view(image: Tensor) -> tuple[Tensor, eq.Affine]:
    """Return a view of a picture (3, H, W), uint8, and the matrix that made it."""
    size, before = nine_points(image)
    view, after = TORCHVISION(Image(image), KeyPoints(before, canvas_size=size))
    return view.as_subclass(Tensor), fit_affine(before, after.as_subclass(Tensor), size, after.canvas_size)


def albumentations_view(image: Tensor) -> tuple[Tensor, eq.Affine]:
    size, before = nine_points(image)
    out = ALBUMENTATIONS(image=image.permute(1, 2, 0).numpy(), keypoints=before.numpy())
    view, after = torch.from_numpy(out["image"]).permute(2, 0, 1), torch.from_numpy(out["keypoints"])
    return view, fit_affine(before, after, size, nine_points(view)[0])


def drawn_view(image: Tensor) -> tuple[Tensor, eq.Affine]:
    """Let torchvision draw and move the points only. Equicon makes the view with the matrix that it returns."""
    size, before = nine_points(image)
    after = v2.Compose(MOVES)(KeyPoints(before, canvas_size=size))
    g = fit_affine(before, after.as_subclass(Tensor), size, after.canvas_size)
    view = eq.Action(g)(image[None], size=after.canvas_size, padding_mode="reflection")
    return view[0], g


MAKE = {"torchvision": torchvision_view, "albumentations": albumentations_view, "drawn": drawn_view}


class Pairs(Dataset[Any]):
    """Two views of each picture, with their matrices. ``DataLoader`` joins matrices as it joins tensors."""

    def __init__(self, images: Tensor, views: str) -> None:
        self.images, self.make = images, MAKE[views]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        return *self.make(self.images[index]), *self.make(self.images[index])


def reseed(worker: int) -> None:
    """Seed albumentations, which has its own generators. Without this they are the same in all workers."""
    ALBUMENTATIONS.set_random_seed(torch.initial_seed() % 2**32)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--views", choices=MAKE, default="torchvision", help="what makes the views")
    for name, default in (("hands", 256), ("epochs", 4), ("workers", 0)):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"number of {name} (default: {default})")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> nn.Module:
    args = parse_args(argv)
    torch.manual_seed(0)
    pairs = Pairs(SyntheticHands(args.hands, size=32).render(range(args.hands)).image, args.views)
    loader = DataLoader(pairs, 32, shuffle=True, num_workers=args.workers, worker_init_fn=reseed)
    encoder = nn.Sequential(nn.Conv2d(3, 32, 5, 4), nn.ReLU(), nn.Flatten(), nn.Linear(1568, 128, bias=False))
    criterion, optimizer = eq.PeCLRLoss(temperature=0.1), torch.optim.Adam(encoder.parameters(), 1e-3)
    for epoch in range(args.epochs):
        for x1, g1, x2, g2 in loader:
            views, _ = eq.Normalize.imagenet()(torch.cat([x1, x2]))
            loss = criterion(*encoder(views).chunk(2), g1, g2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: loss {loss.item():.3f}")
    return encoder


if __name__ == "__main__":
    main()
