"""Every transform and every representation, for the laws to run over."""

from dataclasses import dataclass

import torch

import equicon as eq


class Invert(torch.nn.Module):
    """A module of the user's, for ``Appearance``."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 1 - images


class Speckle(torch.nn.Module):
    """A module of the user's that draws from the global generator."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images * (0.9 + 0.2 * torch.rand_like(images[:, :, :1, :1]))


@dataclass(frozen=True)
class Entry:
    transform: eq.EquivariantTransform
    geometric: bool = True
    filters: bool = True  # whether a blob survives its filters whole


TRANSFORMS = {
    "rotation": Entry(eq.RandomRotation(180)),
    "rotation range": Entry(eq.RandomRotation((10, 30))),
    "translate": Entry(eq.RandomTranslate(0.2)),
    "translate xy": Entry(eq.RandomTranslate((0.0, 0.3))),
    "scale up": Entry(eq.RandomScale((1.0, 2.5))),
    "scale down": Entry(eq.RandomScale((0.3, 1.0))),
    "shear": Entry(eq.RandomShear(30)),
    "horizontal flip": Entry(eq.RandomHorizontalFlip(0.5)),
    "vertical flip": Entry(eq.RandomVerticalFlip(0.5)),
    "affine": Entry(eq.RandomAffine(180, (0.1, 0.2), (0.6, 1.6), 20)),
    "resized crop": Entry(eq.RandomResizedCrop((0.2, 1.0))),
    "jitter": Entry(eq.ColorJitter(0.4, 0.4, 0.4, 0.1), geometric=False),
    "grayscale": Entry(eq.RandomGrayscale(0.5), geometric=False),
    "normalize": Entry(eq.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)), geometric=False),
    "blur": Entry(eq.RandomGaussianBlur(5, (0.1, 2.0), p=0.5), geometric=False),
    "noise": Entry(eq.RandomGaussianNoise(0.1, p=0.5), geometric=False),
    "erasing": Entry(eq.RandomErasing(p=0.5), geometric=False, filters=False),
    "sobel": Entry(eq.RandomSobel(0.5), geometric=False),
    "appearance": Entry(eq.Appearance(Invert()), geometric=False),
    "random appearance": Entry(eq.RandomApply(eq.Appearance(Speckle()), 0.5), geometric=False),
    "apply": Entry(eq.RandomApply(eq.RandomAffine(45, 0.1, (0.8, 1.2)), 0.5)),
    "compose": Entry(
        eq.Compose(
            [
                eq.RandomGaussianNoise(0.05, p=0.5),
                eq.RandomRotation(45),
                eq.ColorJitter(0.4, 0.4, 0.4, 0.1),
                eq.Compose([eq.RandomHorizontalFlip(), eq.RandomScale((0.8, 1.2))]),
                eq.RandomApply(
                    eq.Compose([eq.RandomShear(10), eq.RandomGrayscale(1.0), eq.RandomGaussianBlur(5)]), 0.5
                ),
            ]
        )
    ),
    "peclr": Entry(eq.presets.peclr()),
    "simclr": Entry(eq.presets.simclr(96)),
}


def chain_of(*without: str) -> list[eq.EquivariantTransform]:
    """Put all transforms but some into one chain: a normalisation comes last."""
    last = [] if "normalize" in without else [TRANSFORMS["normalize"].transform]
    return [e.transform for name, e in TRANSFORMS.items() if name not in (*without, "normalize")] + last


@dataclass(frozen=True)
class Law:
    representation: eq.Representation
    width: int
    exact: bool = True  # a homomorphism of the whole affine group; the paper's is neither


REPRESENTATIONS = {
    "points": Law(eq.Points(), 20),
    "peclr points": Law(eq.PeCLRPoints(), 20, exact=False),
    "invariant": Law(eq.Invariant(), 20),
    "direct sum": Law(eq.DirectSum([(eq.Points(), 6), (eq.Invariant(), 5), (eq.Points(), 2)]), 13),
    "nested sum": Law(eq.DirectSum([(eq.DirectSum([(eq.Points(), 4)]), 4), (eq.Invariant(), 3)]), 7),
}

MAPS = {"heatmaps": eq.Heatmaps()}
"""Representations on maps, which keep the laws up to the error of an interpolation, where all of a map is seen."""


def random_affine(seed: int, batch_size: int = 4, transform: eq.EquivariantTransform | None = None) -> eq.Affine:
    """Draw well-conditioned elements in float64: every linear part, flips included."""
    transform = transform or eq.Compose([eq.RandomAffine(180, 0.2, (0.6, 1.6), 20), eq.RandomHorizontalFlip()])
    return transform.sample(batch_size, generator=torch.Generator().manual_seed(seed)).affine.to(dtype=torch.float64)


def smooth_images(seed: int, batch_size: int, size: tuple[int, int], channels: int = 3) -> torch.Tensor:
    """Make images in [0, 1] without detail that an interpolation would lose."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch_size, channels, 4, 4, generator=generator, dtype=torch.float64)
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic", align_corners=False).clamp(0, 1)
