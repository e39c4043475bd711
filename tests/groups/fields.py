"""Fields to be moved: of any type, and with one known peak."""

import pytest
import torch
from torch import Tensor
from warp_backends import DEVICE

METHODS = ["masks", "heatmaps", "vectors", "depth"]
methods = pytest.mark.parametrize("method", METHODS)


def field_of(method: str, *shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Make a field of shape (B, ..., H, W), or (B, ..., 2, H, W) for vectors."""
    generator = torch.Generator().manual_seed(seed)
    shape = (*shape[:-2], 2, *shape[-2:]) if method == "vectors" else shape
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    return torch.randint(0, 2 if dtype == torch.bool else 120, shape, generator=generator).to(dtype)


def lattice(size: tuple[int, int], dtype: torch.dtype = torch.float64) -> Tensor:
    """The centres (h, w, 2) of all pixels, x and then y."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=dtype, device=DEVICE) for n in size), indexing="ij")
    return torch.stack([x, y], -1)


def gaussians(centers: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    away = lattice(size) - centers[..., None, None, :]
    return torch.exp(-away.square().sum(-1) / (2 * sigma**2))
