import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from registry import TRANSFORMS, random_affine
from torch.testing import assert_close

import equicon as eq


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.bfloat16, torch.float32, torch.float64])
def test_pictures_are_of_their_own_type_and_whole_numbers_become_fractions_but_as_labels(mode, dtype):
    whole = torch.randint(0, 256, (2, 3, 6, 8), dtype=torch.uint8)
    images = whole if dtype == torch.uint8 else (whole / 255).to(dtype)
    expected = whole / 255 if dtype == torch.uint8 and mode == "bilinear" else images
    for autocast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            view = eq.Affine.identity(2).warp(images, mode=mode)
        assert view.dtype == expected.dtype
        assert_close(view, expected)


def test_the_view_is_of_the_sources_size_by_default():
    g, size = random_affine(0, 2), (6, 9)
    assert g.warp(torch.rand(2, 1, *size, dtype=torch.float64)).shape[-2:] == size
    assert_close(g.pixels(size), g.pixels(size, size))
    xy = torch.rand(2, 3, 2, dtype=torch.float64)
    assert_close(g.points(xy, size), g.points(xy, size, size))
    assert_close(g.boxes(torch.cat([xy, xy + 1], -1), size), g.boxes(torch.cat([xy, xy + 1], -1), size, size))


sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))


@settings(max_examples=30)
@given(st.integers(0, 2**31), sizes, sizes)
def test_coverage_is_the_warp_of_a_white_picture(seed, source, view):
    g = random_affine(seed, 5, eq.RandomAffine(180, 0.6, (0.3, 2.0), 20))
    covered = g.coverage(source, view)
    white = torch.ones(5, 1, *source, dtype=torch.float64)
    assert_close(covered, g.warp(white, view, antialias=False), atol=1e-9, rtol=0)
    assert ((covered >= 0) & (covered <= 1)).all()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_coverage_is_where_a_view_depends_on_what_is_outside(name):
    """Where all of a read lies on the source, every padding shows the same; elsewhere, zeros are darker than white."""
    size, view = (30, 36), (22, 40)
    g = TRANSFORMS[name].transform.sample(4, generator=torch.Generator().manual_seed(0)).affine
    covered = g.coverage(size, view)
    assert (covered.shape, covered.dtype) == ((4, 1, *view), torch.float32)
    zeros, border = (g.warp(torch.ones(4, 1, *size), view, padding_mode=how) for how in ("zeros", "border"))
    assert_close(border - zeros, 1 - covered, atol=2e-5, rtol=0)
    assert 0 < float(covered.mean()) < 1


def test_coverage_is_of_the_sources_size_by_default_and_has_gradients():
    g, size = random_affine(0, 2), (6, 9)
    assert g.coverage(size).equal(g.coverage(size, size))
    matrix = random_affine(1, 2).matrix.requires_grad_()
    assert torch.autograd.gradcheck(lambda m: eq.Affine._of(m).coverage((6, 9), (5, 4)), (matrix,))
    with pytest.raises(ValueError, match="source: expected a whole number of at least 1"):
        g.coverage((0, 3))


def test_points_and_boxes_are_one_or_any_number_to_an_element():
    g, xy = random_affine(1, 2), torch.rand(2, 3, 5, 2, dtype=torch.float64)
    assert_close(g.points(xy), torch.stack([g.points(xy[:, i, j]) for i in range(3) for j in range(5)], 1).view_as(xy))
    boxes = torch.cat([xy, xy + 1], -1)
    one_by_one = torch.stack([g.boxes(boxes[:, i, j]) for i in range(3) for j in range(5)], 1)
    assert_close(g.boxes(boxes), one_by_one.view_as(boxes))


def test_images_elsewhere_are_refused():
    with pytest.raises(ValueError, match=r"images: expected images on cpu, got images on meta\. Move one of the two"):
        eq.Affine.identity(1).warp(torch.rand(1, 3, 4, 4, device="meta"))
