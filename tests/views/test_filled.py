"""What a warp writes outside the source, and clips: laws over the registry, on every backend that runs here."""

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from registry import TRANSFORMS, random_affine
from torch import Tensor
from torch.testing import assert_close
from warp_backends import DEVICE, EXACT, backends, force

import equicon as eq

GEOMETRIC = [name for name, entry in TRANSFORMS.items() if entry.geometric]
WHOLE = {
    torch.bool: [True, 1],
    torch.uint8: [1, 255],
    torch.int8: [-128, -1, 127],
    torch.int16: [-(2**15), 2**15 - 1],
    torch.int32: [-(2**31), -1, 2**31 - 1],
    torch.int64: [-(2**63), 2**53 + 1, 2**63 - 1, 255.0],
    torch.uint16: [2**15, 2**16 - 1],
    torch.uint32: [2**31, 2**32 - 1],
    torch.uint64: [2**53 + 1, 2**63, 2**64 - 1],
}
few = settings(max_examples=8)
seeds = st.integers(0, 2**31)
sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))


def drawn(name: str, batch_size: int) -> eq.Affine:
    return TRANSFORMS[name].transform.sample(batch_size, generator=torch.Generator().manual_seed(0)).affine.to(DEVICE)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(DEVICE)


# --- what lies outside


@pytest.mark.parametrize("name", GEOMETRIC)
@backends
@pytest.mark.parametrize("mode", get_args(eq.Mode))
def test_what_is_the_fill_everywhere_stays_so(name, backend, mode, monkeypatch):
    force(backend, monkeypatch)
    count = 1 if backend == "triton" else 3  # the interpreter is slow
    g = drawn(name, count)
    for dtype, tolerance in ((torch.float32, 3e-5), (torch.float16, 2e-3)):
        for size in ((9, 11), (30, 24)):
            plain = torch.full((count, 3, 24, 30), 0.75, dtype=dtype, device=DEVICE)
            views = g.warp(plain, size, mode=mode, fill=0.75)
            assert views.dtype == dtype
            assert_close(views, torch.full_like(views, 0.75), atol=0 if mode == "nearest" else tolerance, rtol=0)


@few
@given(seeds, sizes, sizes, st.booleans())
def test_to_fill_is_to_warp_the_difference_from_the_fill(seed, source, view, antialias):
    g, images = random_affine(seed, 3).to(DEVICE), noise(3, 2, *source, seed=seed)
    for mode in get_args(eq.Mode):
        given = {"mode": mode, "antialias": antialias}
        filled = g.warp(images, view, fill=-2.5, **given)
        assert_close(filled, g.warp(images + 2.5, view, **given) - 2.5, atol=1e-9, rtol=0)


@pytest.mark.parametrize("backend", EXACT)
@pytest.mark.parametrize("dtype", WHOLE, ids=str)
def test_masks_of_every_type_have_any_of_its_values_outside(dtype, backend, monkeypatch):
    force(backend, monkeypatch)
    g, masks = random_affine(0), torch.randint(0, 256, (4, 2, 13, 17, dtype.itemsize), dtype=torch.uint8)
    masks = masks[..., 0] > 99 if dtype == torch.bool else masks.view(dtype).squeeze(-1)
    shown = g.warp(torch.ones(4, 1, 13, 17), (15, 11), mode="nearest").bool().expand(-1, 2, -1, -1)
    # As Python's numbers, which hold all of them, and since torch compares few of the unsigned types.
    plain = flat(g.warp(masks, (15, 11), mode="nearest"))
    assert 0.1 < float(shown.float().mean()) < 0.9
    for fill in WHOLE[dtype]:
        filled = g.warp(masks, (15, 11), mode="nearest", fill=fill)
        assert filled.dtype == dtype
        expected = [value if inside else fill for value, inside in zip(plain, flat(shown), strict=True)]
        assert flat(filled) == expected


def flat(masks: Tensor) -> list[int]:
    return masks.flatten().tolist()


@pytest.mark.parametrize("off", [-1e-9, 1e-9])
def test_the_nearest_pixel_of_float64_does_not_depend_on_the_fill(off):
    masks, move = 1 + noise(1, 1, 6, 7), [[[1.0, 0.0, 1.5 + off], [0.0, 1.0, 0.5 - off]]]
    g = eq.Affine.from_pixels(torch.tensor(move, dtype=torch.float64), (6, 7)).to(DEVICE)
    plain = g.warp(masks, mode="nearest")
    assert plain.eq(0).any()
    assert g.warp(masks, mode="nearest", fill=9).equal(plain.masked_fill(plain == 0, 9))


def test_uint8_pictures_are_filled_in_the_units_of_their_views():
    images = (255 * noise(2, 3, 20, 24)).to(torch.uint8)
    g = random_affine(1, 2).to(DEVICE)
    assert_close(g.warp(images, (9, 30), fill=0.5), g.warp(images / 255, (9, 30), fill=0.5), atol=1e-6, rtol=0)
    assert g.warp(images, (9, 30), fill=0.5).dtype == torch.float32
    assert g.warp(images, (9, 30), fill=114, mode="nearest").dtype == torch.uint8


@pytest.mark.parametrize(
    ("mode", "dtype"), [("bilinear", torch.float32), ("nearest", torch.float32), ("nearest", torch.int64)], ids=str
)
def test_filled_views_compile_whole_and_under_vmap(mode, dtype):
    images, g = (9 * noise(4, 2, 12, 12).cpu()).to(dtype), random_affine(3)
    warp = lambda x: g.warp(x, (8, 9), mode=mode, fill=3, antialias=False)  # noqa: E731 (for the compiler and vmap)
    assert_close(torch.compile(warp, fullgraph=True, backend="aot_eager")(images), warp(images), atol=1e-4, rtol=0)
    both = torch.stack([images, 2 * images])
    assert_close(torch.vmap(warp)(both), torch.stack([warp(images), warp(2 * images)]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("mode", get_args(eq.Mode))
def test_gradients_reach_pictures_and_matrices_through_the_fill(mode):
    images, matrix = noise(2, 1, 5, 6).cpu().requires_grad_(), random_affine(4, 2).matrix
    matrix.requires_grad_(mode == "bilinear")
    assert torch.autograd.gradcheck(
        lambda x, m: eq.Affine._of(m).warp(x, (4, 7), mode=mode, fill=0.3), (images, matrix)
    )


def test_a_fill_that_the_views_cannot_hold_is_refused():
    e, images, nearest = eq.Affine.identity(1), torch.zeros(1, 1, 4, 4), {"mode": "nearest"}
    cases = [
        (torch.uint8, 256, nearest, r"a whole number in \[0, 255\], which uint8 holds, got int 256"),
        (torch.int8, -129, nearest, r"a whole number in \[-128, 127\], which int8 holds, got int -129"),
        (torch.int64, 2**63, nearest, r"a whole number in \[-9223372036854775808, 9223372036854775807\], which int64"),
        (torch.int16, 0.5, nearest, r"a whole number in .* got float 0\.5\. Convert to a type that holds it"),
        (torch.bool, 2, nearest, r"a whole number in \[0, 1\], which bool holds, got int 2"),
        (torch.uint8, 114, {}, r"a number in \[0, 1\], like the views of uint8 pictures, got int 114\. Divide by 255"),
        (torch.half, 1e5, {}, r"a number in \[-65504, 65504\], got float 100000"),
        (torch.float32, float("nan"), {}, r"a number that is finite, got float nan"),
        (torch.float32, 0.5, {"padding_mode": "border"}, r"0 where padding_mode is border, got float 0\.5\. Leave out"),
        (torch.float32, 0.5, {"padding_mode": "reflection"}, r"0 where padding_mode is reflection, got float 0\.5"),
    ]
    for dtype, fill, options, message in cases:
        with pytest.raises(ValueError, match=rf"^fill: expected {message}"):
            e.warp(images.to(dtype), fill=fill, **options)
    for bad in ("black", True, torch.tensor(1.0), None):
        with pytest.raises(TypeError, match=r"^fill: expected a number, got"):
            e.warp(images, fill=bad)
    assert e.warp(images, padding_mode="border", fill=0).equal(images)


# --- clips


@pytest.mark.parametrize("mode", get_args(eq.Mode))
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
@backends
def test_the_frames_of_a_clip_move_as_pictures_do(backend, dtype, mode, monkeypatch):
    force(backend, monkeypatch)
    clips, size = (200 * noise(2, 3, 3, 12, 14)).to(dtype), (6, 9)
    g, fill = random_affine(0, 2).to(DEVICE, torch.float32), 0 if mode == "bilinear" else 7
    for images in (clips, clips.transpose(1, 2)):
        moved = g.warp(images, size, mode=mode, fill=fill)
        frames = [g.warp(images[:, t], size, mode=mode, fill=fill) for t in range(3)]
        assert moved.equal(torch.stack(frames, 1))
    one_by_one = g[torch.arange(2, device=DEVICE).repeat_interleave(3)]
    assert g.warp(clips, size).equal(one_by_one.warp(clips.flatten(0, 1), size).unflatten(0, (2, 3)))
    assert g.warp(clips[:, :1], size).equal(g.warp(clips[:, 0], size)[:, None])


def test_clips_of_nothing_and_of_another_batch():
    e = eq.Affine.identity(2)
    assert eq.Affine.identity(0).warp(torch.rand(0, 4, 3, 8, 8), (5, 6)).shape == (0, 4, 3, 5, 6)
    with pytest.raises(ValueError, match="images: expected at least one frame, one channel and one pixel"):
        e.warp(torch.rand(2, 0, 3, 8, 8))
    with pytest.raises(ValueError, match="images: expected a batch of 2, like the map, got a batch of 6"):
        e.warp(torch.rand(6, 2, 3, 8, 8))
    with pytest.raises(TypeError, match="images: expected uint8, or a floating type"):
        e.warp(torch.zeros(2, 2, 3, 8, 8, dtype=torch.int64))
