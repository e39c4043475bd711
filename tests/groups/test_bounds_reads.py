"""Which pixels of its source a view reads, and views of crops that hold those alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from registry import TRANSFORMS, random_affine
from torch.testing import assert_close

import equicon as eq

# Two of them have a pyramid, of levels 1 to 3 and 1 to 4.
SIZES = [((60, 84), (32, 32)), ((90, 61), (11, 13)), ((130, 131), (16, 16)), ((24, 24), (40, 30)), ((1, 9), (4, 4))]
PADDING = ["zeros", "border", "reflection"]
WIDE = eq.Compose([eq.RandomAffine(180, 0.6, (0.3, 4.0), 30), eq.RandomHorizontalFlip()])


def drawn(
    transform: eq.EquivariantTransform, seed: int, source: tuple[int, int], framed: bool, n: int = 4
) -> eq.Affine:
    generator = torch.Generator().manual_seed(seed)
    g = transform.sample(n, generator=generator).affine
    if not framed:
        return g
    corner = torch.rand(n, 2, generator=generator) * torch.tensor(source[::-1])
    return g @ eq.Affine.from_boxes(torch.cat([corner - 3, corner + 0.3 * max(source)], -1), source)


def inside(box: torch.Tensor, source: tuple[int, int]) -> torch.Tensor:
    """Which pixels (B, 1, H, W) lie in half-open boxes (B, 4)."""
    (rows, columns), (x1, y1, x2, y2) = map(torch.arange, source), box[:, :, None].unbind(1)
    return (((columns >= x1) & (columns < x2))[:, None] & ((rows >= y1) & (rows < y2))[:, :, None])[:, None]


def with_noise(images: torch.Tensor, box: torch.Tensor, seed: int = 9) -> torch.Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed)) * 100
    return torch.where(inside(box, images.shape[-2:]), images, noise)


@pytest.mark.parametrize("padding_mode", PADDING)
@pytest.mark.parametrize("name", TRANSFORMS)
def test_what_lies_outside_the_box_does_not_change_the_view_bit_for_bit(name, padding_mode):
    for source, view in SIZES:
        for framed in (False, True):
            g = drawn(TRANSFORMS[name].transform, 2, source, framed)
            images = torch.rand(4, 2, *source, generator=torch.Generator().manual_seed(3))
            for antialias, mode in ((True, "bilinear"), (False, "bilinear"), (True, "nearest")):
                reads = antialias and mode == "bilinear"
                box = g.read_box(source, view, antialias=reads, padding_mode=padding_mode)
                how = {"antialias": antialias, "mode": mode, "padding_mode": padding_mode}
                assert g.warp(with_noise(images, box), view, **how).equal(g.warp(images, view, **how))


@pytest.mark.parametrize("backend", ["torch", "kornia"])
@pytest.mark.parametrize("padding_mode", PADDING)
def test_no_backend_reads_more(backend, padding_mode, monkeypatch):
    monkeypatch.setenv("EQUICON_BACKEND", backend)
    for seed, (source, view) in enumerate(SIZES):
        g = drawn(WIDE, seed, source, framed=seed % 2 == 0, n=8)
        images = torch.rand(8, 1, *source, generator=torch.Generator().manual_seed(3))
        box = g.read_box(source, view, padding_mode=padding_mode)
        views = [g.warp(x, view, padding_mode=padding_mode) for x in (images, with_noise(images, box))]
        assert views[0].equal(views[1])


@settings(max_examples=40)
@given(
    st.integers(0, 2**31), st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)), st.sampled_from(PADDING), st.booleans(), st.booleans(),
)  # fmt: skip
def test_of_any_size(seed, source, view, padding_mode, framed, whole):
    g = drawn(WIDE, seed, source, framed)
    box = g.read_box(source, view, padding_mode=padding_mode)
    images = torch.rand(4, 1, *source, generator=torch.Generator().manual_seed(seed))
    noisy = with_noise(images, box)
    if whole:
        images, noisy = (images * 255).byte(), torch.where(inside(box, source), images * 255, noisy.abs()).byte()
    one, other = (g.warp(x, view, padding_mode=padding_mode) for x in (images, noisy))
    assert one.equal(other)
    x1, y1, x2, y2 = box.unbind(1)
    assert ((x1 >= 0) & (x1 < x2) & (x2 <= source[1]) & (y1 >= 0) & (y1 < y2) & (y2 <= source[0])).all()


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from(PADDING))
def test_the_box_exceeds_what_is_read_by_little(seed, padding_mode):
    """What is read has a gradient."""
    source, view = (70, 90), (32, 40)
    g = drawn(WIDE, seed, source, framed=False)
    images = torch.rand(4, 1, *source, requires_grad=True)
    box = g.read_box(source, view, antialias=False, padding_mode=padding_mode)
    (grad,) = torch.autograd.grad(g.warp(images, view, antialias=False, padding_mode=padding_mode).sum(), images)
    # The edge of the source cuts a view between its pixels, not at them.
    step = g.inverse().pixels(view, source)[:, :2, :2].abs().sum(-1).ceil() if padding_mode == "zeros" else 0
    more = (torch.zeros(4, 2) + step + 1).long()
    for b in range(4):
        y, x = grad[b, 0].nonzero().unbind(1)
        if len(x) == 0:
            continue
        first, end = torch.stack([x.min(), y.min()]), torch.stack([x.max(), y.max()]) + 1
        assert (box[b, :2] >= first - more[b]).all()
        assert (box[b, 2:] <= end + more[b]).all()


def test_boxes_of_known_views():
    def read(g: eq.Affine, *sizes: tuple[int, int], **how: object) -> list[int]:
        return g.read_box(*sizes, **how)[0].tolist()

    whole, mirror = eq.Affine.identity(1), eq.Affine.from_linear(torch.tensor([[[-1.0, 0.0], [0.0, 1.0]]]))
    for g in (whole, mirror):
        assert read(g, (48, 64)) == [0, 0, 64, 48]
    assert read(whole, (48, 64), (48, 48)) == [7, 0, 57, 48]  # the centred square, and a pixel
    assert read(whole, (64, 64), (16, 16)) == [0, 0, 64, 64]
    # Moved to the right by half of the side, the view shows the left half, and a reflection shows no other pixel.
    right = eq.Affine.from_linear(torch.eye(2)[None], torch.tensor([[1.0, 0.0]]))
    assert read(right, (64, 64)) == [0, 0, 33, 64]
    assert read(right, (64, 64), padding_mode="border") == [0, 0, 33, 64]
    assert read(right, (64, 64), padding_mode="reflection") == [0, 0, 34, 64]
    # Far away, a view shows nothing or one column. A reflection shows what is folded ten times: columns 0 to 43.
    away = eq.Affine.from_linear(torch.eye(2)[None], torch.tensor([[40.0, 0.0]]))
    assert read(away, (64, 64))[:3:2] == [0, 1]
    assert read(away, (64, 64), padding_mode="border") == [0, 0, 1, 64]
    assert read(away, (64, 64), padding_mode="reflection") == [0, 0, 45, 64]


@pytest.mark.parametrize("padding_mode", ["zeros", "border"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_view_of_a_crop_is_the_view(name, padding_mode):
    for source, view in SIZES:
        g = drawn(TRANSFORMS[name].transform, 2, source, framed=True)
        images = torch.rand(4, 2, *source, generator=torch.Generator().manual_seed(3))
        for antialias in (True, False):
            how = {"antialias": antialias, "padding_mode": padding_mode}
            box = g.read_box(source, view, antialias=antialias, padding_mode=padding_mode)
            to_crop = eq.Affine.from_crop(box, source)
            expected = g.warp(images, view, **how)
            for b, (x1, y1, x2, y2) in enumerate(box.tolist()):
                of_crop = g[b] @ to_crop[b].inverse()
                found = of_crop.warp(images[b : b + 1, :, y1:y2, x1:x2], view, **how)
                assert_close(found, expected[b : b + 1], atol=5e-5, rtol=0)


@pytest.mark.parametrize("side", [(1.8, 0.0), (0.0, -1.8), (-1.7, 1.7)])
def test_a_view_of_a_narrow_strip_keeps_its_pyramid(side):
    """The levels that a view may read are those for the size of its source. A crop could have too few of them."""
    g, size, view = eq.Affine.from_linear(torch.eye(2)[None], torch.tensor([side])), (64, 72), (16, 16)
    images = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0))
    x1, y1, x2, y2 = g.read_box(size, view)[0].tolist()
    assert min(x2 - x1, y2 - y1) == 24  # shrunk by 4, it reads level 2, which wants sides of 2^1.5 · 16 / 2
    assert (x2 - x1) * (y2 - y1) < 64 * 72 / 2
    of_crop = g @ eq.Affine.from_crop(torch.tensor([[x1, y1, x2, y2]]), size).inverse()
    expected = g.warp(images, view)
    assert expected.abs().sum() > 0
    assert_close(of_crop.warp(images[:, :, y1:y2, x1:x2], view), expected, atol=2e-5, rtol=0)


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_a_union_of_boxes_serves_all_views_of_a_picture(seed):
    source, view = (120, 200), (16, 16)
    inner = eq.RandomAffine(180, 0.1, (3.0, 5.0))
    g = inner.sample(6, generator=torch.Generator().manual_seed(seed)).affine
    boxes = g.read_box(source, view)
    x1, y1, x2, y2 = union = [*boxes[:, :2].amin(0).tolist(), *boxes[:, 2:].amax(0).tolist()]
    image = torch.rand(1, 3, *source, generator=torch.Generator().manual_seed(seed)).expand(6, -1, -1, -1)
    to_crop = eq.Affine.from_crop(torch.tensor([union]).expand(6, 4), source)
    found = (g @ to_crop.inverse()).warp(image[:, :, y1:y2, x1:x2], view)
    assert_close(found, g.warp(image, view), atol=5e-5, rtol=0)
    assert (x2 - x1) * (y2 - y1) < 120 * 200


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_from_crop_shifts_pixels(seed):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 20, (5, 2), generator=generator)
    boxes = torch.cat([corner, corner + torch.tensor([31, 17])], 1)
    xy = torch.rand(5, 4, 2, generator=generator) * 40
    g = eq.Affine.from_crop(boxes, (50, 60))
    assert_close(g.points(xy, (50, 60), (17, 31)), xy - corner[:, None], atol=2e-5, rtol=0)
    images = torch.rand(5, 1, 50, 60, generator=generator)
    crops = torch.stack(
        [image[:, y1:y2, x1:x2] for image, (x1, y1, x2, y2) in zip(images, boxes.tolist(), strict=True)]
    )
    assert_close(g.warp(images, (17, 31)), crops, atol=2e-5, rtol=0)
    for dtype in (torch.uint8, torch.int32):
        assert eq.Affine.from_crop(boxes.to(dtype), (50, 60)).matrix.equal(g.matrix)


def test_a_map_that_is_not_finite_reads_everything():
    broken = eq.Affine._of(
        torch.tensor([[[0.0, 0, 0], [0, 0, 0], [0, 0, 1]], [[float("nan"), 0, 0], [0, 1, 0], [0, 0, 1]]])
    )
    for padding_mode in PADDING:
        assert broken.read_box((40, 30), (8, 8), padding_mode=padding_mode).tolist() == [[0, 0, 30, 40]] * 2


def test_bad_crops_are_named():
    with pytest.raises(TypeError, match=r"boxes: expected a tensor \(B, 4\) of whole numbers, got .*float32.*read_box"):
        eq.Affine.from_crop(torch.rand(2, 4), (8, 8))
    with pytest.raises(TypeError, match=r"boxes: expected a tensor \(B, 4\) of whole numbers, got list"):
        eq.Affine.from_crop([0, 0, 4, 4], (8, 8))
    with pytest.raises(ValueError, match=r"boxes: expected a tensor of shape \(B, 4\), got"):
        eq.Affine.from_crop(torch.tensor([0, 0, 4, 4]), (8, 8))
    for bad in ([0, 0, 4, 9], [0, 0, 0, 4], [-1, 0, 4, 4], [0, 5, 4, 4], [2, 0, 9, 4]):
        with pytest.raises(ValueError, match=r"boxes: expected boxes of at least one pixel inside 8 × 8.* at index 1"):
            eq.Affine.from_crop(torch.tensor([[0, 0, 8, 8], bad]), (8, 8))
    with pytest.raises(ValueError, match=r"source: expected a whole number of at least 1"):
        eq.Affine.from_crop(torch.tensor([[0, 0, 8, 8]]), (8, 0))


def test_double_precision_counts_the_same_pixels():
    g = random_affine(4, 30, WIDE)
    assert g.read_box((90, 120), (32, 32)).equal(g.to(dtype=torch.float32).read_box((90, 120), (32, 32)))
