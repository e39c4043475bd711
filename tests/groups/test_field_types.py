"""Types of fields, what is no number, compiled and differentiated fields, and errors."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from groups.fields import METHODS, field_of, gaussians, methods
from registry import random_affine
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing import assert_close
from warp_backends import DEVICE

import equicon as eq


def test_a_depth_that_is_not_known_stays_alone():
    depth = torch.full((1, 9, 9), 2.0)
    depth[0, 4, 4] = math.nan
    turned = eq.RandomRotation((30, 30)).sample(1).affine.depth(depth)
    assert int(turned.isnan().sum()) in (1, 2)
    assert set(turned[~turned.isnan()].tolist()) == {0.0, 2.0}


def test_a_peak_keeps_its_height_in_a_view_that_shrinks():
    maps = gaussians(torch.tensor([[[60.0, 60.0]]], device=DEVICE), (120, 120), 6.0).float()
    e = eq.Affine.identity(1, device=DEVICE)
    small, filtered = e.heatmaps(maps, (40, 40)), e.warp(maps, (40, 40))
    assert float(small.max()) > 0.97 > float(filtered.max())


def test_half_precision_is_computed_in_float32():
    flow = 300 * torch.rand(2, 2, 40, 44, generator=torch.Generator().manual_seed(0)).half()
    g = random_affine(0, 2)
    assert_close(g.vectors(flow).float(), g.vectors(flow.float()), atol=0, rtol=torch.finfo(torch.float16).eps)


@methods
def test_fields_compile_whole_and_under_vmap_and_without_values(method):
    g, field = random_affine(3), field_of(method, 4, 2, 12, 13)
    move = lambda x: getattr(g, method)(x, (8, 9))  # noqa: E731 (one for the compiler, vmap and itself)
    assert_close(torch.compile(move, fullgraph=True, backend="aot_eager")(field), move(field), atol=1e-5, rtol=0)
    assert_close(torch.vmap(move)(torch.stack([field, -field])), torch.stack([move(field), move(-field)]))
    there = eq.Affine._of(g.matrix.to("meta"))
    assert getattr(there, method)(field.to("meta"), (8, 9)).shape == move(field).shape
    if torch.backends.cuda.is_built():
        with FakeTensorMode(allow_non_fake_inputs=True):  # reading a value would raise
            fake, h = torch.empty_like(field, device="cuda"), eq.RandomRotation(9).sample(4, device="cuda").affine
            given = {"fill": 3.0} if method in ("masks", "depth") else {}
            assert getattr(h, method)(fake, (8, 9), **given).device.type == "cuda"


@methods
def test_gradients_reach_fields_and_matrices(method):
    matrix = random_affine(5, 2).matrix
    field = field_of(method, 2, 1, 5, 6, dtype=torch.float64).requires_grad_()
    if method in ("heatmaps", "vectors"):
        matrix.requires_grad_()
    move: Callable[..., Any] = lambda x, m: getattr(eq.Affine._of(m), method)(x, (4, 5))  # noqa: E731 (as above)
    assert torch.autograd.gradcheck(move, (field, matrix))


def wrong(method: str) -> dict[str, tuple[Any, type[Exception], str]]:
    name, shape = ("maps" if method == "heatmaps" else method), r"\(B, ..., H, W\)"
    good = field_of(method, 2, 4, 5)
    if method == "vectors":
        shape = r"\(B, ..., 2, H, W\)"
    cases = {
        "a list": (
            [[1]],
            TypeError,
            rf"{name}: expected a tensor {shape}, got list .* Convert it with torch.as_tensor",
        ),
        "no batch": (good[0], ValueError, rf"{name}: expected a tensor of shape {shape}, got .* {name}\[None\]"),
        "no pixels": (good[..., :0], ValueError, f"{name}: expected at least one pixel, got"),
        "complex": (good + 0j, TypeError, f"{name}: expected (a floating type|bool, whole numbers or a floating type)"),
        "a batch of 1": (good[:1], ValueError, f"{name}: expected a batch of 2, like the map, got a batch of 1"),
        "elsewhere": (
            good.to("meta"),
            ValueError,
            rf"{name}: expected {name} on cpu, got {name} on meta\. Move one of the two",
        ),
    }
    if method in ("heatmaps", "vectors"):
        cases["whole"] = (
            good.int(),
            TypeError,
            rf"{name}: expected a floating type, got .* Convert it with \.float\(\)",
        )
    if method == "vectors":
        last = good.movedim(-3, -1)
        cases["last"] = (
            last,
            ValueError,
            r"vectors: expected .* Bring x and y before the rows: vectors.movedim\(-1, -3\)",
        )
        cases["three"] = (
            good[:, [0, 0, 1]],
            ValueError,
            rf"vectors: expected a tensor of shape {shape}, got .*\(2, 3, 4, 5\)",
        )
    if method == "depth":
        cases["bool"] = (
            good > 0,
            TypeError,
            "depth: expected a floating or whole-number type, .* Pass masks to Affine.masks",
        )
    return cases


@pytest.mark.parametrize(("method", "case"), [(method, case) for method in METHODS for case in wrong(method)])
def test_what_is_no_field_is_refused(method, case):
    given, error, message = wrong(method)[case]
    with pytest.raises(error, match=message):
        getattr(eq.Affine.identity(2), method)(given)
    with pytest.raises(ValueError, match="size: expected a whole number of at least 1"):
        getattr(eq.Affine.identity(2), method)(field_of(method, 2, 4, 5), (0, 3))
