"""Masks of whole numbers through the warp: every type, every value, in every way that a warp is made."""

import pytest
import torch
from kornia.geometry.transform import warp_affine
from registry import random_affine

import equicon as eq

TYPES = [
    getattr(torch, name)
    for name in ("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64")
    if hasattr(torch, name)
]
PADDING = ("zeros", "border", "reflection")


def any_values(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    """Make masks of all values that a type has, those beyond what a floating type holds among them."""
    generator = torch.Generator().manual_seed(0)
    if dtype == torch.bool:
        return torch.rand(shape, generator=generator) < 0.5
    nbytes = torch.randint(0, 256, (*shape, dtype.itemsize), generator=generator, dtype=torch.uint8)
    return nbytes.view(dtype).squeeze(-1)


def gathered(g: eq.Affine, masks: torch.Tensor, size: tuple[int, int], padding_mode: str) -> torch.Tensor:
    """Move the index of each pixel, which float64 holds, and look its value up; 0 is outside."""
    height, width = masks.shape[-2:]
    index = torch.arange(1.0, height * width + 1, dtype=torch.float64).view(1, 1, height, width)
    moved = g.warp(index.expand(len(g), -1, -1, -1), size, mode="nearest", padding_mode=padding_mode)[:, 0].long()
    table = torch.cat([torch.zeros_like(masks[:, :, :1, 0]).long(), masks.long().flatten(2)], -1)
    return torch.stack([values[:, at] for values, at in zip(table, moved, strict=True)]).to(masks.dtype)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("padding_mode", PADDING)
def test_masks_keep_their_type_and_every_value(dtype, padding_mode):
    masks = any_values(dtype, 4, 2, 13, 17)
    kept = masks.clone()
    g = random_affine(0)
    moved = g.warp(masks, (15, 11), mode="nearest", padding_mode=padding_mode)
    assert moved.dtype == dtype
    assert moved.equal(gathered(g, masks, (15, 11), padding_mode))
    assert masks.equal(kept)
    assert eq.Affine.identity(4).warp(masks, mode="nearest").equal(masks)
    assert eq.Affine.identity(0).warp(masks[:0], (5, 6), mode="nearest").shape == (0, 2, 5, 6)


def test_values_above_what_float32_and_float64_hold():
    masks = torch.tensor([2**24 + 1, 2**31 - 1, 2**53 + 1, 2**63 - 1, -(2**63), -1, 0, 7, 255]).view(1, 1, 3, 3)
    assert eq.Affine.identity(1).warp(masks, mode="nearest").equal(masks)
    turn = eq.Affine.from_linear(torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]]))
    assert turn.warp(masks, mode="nearest").equal(masks.rot90(1, (2, 3)))


def test_masks_of_more_pixels_than_float32_can_number():
    side, count = 4097, 4097**2
    assert count > 2**24
    masks = (torch.arange(count) % 251).to(torch.uint8).view(1, 1, side, side)
    shift = torch.tensor([[[1.0, 0.0, -4090.0], [0.0, 1.0, -4090.0]]], dtype=torch.float64)
    corner = eq.Affine.from_pixels(shift, (side, side), (7, 7))
    assert corner.warp(masks, (7, 7), mode="nearest").equal(masks[..., 4090:, 4090:])


def test_outside_of_a_mask_is_zero_or_what_is_padded():
    masks = torch.full((1, 1, 4, 4), 2**40 + 1)
    away = eq.Affine.from_linear(torch.eye(2)[None], torch.tensor([[10.0, 0.0]]))
    assert away.warp(masks, mode="nearest").eq(0).all()
    for padding_mode in ("border", "reflection"):
        assert away.warp(masks, mode="nearest", padding_mode=padding_mode).eq(2**40 + 1).all()


@pytest.mark.parametrize("dtype", [torch.bool, torch.int16, torch.int64], ids=str)
def test_masks_of_any_layout(dtype):
    masks, g = any_values(dtype, 4, 3, 9, 9), random_affine(1)
    whole = g.warp(masks, mode="nearest")
    assert g.warp(masks.to(memory_format=torch.channels_last), mode="nearest").equal(whole)
    assert g.warp(masks.mT.contiguous().mT, mode="nearest").equal(whole)
    assert g.warp(masks[:, 1:2], mode="nearest").equal(whole[:, 1:2])
    assert g.warp(masks[..., 4:5], mode="nearest").equal(g.warp(masks[..., 4:5].clone(), mode="nearest"))
    assert g[:1].warp(masks[:1], mode="nearest").equal(whole[:1])


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("backend", ["torch", "kornia"])
def test_every_backend_moves_masks_alike(dtype, backend, monkeypatch):
    masks, g = any_values(dtype, 4, 1, 12, 12), random_affine(2)
    expected = g.warp(masks, mode="nearest")
    monkeypatch.setenv("EQUICON_BACKEND", backend)
    assert g.warp(masks, mode="nearest").equal(expected)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.int64], ids=str)
def test_masks_compile_whole(dtype):
    masks, g = any_values(dtype, 4, 1, 12, 12), random_affine(3)
    compiled = torch.compile(lambda m: g.warp(m, (8, 9), mode="nearest"), fullgraph=True, backend="aot_eager")
    assert compiled(masks).equal(g.warp(masks, (8, 9), mode="nearest"))


def test_masks_under_vmap():
    masks, g = any_values(torch.int64, 3, 4, 1, 9, 9), random_affine(5)
    moved = torch.vmap(lambda m: g.warp(m, mode="nearest"))(masks)
    assert moved.equal(torch.stack([g.warp(m, mode="nearest") for m in masks]))


def test_masks_agree_with_kornia_where_it_holds_them():
    masks, g = any_values(torch.int16, 4, 1, 12, 12), random_affine(4)
    theirs = warp_affine(masks.double(), g.pixels((12, 12))[:, :2], (12, 12), mode="nearest", align_corners=True)
    assert g.warp(masks, mode="nearest").equal(theirs.to(torch.int16))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int16, torch.int64, torch.complex64], ids=str)
def test_other_ways_of_reading_say_what_a_mask_wants(dtype):
    masks = torch.zeros(1, 1, 4, 4, dtype=dtype)
    with pytest.raises(TypeError, match=r"images: expected uint8, or a floating type .*Masks go through Affine\.masks"):
        eq.Affine.identity(1).warp(masks)
    with pytest.raises(TypeError, match=r"images: expected uint8, or a floating type .*Masks go through Affine\.masks"):
        eq.RandomRotation(45)(masks)
    if dtype.is_complex:
        with pytest.raises(TypeError, match="images: expected uint8, or a floating type"):
            eq.Affine.identity(1).warp(masks, mode="nearest")


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.uint32, torch.float16], ids=str)
def test_many_masks_move_as_each_alone(dtype):
    masks = any_values(torch.bool if dtype == torch.float16 else dtype, 11, 2, 13, 17).to(dtype)
    g = random_affine(3, 11)
    found = g.masks(masks, (9, 12), fill=1)
    assert found.dtype == dtype
    for i in range(11):
        assert found[i].equal(g[i].masks(masks[i : i + 1], (9, 12), fill=1)[0])
