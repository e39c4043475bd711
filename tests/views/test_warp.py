import pytest
import torch
from registry import smooth_images
from torch.testing import assert_close

import equicon as eq
from equicon._views import warp as _warp

TYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", TYPES)
def test_floating_images_come_back_in_their_own_type(dtype):
    images = smooth_images(0, 2, (40, 50))
    g = eq.RandomRotation(45).sample(2).affine
    view = g.warp(images.to(dtype), (32, 32))
    assert view.dtype == dtype
    tolerance = {torch.float64: 1e-5, torch.float32: 1e-5, torch.bfloat16: 8e-3, torch.float16: 1e-3}[dtype]
    assert_close(view.double(), g.warp(images, (32, 32)), atol=tolerance, rtol=0)


def test_half_precision_coordinates_are_not_rounded():
    ramp = torch.arange(256.0).expand(1, 1, 256, 256) / 256
    g = eq.Affine.from_linear(torch.eye(2)[None], torch.tensor([[0.01, 0.0]]))
    assert_close(g.warp(ramp.bfloat16()).float(), g.warp(ramp).bfloat16().float(), atol=4e-3, rtol=0)


def test_uint8_gives_float32_in_unit_range():
    images = torch.randint(0, 256, (2, 3, 20, 30), dtype=torch.uint8)
    view = eq.Affine.identity(2).warp(images)
    assert view.dtype == torch.float32
    assert_close(view, images / 255, atol=1e-5, rtol=0)


def test_the_identity_gives_back_the_image():
    images = torch.rand(2, 5, 31, 46)
    assert_close(eq.Affine.identity(2).warp(images), images, atol=1e-5, rtol=0)


def test_source_and_view_lie_on_each_other_by_their_shorter_sides():
    images = torch.rand(1, 3, 48, 64, dtype=torch.float64)
    assert_close(eq.Affine.identity(1).warp(images, (48, 48)), images[..., 8:56], atol=1e-9, rtol=0)
    longer = eq.Affine.identity(1).warp(images, (48, 80))
    assert_close(longer[..., 8:72], images, atol=1e-9, rtol=0)
    assert float(longer[..., :7].abs().max()) == 0


def test_masks_keep_their_labels():
    labels = torch.randint(0, 5, (2, 1, 40, 40)).float()
    warped = eq.RandomRotation(45).sample(2).affine.warp(labels, (20, 20), mode="nearest")
    assert set(warped.unique().tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}
    whole = eq.Affine.identity(2).warp(labels.to(torch.uint8), mode="nearest")
    assert whole.dtype == torch.uint8
    assert whole.equal(labels.to(torch.uint8))


def supersampled(g: eq.Affine, images: torch.Tensor, size: tuple[int, int], factor: int = 16) -> torch.Tensor:
    """Average many samples for each pixel of the view: what a camera would see."""
    fine = g.warp(images, (size[0] * factor, size[1] * factor), antialias=False)
    return torch.nn.functional.avg_pool2d(fine, factor)


def psnr(view: torch.Tensor, reference: torch.Tensor) -> float:
    return float(-10 * (view - reference).square().mean().log10())


@pytest.mark.parametrize("how", ["resize", "matrix", "frame", "odd"])
def test_antialiasing_follows_the_whole_map(how):
    """A shrink of 2, by the ratio of sizes, by the matrix, by a frame: at least 3 dB better than plain sampling."""
    size = (131, 163) if how == "odd" else (128, 160)
    images = torch.rand(4, 3, *size, generator=torch.Generator().manual_seed(0))
    images = torch.nn.functional.avg_pool2d(images, 3, 1, 1)
    turn = eq.RandomRotation(45).sample(4, generator=torch.Generator().manual_seed(0)).affine
    half = eq.Affine.from_linear(torch.eye(2).repeat(4, 1, 1) / 2)
    out = (64, 64) if how in ("resize", "odd") else (128, 128)
    g = turn if how in ("resize", "odd") else half @ turn
    view = eq.Action(turn)(images, size=out, frame=half) if how == "frame" else g.warp(images, out)
    reference, middle = (
        supersampled(g, images, out),
        (..., slice(out[0] // 3, -out[0] // 3), slice(out[0] // 3, -out[0] // 3)),
    )
    plain = psnr(g.warp(images, out, antialias=False)[middle], reference[middle])
    assert psnr(view[middle], reference[middle]) > plain + 3


@pytest.mark.parametrize("side", [32, 64, 100, 128, 160])
def test_a_white_image_stays_white_to_its_border(side):
    white = torch.ones(1, 1, 224, 224, dtype=torch.float64)
    assert_close(eq.Affine.identity(1).warp(white, (side, side)), torch.ones(1, 1, side, side, dtype=torch.float64))
    turned = eq.RandomRotation((30, 30)).sample(1).affine
    plain = turned.warp(white, (side, side), antialias=False)
    assert_close(turned.warp(white, (side, side)), plain, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [(24, 24), (80, 80)])
def test_each_image_is_interpolated_once_however_long_the_chain(monkeypatch, size):
    read, original = [], torch.nn.functional.grid_sample

    def counting(images, *args, **options):
        read.append(len(images))
        return original(images, *args, **options)

    monkeypatch.setattr("torch.nn.functional.grid_sample", counting)
    images = torch.rand(64, 3, 40, 40)
    for length in (1, 5):
        read.clear()
        eq.Compose([eq.RandomAffine(45, 0.1, (0.8, 1.2), 10)] * length)(images, size=size)
        assert sum(read) == 64


def reference(image: torch.Tensor, matrix: torch.Tensor, size: tuple[int, int], level: int) -> torch.Tensor:
    """Read one channel (H, W) from one level, pixel by pixel, with zeros around it."""
    height, width = image.shape
    stride = 2 ** max(0, level - 1)
    rows, columns = -(-height // stride), -(-width // stride)

    def halved(i: int, j: int) -> float:
        y, x = (torch.arange(k * stride, (k + 1) * stride).clamp(max=n - 1) for k, n in ((i, height), (j, width)))
        return float(image[y][:, x].mean())

    cells = torch.tensor([[halved(i, j) for j in range(columns)] for i in range(rows)], dtype=torch.float64)
    lattice = cells if level == 0 else (cells[1:, 1:] + cells[:-1, 1:] + cells[1:, :-1] + cells[:-1, :-1]) / 4
    offset = 0.0 if level == 0 else 0.5
    inverse = eq.Affine(matrix[None]).pixels((height, width), size)[0].inverse()
    view = torch.zeros(size, dtype=torch.float64)
    for i in range(size[0]):
        for j in range(size[1]):
            x, y, _ = (inverse @ torch.tensor([j, i, 1.0], dtype=torch.float64)).tolist()
            covered = [min(1.0, max(0.0, min(place + 1, n - place))) for place, n in ((x, width), (y, height))]
            at = [(place + 0.5) / stride - 0.5 - offset for place in (x, y)]
            at = [min(max(place, 0.0), n - 1.0) for place, n in zip(at, lattice.shape[::-1], strict=True)]
            j0, i0 = (int(place) for place in at)
            j1, i1 = min(j0 + 1, lattice.shape[1] - 1), min(i0 + 1, lattice.shape[0] - 1)
            tx, ty = at[0] - j0, at[1] - i0
            top = (1 - tx) * lattice[i0, j0] + tx * lattice[i0, j1]
            bottom = (1 - tx) * lattice[i1, j0] + tx * lattice[i1, j1]
            view[i, j] = covered[0] * covered[1] * ((1 - ty) * top + ty * bottom)
    return view


@pytest.mark.parametrize("size", [(24, 32), (21, 27)])
@pytest.mark.parametrize("shrink", [1.0, 1.1, 1.3, 2.7, 3.0, 5.5, 6.0])
def test_every_level_is_what_a_loop_over_pixels_gives(size, shrink):
    out = (8, 10)
    ratio = min(size) / min(out)
    turn = eq.RandomAffine(180, 0.1, shear=5).sample(1, generator=torch.Generator().manual_seed(0)).affine
    g = eq.Affine.from_linear(ratio / shrink * torch.eye(2, dtype=torch.float64)[None]) @ turn.to(dtype=torch.float64)
    level = sum(min(shrink, 2 * ratio) >= bound for bound in (2**0.25, 2**1.5, 2**2.5))
    image = torch.rand(size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert_close(g.warp(image[None, None], out)[0, 0], reference(image, g.matrix[0], out, level), atol=1e-9, rtol=0)


def test_all_levels_at_once_are_each_image_from_its_own():
    """What runs where a level may not be looked at, on a GPU and in a compiled graph, is what runs on a CPU."""
    images, size = torch.rand(9, 3, 37, 45, dtype=torch.float64), (13, 12)
    scale = eq.Affine.from_linear(torch.linspace(0.5, 3.0, 9)[:, None, None] * torch.eye(2))
    g = scale @ eq.RandomAffine(180, 0.1).sample(9, generator=torch.Generator().manual_seed(0)).affine
    matrix = g.matrix.double()
    last = _warp.last_level((37, 45), size)
    level = _warp.levels(matrix, (37, 45), size, last)
    assert set(level.tolist()) == set(range(last + 1))
    for padding_mode in ("zeros", "border", "reflection"):
        together = _warp.read_all(images, matrix, size, level, last, "bilinear", padding_mode)
        assert_close(together, g.warp(images, size, padding_mode=padding_mode), atol=1e-12, rtol=0)


@pytest.mark.parametrize("ratio", [1.0, 1.2, 1.25, 1.5, 1.75, 2.0, 3.0, 4.0, 6.0])
def test_rounding_does_not_choose_the_level(ratio):
    """Sizes have ratios that are fractions; turned images of one ratio are all read from the same level."""
    size, out = (round(60 * ratio), round(60 * ratio)), (60, 60)
    g = eq.RandomRotation(180).sample(512, generator=torch.Generator().manual_seed(0)).affine
    assert len(_warp.levels(g.matrix, size, out, _warp.last_level(size, out)).unique()) == 1


def test_antialiasing_leaves_magnified_images_alone():
    images = torch.rand(2, 3, 40, 40)
    g = eq.RandomAffine(180, scale=(1.05, 2.0)).sample(2).affine
    assert_close(g.warp(images), g.warp(images, antialias=False), atol=0, rtol=0)
    crop = eq.Affine.from_boxes(torch.tensor([[4.0, 4.0, 14.0, 14.0]]).repeat(2, 1), (40, 40))
    assert_close(crop.warp(images, (20, 20)), crop.warp(images, (20, 20), antialias=False), atol=0, rtol=0)


def test_a_tiny_image_survives():
    assert eq.Affine.identity(1).warp(torch.rand(1, 3, 1, 1), (1, 1)).shape == (1, 3, 1, 1)
    assert eq.Affine.identity(1).warp(torch.rand(1, 3, 33, 5), (1, 1)).isfinite().all()


def test_gradients_flow_to_the_images():
    images = torch.rand(1, 3, 8, 8, requires_grad=True)
    eq.Affine.identity(1).warp(images, (4, 4)).sum().backward()
    assert_close(images.grad.sum(), torch.tensor(48.0))


def test_an_empty_batch_gives_an_empty_view():
    assert eq.Affine.identity(0).warp(torch.rand(0, 3, 8, 8), (4, 4)).shape == (0, 3, 4, 4)
