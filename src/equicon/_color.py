"""``ColorMap``: a chain of colour operations as one small matrix for each image."""

from dataclasses import dataclass
from typing import Self, final

import torch
from torch import Tensor

from equicon._checks import value_error
from equicon._matrix import matmul, matvec

GREY = (0.299, 0.587, 0.114)
"""Rec. 601 luma, the grey of Kornia and torchvision."""


@final
@dataclass(frozen=True, eq=False)
class ColorMap:
    """A batch of maps that are linear in (pixel, mean of the view), clamped to [0, 1] once at the end.

    The 6 × 6 matrix acts on (r, g, b, mean r, mean g, mean b) and moves the means with the pixels, so a chain is a
    product. It leaves out the clamps between operations, which libraries that apply one operation after another have.

    Args:
        matrix: (B, 6, 6).
    """

    matrix: Tensor

    @classmethod
    def make(cls, pixel: Tensor, mean: Tensor) -> Self:
        """Make ``out = pixel · p + mean · m`` from two batches of matrices (B, 3, 3)."""
        moved = torch.cat([torch.zeros_like(pixel), pixel + mean], -1)
        return cls(torch.cat([torch.cat([pixel, mean], -1), moved], -2))

    def to(self, device: torch.device | str) -> "ColorMap":
        """Move to a device without waiting for it."""
        return ColorMap(self.matrix.to(device, non_blocking=self.matrix.device.type == "cpu"))

    def where(self, applied: Tensor) -> "ColorMap":
        """Keep the maps where ``applied`` (B,), and the identity elsewhere."""
        identity = torch.eye(6, device=self.matrix.device, dtype=self.matrix.dtype)
        return ColorMap(torch.where(applied[:, None, None], self.matrix, identity))

    def _after(self, other: "ColorMap") -> "ColorMap":
        """Compose: ``other`` acts first."""
        return ColorMap(matmul(self.matrix, other.matrix))

    def apply(self, views: Tensor) -> Tensor:
        """Apply to views (B, 3, h, w) in [0, 1]."""
        if views.shape[1] != 3:
            fix = "If they are channels last, images.permute(0, 3, 1, 2); else leave colour out of the chain."
            raise value_error("images", "3 channels for a colour transform", views, fix)
        matrix = self.matrix.to(views.dtype)
        offset = matvec(matrix[:, :3, 3:], views.mean((2, 3)))
        mapped = torch.baddbmm(offset[:, :, None], matrix[:, :3, :3], views.flatten(2))
        return mapped.clamp(0, 1).view_as(views)
