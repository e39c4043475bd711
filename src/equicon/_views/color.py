"""Colour: a chain of operations as one small matrix for each image, and the normalisation that follows it."""

from dataclasses import dataclass, replace
from typing import Any, Self, final

import torch
from torch import Tensor

from equicon._checks import (
    LARGEST,
    check_batch,
    check_factor,
    check_floating,
    check_number,
    concrete,
    describe,
    plain,
    type_error,
    value_error,
)
from equicon._exact import product
from equicon._plane.matrix import constant, matmul, matvec, rows

GREY = (0.299, 0.587, 0.114)
"""Rec. 601 luma, the grey of Kornia and torchvision."""


@final
@dataclass(frozen=True, eq=False)
class ColorMap:
    """A batch of colour maps, linear in each pixel and in the mean of the view.

    The 6 × 6 matrix acts on (r, g, b, mean r, mean g, mean b). It moves the means together with the pixels, so a chain
    of maps is a product of matrices. Colours are clamped to [0, 1] once, at the end of the chain. Libraries that apply
    one operation after another clamp after each. The mean is that of each view; for a clip, that of each frame.

    Args:
        matrix: (B, 6, 6).
        uses_mean: Whether any map of the chain reads the mean. If none does, the mean is not computed.

    Examples:
        >>> swapped = ColorMap.make(torch.eye(3)[[2, 1, 0]].expand(4, 3, 3))  # red and blue, of each of four images
        >>> views = Action(Affine.identity(4), swapped)(torch.rand(4, 3, 64, 64))
    """

    matrix: Tensor
    uses_mean: bool

    def __post_init__(self) -> None:
        check_floating("matrix", self.matrix, "(B, 6, 6)", last=(6, 6), ndim=3)

    @classmethod
    def make(cls, pixel: Tensor, mean: Tensor | None = None) -> Self:
        """Make ``out = pixel · p + mean · m`` from batches of matrices (B, 3, 3).

        Args:
            pixel: (B, 3, 3), applied to each pixel p.
            mean: (B, 3, 3), applied to the mean m of the view and then added. None adds nothing.
        """
        check_floating("pixel", pixel, "(B, 3, 3)", last=(3, 3), ndim=3)
        if mean is not None:
            check_floating("mean", mean, "(B, 3, 3)", last=(3, 3), ndim=3)
            check_batch("mean", mean, pixel, "pixel")
        of_mean = torch.zeros_like(pixel) if mean is None else mean
        moved = torch.cat([torch.zeros_like(pixel), pixel + of_mean], -1)
        return cls(torch.cat([torch.cat([pixel, of_mean], -1), moved], -2), mean is not None)

    def to(self, device: torch.device | str) -> "ColorMap":
        """Move to a device without waiting for it."""
        return replace(self, matrix=self.matrix.to(device, non_blocking=self.matrix.device.type == "cpu"))

    def where(self, applied: Tensor) -> "ColorMap":
        """Keep the maps where ``applied`` (B,) is True, and take the identity elsewhere."""
        identity = torch.eye(6, device=self.matrix.device, dtype=self.matrix.dtype)
        return replace(self, matrix=torch.where(applied[:, None, None], self.matrix, identity))

    def __len__(self) -> int:
        return self.matrix.shape[0]

    def __getitem__(self, index: Any) -> "ColorMap":
        """Select part of the batch, as ``Affine[...]`` does."""
        return replace(self, matrix=rows(self.matrix, index))

    def __matmul__(self, other: "ColorMap") -> "ColorMap":
        """Compose: the right operand acts first."""
        return self._after(other) if isinstance(other, ColorMap) else NotImplemented

    def _after(self, other: "ColorMap") -> "ColorMap":
        """Compose: ``other`` acts first."""
        return ColorMap(matmul(self.matrix, other.matrix), self.uses_mean or other.uses_mean)

    def check(self, images: Tensor, rgb_first: bool = False) -> None:
        """Check that images (B, C, H, W), or clips (B, T, C, H, W), have three channels, or begin with them."""
        channels = images.shape[-3]
        if channels != 3 and not (rgb_first and channels > 3):
            order = "0, 1, 4, 2, 3" if images.ndim == 5 else "0, 3, 1, 2"
            begin = "If the first three are red, green and blue, write rgb_first=True. " if channels > 3 else ""
            last = f"If they are channels last, write images.permute({order})."
            if images.ndim == 5 and images.shape[1] == 3 != images.shape[-1]:
                last = "If the channels come before the frames, write images.transpose(1, 2)."
            fix = f"{begin}{last} Else leave colour out of the chain."
            raise value_error("images", "3 channels for a colour transform", images, fix)

    def apply(self, views: Tensor) -> Tensor:
        """Apply to views (B, 3, h, w) in [0, 1]. Channels after the first three stay as they are."""
        if views.shape[1] > 3:
            return torch.cat([self.apply(views[:, :3]), views[:, 3:]], 1)
        matrix, pixels = self.matrix.to(views.dtype), views.flatten(2)
        if concrete(views):
            mapped = product(matrix[:, :3, :3], pixels)
        else:  # a compiler fuses this into one kernel
            mapped = (matrix[:, :3, :3, None] * pixels[:, None]).sum(2)
        if self.uses_mean:
            mapped.add_(matvec(matrix[:, :3, 3:], views.mean((2, 3)))[:, :, None])
        return mapped.clamp(0, 1).view_as(views)


@final
@dataclass(frozen=True)
class Normalization:
    """Normalisation ``(views − mean) / std`` of each channel: the last step of an ``Action``, drawn by ``Normalize``.

    Args:
        mean: One number for each channel, for images in [0, 1].
        std: One number for each channel, in [1e-4, 1e4].

    Examples:
        >>> action = Action(Affine.identity(4), normalization=Normalization((0.5,) * 3, (0.2,) * 3))
        >>> views = action(torch.rand(4, 3, 64, 64))
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            values = plain(getattr(self, name))
            if not isinstance(values, tuple) or not values:
                raise type_error(name, "one number for each channel", describe(values))
            object.__setattr__(self, name, tuple(check_number(name, v, low=-LARGEST, high=LARGEST) for v in values))
        for deviation in self.std:
            check_factor("std", deviation)
        if len(self.mean) != len(self.std):
            raise value_error("std", f"{len(self.mean)} numbers, as in mean", f"{len(self.std)}")

    def check(self, images: Tensor) -> None:
        """Check that images (B, C, H, W), or clips (B, T, C, H, W), have as many channels as the mean."""
        if images.shape[-3] != len(self.mean):
            fix = f"Give Normalize {images.shape[-3]} numbers, one for each channel." if images.shape[-3] <= 16 else ""
            raise value_error("images", f"{len(self.mean)} channels, as in mean", images, fix)

    def apply(self, views: Tensor) -> Tensor:
        """Apply to views (B, C, h, w)."""
        mean, std = (constant(v, views.device, views.dtype)[:, None, None] for v in (self.mean, self.std))
        return (views - mean) / std


def finish(views: Tensor, color: ColorMap | None, normalization: Normalization | None) -> Tensor:
    """Apply a colour map and a normalisation to views. None skips either."""
    views = views if color is None else color.apply(views)
    return views if normalization is None else normalization.apply(views)
