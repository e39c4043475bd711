"""What views see of points and boxes, and of their source."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from registry import TRANSFORMS, random_affine
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing import assert_close

import equicon as eq

SOURCE, VIEW = (30, 36), (22, 40)
WIDE = eq.Compose([eq.RandomAffine(180, 0.5, (0.4, 2.5), 30), eq.RandomHorizontalFlip()])
INSIDE = eq.Compose([eq.RandomTranslate(0.3), eq.RandomScale((1.0, 3.0)), eq.RandomHorizontalFlip()])
NAN, INF = float("nan"), float("inf")
seeds = st.integers(0, 2**31)
sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))


def drawn(name: str, count: int = 6) -> eq.Affine:
    g = TRANSFORMS[name].transform.sample(count, generator=torch.Generator().manual_seed(5)).affine
    return g.to(dtype=torch.float64)


def random_boxes(seed: int, batch: int, count: int, source: tuple[int, int]) -> torch.Tensor:
    """Boxes of which some lie in the source, and some partly or wholly outside."""
    generator = torch.Generator().manual_seed(seed)
    middle = torch.rand(batch, count, 2, generator=generator, dtype=torch.float64) * 1.4 - 0.2
    half = torch.rand(batch, count, 2, generator=generator, dtype=torch.float64) * 0.3
    return torch.cat([middle - half, middle + half], -1) * torch.tensor([*source[::-1]] * 2)


def size_of(polygons: torch.Tensor) -> torch.Tensor:
    """The area of polygons (..., N, 2), as a sum over triangles from their middle."""
    a = polygons - polygons.mean(-2, keepdim=True)
    b = a.roll(-1, -2)
    return (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]).sum(-1).abs() / 2


def clipped(corners: list[tuple[float, float]], size: tuple[int, int]) -> list[tuple[float, float]]:
    """Cut a polygon by a picture's rectangle: one corner after the other, as long as there are any."""
    for axis, n in ((0, size[1]), (1, size[0])):
        for sign, bound in ((1, -0.5), (-1, n - 0.5)):
            found = []
            for p, q in zip(corners, corners[1:] + corners[:1], strict=True):
                here, there = (sign * (v[axis] - bound) for v in (p, q))
                if here >= 0:
                    found.append(p)
                if (here >= 0) != (there >= 0):
                    t = here / (here - there)
                    found.append((p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])))
            corners = found
    return corners


def area_of(corners: list[tuple[float, float]]) -> float:
    return abs(sum(p[0] * q[1] - p[1] * q[0] for p, q in zip(corners, corners[1:] + corners[:1], strict=True))) / 2


# --- points


@pytest.mark.parametrize("name", TRANSFORMS)
def test_visible_points_come_from_the_source_and_come_to_lie_in_the_view(name):
    g = drawn(name)
    xy = torch.rand(6, 4, 50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 60 - 12
    found, moved = g.visible(xy, SOURCE, VIEW), g.points(xy, SOURCE, VIEW)
    assert (found.shape, found.dtype) == ((6, 4, 50), torch.bool)
    for b in range(6):
        for i in range(4):
            for k in range(50):
                (x, y), (u, v) = xy[b, i, k].tolist(), moved[b, i, k].tolist()
                in_source = -0.5 <= x <= SOURCE[1] - 0.5 and -0.5 <= y <= SOURCE[0] - 0.5
                in_view = -0.5 <= u <= VIEW[1] - 0.5 and -0.5 <= v <= VIEW[0] - 0.5
                assert bool(found[b, i, k]) == (in_source and in_view)
    assert 0 < float(found.double().mean()) < 1


def test_the_edge_of_a_picture_counts_and_what_no_number_tells_does_not():
    g = eq.Affine.identity(1)
    edge = torch.tensor([[[-0.5, -0.5], [7.5, 3.5], [7.51, 0.0], [0.0, -0.51], [NAN, 1.0], [1.0, INF], [-INF, NAN]]])
    assert g.visible(edge, (4, 8)).tolist() == [[True, True, False, False, False, False, False]]
    assert g.visible(edge.half(), (4, 8))[0, 0]
    assert g.visible(edge[:, 0], (4, 8)).tolist() == [True]


def test_points_that_nobody_saw_stay_nan_one_by_one():
    g = random_affine(3, 2)
    xy = torch.rand(2, 5, 2, dtype=torch.float64) * 20
    known = g.points(xy, SOURCE, VIEW)
    xy[0, 1], xy[1, 4, 0] = NAN, NAN
    moved = g.points(xy, SOURCE, VIEW)
    unknown = xy.isnan().any(-1)
    assert moved.isnan().all(-1).equal(unknown)
    assert moved[~unknown].equal(known[~unknown])
    assert not g.visible(xy, SOURCE, VIEW)[unknown].any()


# --- boxes


@pytest.mark.parametrize("name", TRANSFORMS)
def test_shares_and_boxes_against_a_loop_over_corners(name):
    g, boxes = drawn(name), random_boxes(1, 6, 20, SOURCE)
    found = g.clip_boxes(boxes, SOURCE, VIEW)
    assert (found.boxes.shape, found.share.shape) == ((6, 20, 4), (6, 20))
    for b in range(6):
        for k in range(20):
            x1, y1, x2, y2 = boxes[b, k].tolist()
            kept = clipped([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], SOURCE)
            there = []
            if kept:
                moved = g[b].points(torch.tensor([kept], dtype=torch.float64), SOURCE, VIEW)[0]
                there = clipped([tuple(p) for p in moved.tolist()], VIEW)
            scale = abs(float(torch.linalg.det(g[b].pixels(SOURCE, VIEW)[0, :2, :2])))
            share = area_of(there) / scale / ((x2 - x1) * (y2 - y1))
            assert float(found.share[b, k]) == pytest.approx(share, abs=1e-9)
            if share > 1e-9:
                (xs, ys) = zip(*there, strict=True)
                assert found.boxes[b, k].tolist() == pytest.approx([min(xs), min(ys), max(xs), max(ys)], abs=1e-7)
    assert float(found.share.min()) == 0
    assert float(found.share.max()) == pytest.approx(1)


@settings(max_examples=20)
@given(seeds)
def test_a_share_is_the_share_of_the_points_of_a_box_that_are_visible(seed):
    g, boxes = random_affine(seed, 3, WIDE), random_boxes(seed, 3, 2, SOURCE)
    at = (torch.arange(80, dtype=torch.float64) + 0.5) / 80
    grid = torch.stack(torch.meshgrid(at, at, indexing="xy"), -1).flatten(0, 1)
    points = boxes[..., None, :2] + grid * (boxes[..., None, 2:] - boxes[..., None, :2])
    share = g.visible(points, SOURCE, VIEW).double().mean(-1)
    assert_close(g.clip_boxes(boxes, SOURCE, VIEW).share, share, atol=0.03, rtol=0)


@settings(max_examples=30)
@given(seeds, sizes, sizes)
def test_shares_of_a_partition_of_the_source_sum_to_what_is_seen(seed, source, view):
    g = random_affine(seed, 4, WIDE)
    across, down = (
        torch.cat([torch.rand(3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).sort()[0] * n])
        for n in (source[1], source[0])
    )
    xs = (
        torch.cat([torch.zeros(1, dtype=torch.float64), across, torch.full((1,), source[1], dtype=torch.float64)]) - 0.5
    )
    ys = torch.cat([torch.zeros(1, dtype=torch.float64), down, torch.full((1,), source[0], dtype=torch.float64)]) - 0.5
    boxes = torch.stack([torch.stack([xs[i], ys[j], xs[i + 1], ys[j + 1]]) for i in range(4) for j in range(4)])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    total = (g.clip_boxes(boxes.expand(4, -1, -1), source, view).share * areas).sum(1)
    assert_close(total, size_of(g.footprint(source, view)).nan_to_num(0.0), atol=1e-7, rtol=1e-7)


@settings(max_examples=30)
@given(seeds)
def test_upright_maps_without_padding_clamp(seed):
    source, view = (40, 60), (20, 24)
    g = INSIDE.sample(4, generator=torch.Generator().manual_seed(seed)).affine.to(dtype=torch.float64)
    g = g.inside(source, view)
    # Their views end half a pixel beyond the centres that lie inside, so boxes end before the source does.
    boxes = random_boxes(seed, 4, 10, source)
    low, high = torch.tensor([-0.5] * 4), torch.tensor([59.5, 39.5] * 2)
    boxes = torch.minimum(torch.maximum(boxes, low), high)
    moved = g.boxes(boxes, source, view)
    expected = torch.minimum(torch.maximum(moved, low), torch.tensor([23.5, 19.5] * 2))
    found = g.clip_boxes(boxes, source, view)
    assert_close(found.boxes, expected)
    sides, kept = moved[..., 2:] - moved[..., :2], expected[..., 2:] - expected[..., :2]
    solid = (sides > 1e-9).all(-1)
    assert_close(found.share[solid], (kept.prod(-1) / sides.prod(-1))[solid])


@given(seeds)
def test_a_box_that_is_seen_whole_moves_as_boxes_do(seed):
    g = random_affine(seed, 4, eq.RandomAffine(180, 0.05, (0.8, 1.0), 10)).to(dtype=torch.float32)
    boxes = torch.tensor([[[20.0, 21.0, 30.0, 27.5], [31.25, 22.0, 33.0, 41.0]]]).expand(4, -1, -1)
    found = g.clip_boxes(boxes, (64, 64), (50, 50))
    assert found.share.equal(torch.ones(4, 2))
    assert_close(found.boxes, g.boxes(boxes, (64, 64), (50, 50)))


@settings(max_examples=50)
@given(seeds)
def test_what_remains_lies_in_the_view_and_nothing_is_a_point_or_a_line(seed):
    g = random_affine(seed, 8, WIDE).to(dtype=torch.float32)
    boxes = random_boxes(seed, 8, 30, SOURCE).float() * 1.5
    found = g.clip_boxes(boxes, SOURCE, VIEW)
    x1, y1, x2, y2 = found.boxes.unbind(-1)
    assert found.boxes.isfinite().all()
    assert ((x1 >= -0.5) & (y1 >= -0.5) & (x2 <= VIEW[1] - 0.5) & (y2 <= VIEW[0] - 0.5)).all()
    assert ((x1 <= x2) & (y1 <= y2)).all()
    nothing = found.share == 0
    assert nothing.any()
    assert (((x2 == x1) | (y2 == y1)) == nothing).all()


def test_a_turned_box_that_passes_by_a_corner_of_the_view_is_not_seen():
    g = eq.RandomRotation((45, 45)).sample(1).affine
    outside = torch.tensor([[[-0.5, -0.5, 3.0, 3.0], [-40.0, 10.0, -20.0, 20.0], [-60.0, -60.0, -30.0, 64.0]]])
    found = g.clip_boxes(outside, (64, 64))
    assert found.share.tolist() == [[0, 0, 0]]
    assert ((found.boxes[..., 2:] - found.boxes[..., :2]) == 0).any(-1).all()
    assert found.boxes.isfinite().all()
    # A box that only touches the source would leave a line, which an upright box around it makes an area.
    touches = g.clip_boxes(torch.tensor([[[20.0, -9.0, 40.0, -0.5], [63.5, 20.0, 70.0, 40.0]]]), (64, 64), (90, 90))
    assert touches.share.tolist() == [[0, 0]]
    assert ((touches.boxes[..., 2:] - touches.boxes[..., :2]) == 0).any(-1).all()


def test_points_lines_and_boxes_that_nobody_knows():
    g = eq.Affine.identity(1)
    boxes = torch.tensor(
        [
            [4.0, 5, 4, 5], [-9, 5, -9, 5], [-9, 5, 9, 5], [3, -8, 3, -4], [NAN, 1, 2, 3], [-INF, -INF, INF, INF],
            [0, 0, INF, 4],
        ]
    )[None]  # fmt: skip
    found = g.clip_boxes(boxes, (16, 16))
    assert found.share.tolist() == [[1, 0, 1, 0, 0, 0, 0]]
    assert found.boxes[0, 0].tolist() == [4, 5, 4, 5]
    assert found.boxes[0, 2].tolist() == [-0.5, 5, 9, 5]
    assert found.boxes[0, 4].isnan().all()
    assert found.boxes[0, 5].tolist() == [-0.5, -0.5, 15.5, 15.5]
    assert found.boxes[0, [0, 1, 2, 3, 5, 6]].isfinite().all()


# --- the polygon


@settings(max_examples=40)
@given(seeds, sizes, sizes)
def test_the_polygon_is_convex_and_holds_just_what_is_visible(seed, source, view):
    g = random_affine(seed, 4, WIDE)
    corners = g.footprint(source, view)
    assert corners.shape == (4, 8, 2)
    xy = torch.rand(4, 200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 1.2 - 0.1
    xy = xy * torch.tensor(source[::-1]) - 0.5
    visible = g.visible(xy, source, view)
    for b in range(4):
        if corners[b].isnan().any():
            assert corners[b].isnan().all()
            assert not visible[b].any()
            continue
        edges = corners[b].roll(-1, 0) - corners[b]
        sign = -1 if bool(g.reflects[b]) else 1
        for p, e in zip(corners[b], edges, strict=True):
            turned = e[0] * (corners[b] - p)[:, 1] - e[1] * (corners[b] - p)[:, 0]
            assert (turned * sign > -1e-6).all()
        to_points = xy[b] - corners[b][:, None]
        sides = edges[:, :1] * to_points[..., 1] - edges[:, 1:] * to_points[..., 0]
        assert ((sides * sign).amin(0)[visible[b]] > -1e-6).all()
        assert ((sides * sign).amin(0)[~visible[b]] < 1e-6).all()


@settings(max_examples=30)
@given(seeds, sizes, sizes)
def test_a_view_sees_of_its_source_what_the_source_sees_of_the_view(seed, source, view):
    g = random_affine(seed, 4, WIDE)
    there = size_of(g.points(g.footprint(source, view), source, view))
    assert_close(there, size_of(g.inverse().footprint(view, source)), equal_nan=True, atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_area_of_the_polygon_is_the_coverage(name):
    g, source, view = drawn(name), (48, 64), (60, 56)
    share = size_of(g.points(g.footprint(source, view), source, view)) / math.prod(view)
    assert_close(share, g.coverage(source, view).mean((1, 2, 3)), atol=0.01, rtol=0)


def test_a_view_that_shows_nothing_has_no_polygon():
    away = eq.Affine.from_linear(torch.eye(2).expand(2, 2, 2), torch.tensor([[0.0, 0.0], [9.0, 0.0]]))
    assert away.footprint((8, 8)).isnan().flatten(1).all(1).tolist() == [False, True]


# --- how they are called


def everything(g: eq.Affine, xy: torch.Tensor, boxes: torch.Tensor) -> list[torch.Tensor]:
    return [
        g.visible(xy, SOURCE, VIEW),
        *g.clip_boxes(boxes, SOURCE, VIEW),
        g.footprint(SOURCE, VIEW),
        *(g.read_box(SOURCE, (8, 9), padding_mode=how) for how in ("zeros", "border", "reflection")),
        g.reflects,
        (g @ eq.Affine.from_crop(g.read_box(SOURCE), SOURCE).inverse()).matrix,
    ]


def given_all(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    xy = torch.rand(4, 7, 2, generator=torch.Generator().manual_seed(0)) * 40
    matrix = random_affine(2, 4, WIDE).matrix.to(dtype)
    return matrix, xy.to(dtype), random_boxes(2, 4, 7, SOURCE).to(dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_types(dtype):
    matrix, xy, boxes = given_all(dtype)
    g = eq.Affine(matrix)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    found = everything(g, xy, boxes)
    with torch.autocast("cpu", torch.bfloat16):
        again = everything(g, xy, boxes)
    for one, other in zip(found, again, strict=True):
        assert one.dtype in (torch.bool, torch.int64, wide)
        assert_close(one, other, equal_nan=True, rtol=0, atol=0)
    assert found[1].dtype == found[2].dtype == found[3].dtype == wide


@pytest.mark.slow
def test_all_compiles_whole():
    torch.compiler.reset()
    matrix, xy, boxes = given_all()

    def run(matrix: torch.Tensor) -> list[torch.Tensor]:
        g = eq.Affine._of(matrix)
        crop = eq.Affine.from_crop(g.read_box(SOURCE, VIEW), SOURCE)
        return [
            g.visible(xy, SOURCE, VIEW), *g.clip_boxes(boxes, SOURCE, VIEW), g.footprint(SOURCE, VIEW),
            g.read_box(SOURCE, (8, 9), padding_mode="reflection"), g.reflects, crop.matrix,
        ]  # fmt: skip

    compiled = torch.compile(run, fullgraph=True, backend="eager")
    for one, other in zip(compiled(matrix), run(matrix), strict=True):
        assert_close(one, other, equal_nan=True)


def test_all_maps_over_batches():
    matrix, xy, boxes = given_all(torch.float64)
    many = [torch.stack([t, t.flip(0)]) for t in (matrix, xy, boxes)]
    found = torch.func.vmap(lambda m, p, b: everything(eq.Affine._of(m), p, b))(*many)
    for i in range(2):
        expected = everything(eq.Affine._of(many[0][i]), many[1][i], many[2][i])
        for one, other in zip(found, expected, strict=True):
            assert_close(one[i], other, equal_nan=True)


def test_boxes_and_shares_and_polygons_have_gradients():
    matrix, _, boxes = given_all(torch.float64)
    boxes = torch.cat([boxes[:, :3], torch.tensor([[[3.0, 3, 9, 3], [4, 4, 4, 4]]]).expand(4, -1, -1)], 1)

    def run(matrix: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        g = eq.Affine._of(matrix)
        return (*g.clip_boxes(boxes[:, :3], SOURCE, VIEW), g.footprint(SOURCE, VIEW))

    assert torch.autograd.gradcheck(run, (matrix.requires_grad_(), boxes.requires_grad_()))
    found = eq.Affine._of(matrix).clip_boxes(boxes, SOURCE, VIEW)
    grads = torch.autograd.grad(found.boxes.sum() + found.share.sum(), (matrix, boxes))
    assert all(grad.isfinite().all() for grad in grads)


@pytest.mark.skipif(not torch.backends.cuda.is_built(), reason="fakes CUDA tensors, which a CPU build has not")
def test_nothing_waits():
    from test_device import Copies, fake

    with FakeTensorMode(allow_non_fake_inputs=True), Copies() as copies:
        g = eq.RandomAffine(45, 0.1).sample(4, device="cuda").affine
        for result in everything(g, fake(4, 7, 2), fake(4, 7, 4)):
            assert result.device.type == "cuda"
        swapped = eq.swap_sides(fake(4, 17, 2), "coco", where=g.reflects)
        flipped = eq.swap_sides(swapped, torch.arange(17), where=g.reflects)
        assert flipped.device.type == "cuda"
        assert not copies.waiting, copies.waiting[0]


def test_batches_may_be_empty():
    g = eq.Affine.identity(0)
    for result in everything(g, torch.rand(0, 3, 2), torch.rand(0, 3, 4)):
        assert len(result) == 0
    assert eq.Affine.identity(2).clip_boxes(torch.rand(2, 0, 4), SOURCE).share.shape == (2, 0)


def test_bad_input_is_named():
    g = eq.Affine.identity(2)
    with pytest.raises(ValueError, match=r"xy: expected a tensor of shape \(B, \.\.\., 2\).*xy\[\.\.\., :2\]"):
        g.visible(torch.rand(2, 5, 3), SOURCE)
    with pytest.raises(ValueError, match=r"xy: expected .* Add the batch dimension: xy\[None\]"):
        g.visible(torch.rand(2), SOURCE)
    with pytest.raises(TypeError, match=r"xy: expected a floating type"):
        g.visible(torch.ones(2, 5, 2, dtype=torch.int64), SOURCE)
    with pytest.raises(ValueError, match=r"xy: expected a batch of 2, like the map, got a batch of 3"):
        g.visible(torch.rand(3, 5, 2), SOURCE)
    points, boxes, meta = torch.rand(2, 5, 2), torch.rand(2, 4).cumsum(-1), eq.Affine.identity(2).to("meta")
    for call in (g.visible, g.points):
        with pytest.raises(ValueError, match=r"xy: expected xy on cpu, got xy on meta\. Move one of the two with \.to"):
            call(points.to("meta"), SOURCE)
    with pytest.raises(ValueError, match=r"xy: expected xy on meta, got xy on cpu"):
        meta.points(points)
    for call in (g.clip_boxes, g.boxes):
        with pytest.raises(ValueError, match=r"boxes: expected boxes on cpu, got boxes on meta"):
            call(boxes.to("meta"), SOURCE)
    with pytest.raises(ValueError, match=r"K: expected K on cpu, got K on meta"):
        g.intrinsics(torch.eye(3, device="meta").expand(2, 3, 3), SOURCE)
    with pytest.raises(ValueError, match=r"boxes: expected a batch of 2"):
        g.clip_boxes(torch.rand(3, 4), SOURCE)
    turned = torch.tensor([[[0.0, 0, 1, 1], [0.0, 0, 1, 1]], [[5.0, 0, 1, 1], [0.0, 0, 1, 1]]])
    with pytest.raises(ValueError, match=r"boxes: expected x1 <= x2 and y1 <= y2, got .* at index \[1, 0\]\. If"):
        g.clip_boxes(turned, SOURCE)
    for call in (
        g.footprint,
        g.read_box,
        lambda s: g.visible(torch.rand(2, 2), s),
        lambda s: g.clip_boxes(torch.rand(2, 4), s),
    ):
        with pytest.raises(ValueError, match=r"source: expected a whole number of at least 1"):
            call((0, 3))
    with pytest.raises(ValueError, match=r"view: expected a whole number of at least 1"):
        g.footprint(SOURCE, (4, 0))
    with pytest.raises(ValueError, match=r"padding_mode: expected one of zeros, border, reflection, got str 'reflect'"):
        g.read_box(SOURCE, padding_mode="reflect")
    with pytest.raises(TypeError, match=r"antialias: expected True or False, got int 1"):
        g.read_box(SOURCE, antialias=1)


def test_reflects_is_a_property_of_each_element():
    assert eq.RandomHorizontalFlip(0.5).sample(64, generator=torch.Generator().manual_seed(0)).affine.reflects.any()
    assert not eq.RandomRotation(180).sample(64).affine.reflects.any()
