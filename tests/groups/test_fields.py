"""Masks, heatmaps, vector fields and depth: laws over the registry, on every backend that runs here, then loops."""

import math

import pytest
import torch
from groups.fields import METHODS, field_of, gaussians, lattice, methods
from hypothesis import given, settings
from hypothesis import strategies as st
from registry import TRANSFORMS, random_affine
from torch import Tensor
from torch.testing import assert_close
from warp_backends import DEVICE, EXACT, backends, force

import equicon as eq

TYPES = [
    getattr(torch, name)
    for name in ("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64")
    if hasattr(torch, name)
]
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
GEOMETRIC = [name for name, entry in TRANSFORMS.items() if entry.geometric]
LARGE = ("scale up", "resized crop", "simclr")  # in their views, a blob is cut off
SOURCE, VIEW = (60, 72), (52, 48)
exact = pytest.mark.parametrize("backend", EXACT)  # Triton neither reads the nearest pixel nor two channels
transforms = pytest.mark.parametrize("name", GEOMETRIC)
few = settings(max_examples=6)
seeds = st.integers(0, 2**31)


def drawn(name: str, batch_size: int = 4) -> eq.Affine:
    return TRANSFORMS[name].transform.sample(batch_size, generator=torch.Generator().manual_seed(0)).affine.to(DEVICE)


# --- laws


@methods
@few
@given(seed=seeds, middle=st.lists(st.integers(1, 3), max_size=2), height=st.integers(1, 20), width=st.integers(1, 20))
def test_the_identity_does_nothing(method, seed, middle, height, width):
    for dtype in FLOATS if method in ("heatmaps", "vectors") else [*FLOATS, torch.uint8, torch.int64]:
        field = field_of(method, 3, *middle, height, width, dtype=dtype, seed=seed)
        moved = getattr(eq.Affine.identity(3), method)(field)
        assert moved.dtype == dtype
        if method in ("masks", "depth"):
            assert moved.equal(field)
        else:
            assert_close(moved.double(), field.double(), atol=1e-4, rtol=torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [*TYPES, *FLOATS], ids=str)
@few
@given(seed=seeds, fill=st.integers(0, 1))
def test_masks_and_depth_hold_only_values_of_the_source_or_the_fill(dtype, seed, fill):
    fill = fill if dtype == torch.bool else 127 * fill
    g, masks = random_affine(seed), field_of("masks", 4, 2, 9, 11, dtype=dtype, seed=seed)
    for method in ("masks", "depth"):
        if (method, dtype) == ("depth", torch.bool):
            continue
        moved = getattr(g, method)(masks, (12, 8), fill=fill)
        assert (moved.dtype, moved.shape) == (dtype, (4, 2, 12, 8))
        for row, source in zip(moved.double(), masks.double(), strict=True):
            assert set(row.unique().tolist()) <= {*source.unique().tolist(), float(fill)}


@transforms
@exact
def test_masks_of_classes_apart_are_the_classes_of_the_mask(name, backend, monkeypatch):
    force(backend, monkeypatch)
    g, classes = drawn(name), torch.arange(5, device=DEVICE).view(1, 5, 1, 1)
    mask = torch.randint(0, 5, (4, 1, *SOURCE), generator=torch.Generator().manual_seed(0)).to(DEVICE)
    moved = g.masks(mask, VIEW, fill=255)
    assert g.masks(mask == classes, VIEW).equal(moved == classes)
    assert g.masks((mask == classes).double(), VIEW).equal((moved == classes).double())
    inside = g.masks(torch.ones_like(mask), VIEW) == 1
    assert inside.equal(moved != 255)
    assert g.masks(mask, VIEW).equal(torch.where(inside, moved, 0))


@transforms
@exact
def test_masks_move_where_points_move(name, backend, monkeypatch):
    force(backend, monkeypatch)
    g, radius, middle = drawn(name, 24), 9.0, torch.tensor([38.0, 27.0], device=DEVICE)
    disc = (lattice(SOURCE).float() - middle).norm(dim=-1) <= radius
    view = (80, 90)
    moved = g.masks(disc.expand(24, *SOURCE), view)
    turn = torch.linspace(0, 2 * math.pi, 64, device=DEVICE)
    rim = middle + (radius + 1) * torch.stack([turn.cos(), turn.sin()], -1)
    rim = g.points(rim.expand(24, 64, 2), SOURCE, view)
    whole = ((rim >= 0) & (rim <= torch.tensor([view[1] - 1.0, view[0] - 1.0], device=DEVICE))).flatten(1).all(1)
    weight = moved.float()
    found = (weight[..., None] * lattice(view).float()).sum((1, 2)) / weight.sum((1, 2))[:, None]
    expected = g.points(middle.expand(24, 1, 2), SOURCE, view)[:, 0]
    assert whole.any()
    assert float((found - expected)[whole].abs().max()) < 0.4


@transforms
@backends
def test_heatmaps_move_where_points_move_and_keep_their_height(name, backend, monkeypatch):
    """A bilinear read of a Gaussian lowers it by at most an eighth of its curvature on each axis: (1/2σ)²."""
    force(backend, monkeypatch)
    sigma, count = 3.0, 2 if backend == "triton" else 12  # the interpreter is slow
    g = drawn(name, count)
    exact = g.to(torch.float64)
    generator = torch.Generator().manual_seed(1)
    centers = (torch.rand(count, 3, 2, generator=generator, dtype=torch.float64) * 16 + 24).to(DEVICE)
    moved = g.heatmaps(0.8 * gaussians(centers, SOURCE, sigma).float(), VIEW).double()
    at = exact.inverse().points(lattice(VIEW).flatten(0, 1).expand(count, -1, 2), VIEW, SOURCE).unflatten(1, VIEW)
    away = (at[:, None] - centers[:, :, None, None]).square().sum(-1)
    assert_close(moved, 0.8 * torch.exp(-away / (2 * sigma**2)), atol=0.8 / (2 * sigma) ** 2, rtol=0)

    there, reach = exact.points(centers, SOURCE, VIEW), 4 * sigma * exact.linear.flatten(1).norm(dim=1)[:, None, None]
    whole = ((there > reach) & (there < torch.tensor([VIEW[1], VIEW[0]], device=DEVICE) - 1 - reach)).all(-1)
    centroids = (moved[..., None] * lattice(VIEW)).sum((-3, -2)) / moved.sum((-2, -1))[..., None]
    assert (centroids - there)[whole].abs().lt(0.05).all()
    assert whole.any() or name in LARGE or count == 2


@transforms
@exact
def test_vectors_lead_to_where_points_go(name, backend, monkeypatch):
    """A field without curvature is read exactly: points(p + v(p)) − points(p) is the moved field at points(p)."""
    force(backend, monkeypatch)
    g, generator = drawn(name).to(torch.float64), torch.Generator().manual_seed(2)
    change = torch.randn(4, 2, 2, generator=generator, dtype=torch.float64).to(DEVICE) / 10
    shift = torch.randn(4, 1, 2, generator=generator, dtype=torch.float64).to(DEVICE)

    def v(p: Tensor) -> Tensor:
        return p @ change.mT + shift

    given = v(lattice(SOURCE).flatten(0, 1)).mT.unflatten(-1, SOURCE)
    moved = g.vectors(given, VIEW).flatten(2).mT
    p = g.inverse().points(lattice(VIEW).flatten(0, 1).expand(4, -1, 2), VIEW, SOURCE)
    expected = g.points(p + v(p), SOURCE, VIEW) - g.points(p, SOURCE, VIEW)
    covered = g.coverage(SOURCE, VIEW).flatten(1)
    assert covered.eq(1).any()
    assert_close(moved[covered == 1], expected[covered == 1], atol=1e-9, rtol=0)
    assert moved[covered == 0].eq(0).all()


@few
@given(seeds)
def test_vectors_moved_twice_are_moved_by_the_product(seed):
    g, h = random_affine(seed, 3, eq.RandomAffine(40, 0.1, (0.8, 1.3), 10)), random_affine(seed + 1, 3)
    middle = (40, 44)
    change = torch.randn(2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    given = (lattice(SOURCE).cpu() @ change).movedim(-1, 0).expand(3, 2, *SOURCE)
    twice, once = g.vectors(h.vectors(given, middle), VIEW), (g @ h).vectors(given, VIEW)
    shown = h.heatmaps(torch.ones(3, *SOURCE, dtype=torch.float64), middle) == 1
    whole = g.heatmaps(shown.double(), VIEW)[:, None].expand_as(once) == 1
    assert whole.any()
    assert_close(twice[whole], once[whole], atol=1e-8, rtol=1e-8)


@transforms
def test_a_drawn_action_moves_fields_as_pictures_and_again(name):
    """Views of twice the size are not anti-aliased, so a picture is moved as a heatmap is."""
    size, out = (20, 24), (44, 52)
    action = TRANSFORMS[name].transform.sample(3, generator=torch.Generator().manual_seed(0))
    frame = eq.Affine.from_boxes(torch.tensor([[2.0, 2.0, 19.0, 17.0]] * 3), size)
    total = action.affine @ frame
    images = torch.rand(3, 3, *size, generator=torch.Generator().manual_seed(1))
    views = eq.Action(action.affine)(images, size=out, frame=frame)
    assert_close(total.heatmaps(images, out), views, atol=1e-6, rtol=0)
    for method in METHODS:
        field = field_of(method, 3, 2, *size)
        moved = getattr(total, method)(field, out)
        assert getattr((action.affine @ frame), method)(field, out).equal(moved)
        assert getattr(total[1:2], method)(field[1:2], out).equal(moved[1:2])


@methods
@few
@given(seed=seeds)
def test_everything_between_batch_and_picture_moves_alike(method, seed):
    g, size = random_affine(seed, 2), (9, 7)
    clip = field_of(method, 2, 3, 2, 8, 10, seed=seed)
    move = getattr(g, method)
    moved = move(clip, size)
    apart = torch.stack([torch.stack([move(clip[:, t, k], size) for k in range(2)], 1) for t in range(3)], 1)
    assert moved.equal(apart)
    assert move(clip.transpose(1, 2), size).equal(moved.transpose(1, 2))  # whatever its strides
    assert move(clip[:, :0], size).shape == (2, 0, *moved.shape[2:])
    assert eq.Affine.identity(0).masks(torch.zeros(0, 4, 5)).shape == (0, 4, 5)


# --- one pixel after the other


def read_slowly(field: Tensor, at: Tensor, how: str, fill: float) -> Tensor:
    """Read channels (K, H, W) at one place (x, y); NaN where rounding decides which pixel is the nearest."""
    (x, y), (height, width) = at.tolist(), field.shape[-2:]

    def pixel(column: int, row: int) -> Tensor:
        known = 0 <= column < width and 0 <= row < height
        return field[:, row, column] if known else torch.full_like(field[:, 0, 0], fill)

    if how == "nearest":
        if min(abs(place - math.floor(place) - 0.5) for place in (x, y)) < 1e-9:
            return torch.full_like(field[:, 0, 0], math.nan)
        return pixel(round(x), round(y))
    column, row = math.floor(x), math.floor(y)
    a, b = x - column, y - row
    above = (1 - a) * pixel(column, row) + a * pixel(column + 1, row)
    below = (1 - a) * pixel(column, row + 1) + a * pixel(column + 1, row + 1)
    return (1 - b) * above + b * below


@methods
@few
@given(seed=seeds)
def test_fields_are_those_of_a_plain_loop(method, seed):
    size, out, fill = (7, 9), (8, 6), 77.0 if method in ("masks", "depth") else 0.0
    g, field = random_affine(seed, 2), field_of(method, 2, 3, *size, dtype=torch.float64, seed=seed)
    moved = getattr(g, method)(field, out, **({"fill": fill} if fill else {}))
    back, forth = g.inverse().pixels(out, size), g.pixels(size, out)[:, :2, :2]
    for i in range(2):
        for row in range(out[0]):
            for column in range(out[1]):
                at = (back[i] @ torch.tensor([column, row, 1.0], dtype=torch.float64))[:2]
                channels = field[i].reshape(-1, *size)
                expected = read_slowly(channels, at, "nearest" if fill else "bilinear", fill)
                if method == "vectors":
                    expected = torch.stack([forth[i] @ v for v in expected.view(3, 2)]).flatten()
                if not expected.isnan().any():
                    assert_close(moved[i, ..., row, column].flatten(), expected, atol=1e-9, rtol=0)
