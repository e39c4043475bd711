"""Devices that lack something: the meta device, and MPS, whose other ways are taken on the CPU here."""

from types import SimpleNamespace

import pytest
import torch
from registry import REPRESENTATIONS, TRANSFORMS
from torch.testing import assert_close

import equicon as eq
from equicon import _devices, hands, metrics


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


@pytest.mark.parametrize(("name", "dtype"), [*((name, torch.float32) for name in TRANSFORMS), ("peclr", torch.uint8)])
def test_views_have_their_shape_on_the_meta_device(name, dtype):
    transform, images = TRANSFORMS[name].transform, meta(4, 3, 72, 96, dtype=dtype)
    views, g = transform(images, size=(40, 56), anchor=meta(4, 2), frame=eq.Affine.from_boxes(meta(4, 4), (72, 96)))
    assert views.is_meta
    assert (views.shape, views.dtype, g.device.type) == ((4, 3, 40, 56), torch.float32, "meta")
    again = transform.sample(4, device="meta")[[0, 1]].repeat_interleave(2)(images)
    assert again.shape == images.shape


@pytest.mark.parametrize("entry", REPRESENTATIONS.values(), ids=REPRESENTATIONS)
@pytest.mark.parametrize("chunk_size", [None, 4], ids=["dense", "blocks"])
def test_embeddings_and_losses_have_their_shape_on_the_meta_device(entry, chunk_size):
    g = eq.RandomAffine(45, 0.1).sample(6, device="meta").affine
    z = meta(6, entry.width).requires_grad_()
    for act in (entry.representation.act, entry.representation.canonicalize):
        assert act(g, z).shape == z.shape
    loss = eq.PeCLRLoss(representation=entry.representation, chunk_size=chunk_size)(z, z, g, g.inverse())
    loss.backward()
    assert loss.is_meta
    assert z.grad.shape == z.shape


def test_maps_labels_and_measures_have_their_shape_on_the_meta_device():
    images, xyz, K = meta(4, 3, 72, 96), meta(4, 21, 3), meta(4, 3, 3)
    xy, g = xyz[..., :2], eq.Affine(meta(4, 3, 3))
    for mode in ("bilinear", "nearest"):
        for padding_mode in ("zeros", "border", "reflection"):
            assert g.warp(images, (30, 20), mode=mode, padding_mode=padding_mode).shape == (4, 3, 30, 20)
    assert eq.Affine.from_points(g.points(xy, (72, 96)), (72, 96)).degrees.shape == (4,)
    assert metrics.procrustes_align(xyz, xyz).shape == xyz.shape
    for measure in (metrics.epe, metrics.auc):
        assert measure(xyz, xyz).shape == ()
    assert metrics.pck(xyz, xyz, [0.1, 0.2]).shape == (2,)
    hand, model = hands.Hand(images, xyz, K), hands.Pose25D(torch.nn.Flatten(), 3 * 24 * 24).to("meta")
    frame = hands.pose_crop(hand, 24)
    target = hands.pose_target(hand, frame.warp(images, (24, 24)), frame)
    pose = model(target.images, target.K)
    assert pose.joints(target.scale).shape == xyz.shape
    assert sum(hands.pose_loss(pose, target, (1.0, 1.0, 1.0)).values()).shape == ()
    assert hands.predict_two_pass(model, images, K, size=24)[0].xyz.shape == xyz.shape


@pytest.fixture
def on_mps(monkeypatch):
    """Let the CPU pass for MPS when this is called: it lacks what MPS lacks, and nothing waits for its values."""
    sample = torch.nn.functional.grid_sample

    def refuse_border(pictures, places, mode, padding_mode, **options):
        assert padding_mode != "border"
        return sample(pictures, places, mode, padding_mode, **options)

    def begin(*, values_are_read: bool) -> None:
        monkeypatch.setattr("torch.nn.functional.grid_sample", refuse_border)
        for lacking in (_devices.NO_BORDER, _devices.NO_FLOAT64):
            assert "mps" in lacking
            lacking.add("cpu")
        if not values_are_read:
            monkeypatch.setattr("equicon._views.view.readable", lambda _: False)

    yield begin
    for lacking in (_devices.NO_BORDER, _devices.NO_FLOAT64):
        lacking.discard("cpu")


IMAGES = torch.rand(4, 3, 72, 96, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("read", [True, False])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("size", [(110, 90), (40, 30), (1, 9)])
def test_without_a_border_maps_move_pictures_alike(read, mode, padding_mode, size, on_mps):
    g = eq.RandomAffine(180, 0.5, (0.3, 2.0), 20).sample(4, generator=torch.Generator().manual_seed(0)).affine
    found = []
    for images in (IMAGES, IMAGES[:, :, :1], IMAGES[..., :1]):
        x = images.clone().requires_grad_()
        views = g.warp(x, size, mode=mode, padding_mode=padding_mode)
        found.append((views.detach(), *torch.autograd.grad(views.square().sum(), x)))
    on_mps(values_are_read=read)
    for images, expected in zip((IMAGES, IMAGES[:, :, :1], IMAGES[..., :1]), found, strict=True):
        x = images.clone().requires_grad_()
        views = g.warp(x, size, mode=mode, padding_mode=padding_mode)
        assert_close((views.detach(), *torch.autograd.grad(views.square().sum(), x)), expected, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("read", [True, False])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_without_a_border_views_are_the_same(name, read, on_mps):
    action = TRANSFORMS[name].transform.sample(4, generator=torch.Generator().manual_seed(0))
    expected = action(IMAGES, size=(30, 40))
    assert action.backend(IMAGES) == "torch"
    on_mps(values_are_read=read)
    assert_close(action(IMAGES, size=(30, 40)), expected, atol=1e-4, rtol=0)
    assert action.backend(IMAGES) == "torch"


def test_the_reference_is_refused_where_there_is_no_border(on_mps, monkeypatch):
    on_mps(values_are_read=True)
    monkeypatch.setenv("EQUICON_BACKEND", "kornia")
    with pytest.raises(ValueError, match="got kornia: cpu cannot continue a picture's border"):
        eq.Affine.identity(4).warp(IMAGES)


def test_what_is_seeded_is_put_back_on_mps_too(monkeypatch):
    """The device is not here: its generator is played by one of the CPU."""
    generator = torch.Generator().manual_seed(1)
    there = {
        "get_rng_state": generator.get_state,
        "set_rng_state": generator.set_state,
        "manual_seed": generator.manual_seed,
    }
    monkeypatch.setattr("torch.mps", SimpleNamespace(**there))
    before, drawn = generator.get_state(), []
    for _ in range(2):
        with _devices.seeded(torch.device("mps"), 7):
            drawn.append((torch.rand(3), torch.rand(3, generator=generator)))
        assert generator.get_state().equal(before)
    assert_close(drawn[0], drawn[1], atol=0, rtol=0)


def test_float64_is_on_the_cpu_where_the_device_has_none(monkeypatch):
    assert _devices.in_float64(meta(2)).is_meta
    monkeypatch.setattr(_devices, "NO_FLOAT64", {"meta"})
    with pytest.raises(NotImplementedError, match="no data"):  # it was asked for its values
        _devices.in_float64(meta(2))
