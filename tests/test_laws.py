"""The laws that everything rests on, over one registry of all transforms and representations."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kornia.geometry.transform import warp_affine
from registry import MAPS, REPRESENTATIONS, TRANSFORMS, Law, random_affine, smooth_images
from torch.testing import assert_close

import equicon as eq
from equicon.testing import assert_representation, assert_transform

seeds = st.integers(0, 2**31)
sides = st.integers(24, 72)
law = settings(max_examples=20)
few = settings(max_examples=6)
transforms = pytest.mark.parametrize("name", TRANSFORMS)
representations = pytest.mark.parametrize("entry", REPRESENTATIONS.values(), ids=REPRESENTATIONS)


def public(base: type) -> set[type]:
    return {c for c in vars(eq).values() if isinstance(c, type) and issubclass(c, base) and c is not base}


def test_the_registry_holds_everything_public():
    assert public(eq.EquivariantTransform) == {type(entry.transform) for entry in TRANSFORMS.values()}
    listed = {type(entry.representation) for entry in REPRESENTATIONS.values()} | set(map(type, MAPS.values()))
    assert public(eq.Representation) == listed


# --- the group


@law
@given(seeds)
def test_inverse_and_identity(seed):
    g = random_affine(seed)
    e = eq.Affine.identity(len(g), dtype=torch.float64)
    assert_close((g.inverse() @ g).matrix, e.matrix, atol=1e-12, rtol=0)
    assert_close((g @ g.inverse()).matrix, e.matrix, atol=1e-12, rtol=0)
    assert_close((g @ e).matrix, g.matrix, atol=0, rtol=0)
    assert_close((e @ g).matrix, g.matrix, atol=0, rtol=0)
    assert_close(g.inverse().inverse().matrix, g.matrix)


@law
@given(seeds)
def test_associativity(seed):
    f, g, h = (random_affine(seed + i) for i in range(3))
    assert_close(((f @ g) @ h).matrix, (f @ (g @ h)).matrix)


@law
@given(seeds)
def test_composed_points_are_sequential_points(seed):
    g, h = random_affine(seed), random_affine(seed + 1)
    xy = torch.randn(4, 7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    assert_close((g @ h).points(xy), g.points(h.points(xy)))


@law
@given(seeds, sides, sides, sides, sides, sides, sides)
def test_pixel_matrices_compose_through_any_size(seed, h0, w0, h1, w1, h2, w2):
    g, h = random_affine(seed), random_affine(seed + 1)
    a, b, c = (h0, w0), (h1, w1), (h2, w2)
    assert_close((g @ h).pixels(a, c), g.pixels(b, c) @ h.pixels(a, b))
    assert_close(g.pixels(a, b).inverse(), g.inverse().pixels(b, a))
    assert_close(eq.Affine.from_pixels(g.pixels(a, b), a, b).matrix, g.matrix)
    assert_close(eq.Affine.from_pixels(g.pixels(a, b)[:, :2], a, b).matrix, g.matrix)


@law
@given(seeds, sides, sides, sides, sides)
def test_pixels_points_boxes_and_intrinsics_agree(seed, h0, w0, h1, w1):
    g, size, out = random_affine(seed), (h0, w0), (h1, w1)
    generator = torch.Generator().manual_seed(seed)
    xy = 50 * torch.randn(4, 5, 2, dtype=torch.float64, generator=generator)
    moved = g.points(xy, size, out)
    homogeneous = torch.cat([xy, torch.ones(4, 5, 1, dtype=torch.float64)], -1)
    assert_close(moved, (homogeneous @ g.pixels(size, out).mT)[..., :2])

    boxes = torch.cat([xy, xy + torch.rand(4, 5, 2, dtype=torch.float64, generator=generator)], -1)
    corners = torch.stack([g.points(boxes[..., list(pair)], size, out) for pair in ((0, 1), (2, 1), (2, 3), (0, 3))])
    assert_close(g.boxes(boxes, size, out), torch.cat([corners.amin(0), corners.amax(0)], -1))

    xyz = torch.randn(4, 5, 3, dtype=torch.float64, generator=generator) + torch.tensor([0.0, 0.0, 5.0])
    K = torch.tensor([[90.0, 0.0, 30.0], [0.0, 95.0, 20.0], [0.0, 0.0, 1.0]], dtype=torch.float64).expand(4, 3, 3)
    projected, reprojected = (xyz @ k.mT for k in (K, g.intrinsics(K, size, out)))
    assert_close(
        g.points(projected[..., :2] / projected[..., 2:], size, out), reprojected[..., :2] / reprojected[..., 2:]
    )


@law
@given(seeds, sides, sides, st.floats(0.5, 2.0))
def test_frames_put_what_they_frame_into_the_centred_square(seed, height, width, margin):
    generator = torch.Generator().manual_seed(seed)
    xy = 20 * torch.randn(4, 9, 2, dtype=torch.float64, generator=generator)
    frame = eq.Affine.from_points(xy, (height, width), margin)
    inside = frame.points((2 * xy + 1 - torch.tensor([width, height])) / min(height, width))
    assert_close(inside.mean(1), torch.zeros(4, 2, dtype=torch.float64), atol=1e-9, rtol=0)
    assert_close(inside.norm(dim=-1).amax(1), torch.full((4,), 1 / margin, dtype=torch.float64))

    boxes = torch.cat([xy.amin(1), xy.amax(1)], -1)
    square = eq.Affine.from_boxes(boxes, (height, width), margin).boxes(boxes, (height, width), (2, 2))
    assert_close(square.unflatten(-1, (2, 2)).mean(1), torch.full((4, 2), 0.5, dtype=torch.float64))
    extent = (square[:, 2:] - square[:, :2]).amax(-1)
    assert_close(extent, torch.full((4,), 2 / margin, dtype=torch.float64))


# --- pictures


@transforms
@few
@given(seed=seeds, height=sides, width=sides, out=st.none() | st.tuples(sides, sides))
def test_every_transform_keeps_its_promises(name, seed, height, width, out):
    entry = TRANSFORMS[name]
    assert_transform(
        entry.transform,
        source=(height + 64, width + 64),  # large enough for a blob to be smooth before a crop magnifies it
        view=out and (2 * out[0], 2 * out[1]),
        filters=entry.filters,
        batch_size=24,
        generator=torch.Generator().manual_seed(seed),
    )


@transforms
@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_no_transform_makes_what_is_not_a_number_of_a_flat_picture(name, grey):
    images = torch.full((4, 3, 24, 32), grey, requires_grad=True)
    with torch.autograd.set_detect_anomaly(True):
        views, _ = TRANSFORMS[name].transform(images, generator=torch.Generator().manual_seed(0))
        views.square().sum().backward()
    assert views.isfinite().all()
    assert images.grad.isfinite().all()


@few
@given(seeds, sides, sides, sides, sides)
def test_points_move_where_pixels_move_through_a_frame(seed, h0, w0, h1, w1):
    size, out, sigma = (2 * h0, 2 * w0), (h1, w1), 3.0
    generator = torch.Generator().manual_seed(seed)
    centers = (torch.rand(4, 2, generator=generator, dtype=torch.float64) + 0.5) * torch.tensor([w0, h0])
    frame = eq.Affine.from_boxes(torch.cat([centers - 20, centers + 24], -1), size)
    action = eq.RandomAffine(180, 0.05, (0.8, 1.2)).sample(4, generator=generator)
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in size), indexing="ij")
    blobs = torch.exp(-((x - centers[:, 0, None, None]) ** 2 + (y - centers[:, 1, None, None]) ** 2) / (2 * sigma**2))
    visible = ((centers > 4 * sigma) & (centers < torch.tensor([2 * w0, 2 * h0]) - 4 * sigma)).all(-1)
    view = action(blobs[:, None], size=out, frame=frame)[:, 0]
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in out), indexing="ij")
    found = torch.stack([(view * x).sum((1, 2)), (view * y).sum((1, 2))], -1) / view.sum((1, 2))[:, None]
    expected = (action.affine.to(dtype=torch.float64) @ frame).points(centers, size, out)
    assume(bool(visible.any()))
    assert float((found - expected)[visible].abs().max().nan_to_num(torch.inf)) < 0.05


@few
@given(seeds, sides, sides)
def test_there_and_back_again(seed, height, width):
    size = (height + 24, width + 24)
    images = smooth_images(seed, 4, size)
    g = random_affine(seed, transform=eq.RandomAffine(30, 0.05, (0.9, 1.3), 10))
    back = g.inverse().warp(g.warp(images, antialias=False), antialias=False)
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in size), indexing="ij")
    grid = torch.stack([x, y], -1).flatten(0, 1).expand(4, -1, 2)
    seen = g.points(grid, size)
    inside = ((seen > 2) & (seen < torch.tensor([size[1] - 3, size[0] - 3]))).all(-1).view(4, 1, *size)
    inside = inside & ((grid > 2) & (grid < torch.tensor([size[1] - 3, size[0] - 3]))).all(-1).view(4, 1, *size)
    assert float(((back - images) * inside).abs().max()) < 0.03
    assert inside.any()


@few
@given(seeds)
def test_one_warp_is_the_warps_one_after_the_other(seed):
    images = smooth_images(seed, 4, (64, 80))
    f, s = (
        eq.RandomAffine(20, 0.05, (1.0, 1.2)).sample(4, generator=torch.Generator().manual_seed(k))
        for k in (seed, seed + 1)
    )
    together, apart = (s @ f)(images), s(f(images))
    assert float((together - apart)[:, :, 24:-24, 24:-24].abs().max()) < 0.03


@few
@given(seeds, sides, sides, sides, sides)
def test_agrees_with_kornia_on_the_same_pixel_matrix(seed, h0, w0, h1, w1):
    images = torch.rand(4, 3, h0, w0, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    g = random_affine(seed)
    for mode in ("bilinear", "nearest"):
        for padding_mode in ("zeros", "border", "reflection"):
            ours = g.warp(images, (h1, w1), antialias=False, mode=mode, padding_mode=padding_mode)
            pixels = g.pixels((h0, w0), (h1, w1))[:, :2]
            theirs = warp_affine(images, pixels, (h1, w1), mode=mode, padding_mode=padding_mode, align_corners=True)
            assert_close(ours, theirs, atol=1e-6, rtol=0)


@few
@given(seeds, sides, sides, sides, sides)
def test_agrees_with_opencv_on_the_same_pixel_matrix(seed, h0, w0, h1, w1):
    cv2 = pytest.importorskip("cv2", reason="compares with opencv-python-headless")
    images = smooth_images(seed, 4, (h0, w0)).float()
    g = random_affine(seed)
    ours = g.warp(images, (h1, w1), antialias=False, padding_mode="border")
    for image, matrix, view in zip(images, g.pixels((h0, w0), (h1, w1)), ours, strict=True):
        theirs = cv2.warpAffine(
            image.permute(1, 2, 0).numpy(), matrix[:2].numpy(), (w1, h1), borderMode=cv2.BORDER_REPLICATE
        )
        assert_close(view, torch.from_numpy(theirs).permute(2, 0, 1), atol=0.01, rtol=0)


# --- embeddings


@representations
@law
@given(seed=seeds)
def test_every_representation_keeps_its_laws(entry: Law, seed):
    assert_representation(
        entry.representation, entry.width, homomorphism=entry.exact, generator=torch.Generator().manual_seed(seed)
    )


@law
@given(seeds)
def test_exact_points_undo_everything_and_peclr_points_up_to_the_norm(seed):
    z = torch.randn(4, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    g = random_affine(seed)
    assert_close(eq.Points().canonicalize(g, eq.Points().act(g, z)), z)
    similarity = random_affine(
        seed, transform=eq.Compose([eq.RandomAffine(180, 0.3, (0.5, 2)), eq.RandomVerticalFlip()])
    )
    home = eq.PeCLRPoints().canonicalize(similarity, eq.PeCLRPoints().act(similarity, z))
    assert_close(home, z / z.norm(dim=1, keepdim=True))


@representations
@law
@given(seed=seeds)
def test_the_loss_of_equivariant_embeddings_is_nt_xent_of_the_originals(entry: Law, seed):
    generator = torch.Generator().manual_seed(seed)
    z1, z2 = (torch.randn(6, entry.width, dtype=torch.float64, generator=generator) for _ in range(2))
    transform = None if entry.exact else eq.Compose([eq.RandomAffine(180, 0.2, (0.5, 2)), eq.RandomHorizontalFlip()])
    g1, g2 = (random_affine(seed + i, 6, transform) for i in range(2))
    act = entry.representation.act
    loss = eq.PeCLRLoss(0.3, representation=entry.representation)(act(g1, z1), act(g2, z2), g1, g2)
    assert_close(loss, eq.nt_xent(z1, z2, 0.3))
