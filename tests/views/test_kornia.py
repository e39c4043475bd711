"""Kornia's warps, the reference, against our own reading of the levels."""

from types import SimpleNamespace
from typing import get_args

import pytest
import torch
from registry import TRANSFORMS, smooth_images
from torch.testing import assert_close

import equicon as eq
from equicon._views.kornia import warped_view, why_not_kornia
from equicon._views.warp import last_level, levels, read_all

PADDING = get_args(eq.PaddingMode)
SHAPES = [((37, 45), (13, 12)), ((24, 32), (24, 32)), ((16, 16), (40, 44)), ((1, 1), (2, 3)), ((1, 9), (3, 5))]


def steep(dtype: torch.dtype, count: int = 9) -> torch.Tensor:
    """Turned, shifted and flipped maps from a shrink of 2 to a magnification of 3: all levels."""
    scale = torch.linspace(0.5, 3.0, count, dtype=torch.float64)[:, None, None]
    zoom = eq.Affine.from_linear(scale * torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64)))
    drawn = eq.RandomAffine(180, 0.1).sample(count, generator=torch.Generator().manual_seed(0)).affine
    return (zoom @ drawn.to(dtype=torch.float64)).matrix.to(dtype)


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.uint8, 1e-5), (torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_both_backends_make_the_views_of_the_whole_registry(name, dtype, atol, monkeypatch):
    # Of a coordinate, float32 loses what grows with the picture: 1e-5 is of small ones, and 224 pixels have 5e-5.
    images = smooth_images(0, 4, (26, 30))
    images = (images * 255).round().to(torch.uint8) if dtype == torch.uint8 else images.to(dtype)
    action = TRANSFORMS[name].transform.sample(4, generator=torch.Generator().manual_seed(0))
    if dtype == torch.float64:
        action = eq.Action(action.affine.to(dtype=dtype), action.color, action.filters)
    # All pairs of a size, which shrinks, keeps or magnifies, and of what lies outside: three for each type.
    first = (torch.uint8, torch.float32, torch.float64).index(dtype)
    for size, padding_mode in zip(((8, 10), (26, 36), (35, 32)), (PADDING * 2)[first:], strict=False):
        made = []
        for backend in ("torch", "kornia"):
            monkeypatch.setenv("EQUICON_BACKEND", backend)
            assert action.backend(images) == backend
            torch.manual_seed(0)
            made.append(action(images, size=size, padding_mode=padding_mode))
        gain = 5 if name == "normalize" else 1  # it divides by 0.2
        assert_close(made[1], made[0], atol=gain * atol, rtol=0)


@pytest.mark.parametrize(("size", "out"), SHAPES)
@pytest.mark.parametrize("padding_mode", PADDING)
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.uint8, 2e-5), (torch.float32, 2e-5), (torch.float64, 1e-9)])
def test_every_level_padding_and_mode(size, out, padding_mode, mode, dtype, atol):
    images = torch.rand(9, 2, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    images = (images * 255).round().to(torch.uint8) if dtype == torch.uint8 else images.to(dtype)
    matrix = steep(torch.float64 if dtype == torch.float64 else torch.float32)
    last = last_level(size, out) if mode == "bilinear" else 0
    given = (images, matrix, out, levels(matrix, size, out, last), last, mode, padding_mode)
    assert_close(warped_view(*given), read_all(*given), atol=atol, rtol=0)


@pytest.mark.parametrize("padding_mode", PADDING)
def test_gradients_to_images_and_matrices_agree(padding_mode):
    matrix, size, out = steep(torch.float64), (21, 27), (6, 7)
    last, found = last_level(size, out), []
    weights = torch.rand(9, 2, *out, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for make in (warped_view, read_all):
        images = torch.rand(9, 2, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        leaves = images.requires_grad_(), matrix.clone().requires_grad_()
        views = make(*leaves, out, levels(matrix, size, out, last), last, "bilinear", padding_mode)
        found.append(torch.autograd.grad((views * weights).sum(), leaves))
    assert float(found[0][1].abs().max()) > 0.1
    assert_close(found[0], found[1], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("precision", ["high", "highest"])
def test_rounded_products_of_matrices_do_not_move_a_view(precision, monkeypatch):
    allowed = SimpleNamespace(fp32_precision="tf32" if precision == "high" else "ieee")
    monkeypatch.setattr(torch.backends, "mkldnn", SimpleNamespace(matmul=allowed))
    images, action = torch.rand(2, 3, 8, 8), eq.RandomRotation(45).sample(2)
    rounded = "products of float32 matrices are rounded to tf32" if precision == "high" else ""
    assert why_not_kornia(images) == rounded
    assert why_not_kornia(images.double()) == ""
    monkeypatch.setenv("EQUICON_BACKEND", "kornia")
    if rounded:
        with pytest.raises(ValueError, match=f"got kornia: {rounded}\\. Unset the variable"):
            action(images)
    else:
        assert action.backend(images) == "kornia"


def test_an_empty_batch_and_half_precision_pass():
    matrix = steep(torch.float32, 2)
    level = levels(matrix, (8, 8), (4, 4), 1)
    assert warped_view(torch.rand(0, 3, 8, 8), matrix[:0], (4, 4), level[:0], 1, "bilinear", "zeros").shape[0] == 0
    half = warped_view(torch.rand(2, 3, 8, 8).half(), matrix, (4, 4), level, 1, "bilinear", "zeros")
    assert half.dtype == torch.float32
