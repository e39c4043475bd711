"""What would wait for a GPU, without one: fake tensors have a device and a shape, but no values that could be read."""

import traceback
from types import SimpleNamespace

import pytest
import torch
from registry import REPRESENTATIONS, chain_of
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import equicon as eq
from equicon._losses import negatives as _negatives
from equicon.data import KeypointSample
from equicon.keypoints import KeypointModel, keypoint_frame, keypoint_loss, keypoint_target

pytestmark = pytest.mark.skipif(
    not torch.backends.cuda.is_built(), reason="fakes CUDA tensors, which a CPU build has not"
)

# Appearance seeds the device's own generator, which is there only where the device is.
CHAIN = chain_of("appearance", "random appearance")


class Copies(TorchDispatchMode):
    """Collects copies from the host to the device that wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        given = [a for a in args if isinstance(a, torch.Tensor)]
        if isinstance(result, torch.Tensor) and given and {a.device.type for a in given} != {result.device.type}:
            blocking = not (kwargs or {}).get("non_blocking", False)
            if blocking and "copy" in str(func):
                self.waiting.append("".join(traceback.format_stack(limit=12)))
        return result


def fake(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="cuda")


def test_the_mode_sees_what_would_wait():
    with FakeTensorMode(allow_non_fake_inputs=True), Copies() as copies:
        with pytest.raises(DataDependentOutputException):
            fake(1).item()
        torch.zeros(3).to("cuda")
        assert copies.waiting
        copies.waiting.clear()
        torch.zeros(3).to("cuda", non_blocking=True)
        assert not copies.waiting, copies.waiting[0]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("backend", ["torch", "kornia"])
def test_no_view_waits(backend, dtype, monkeypatch):
    monkeypatch.setenv("EQUICON_BACKEND", backend)
    with FakeTensorMode(allow_non_fake_inputs=True), Copies() as copies:
        images, anchor = fake(4, 3, 64, 80, dtype=dtype), torch.zeros(4, 2)
        frame = eq.Affine.from_boxes(fake(4, 4), (64, 80))
        for chain in (CHAIN, [eq.presets.peclr()], [eq.presets.simclr(32)]):
            views, g = eq.Compose(chain)(images, size=(32, 32), frame=frame, anchor=anchor)
            assert views.device.type == g.device.type == "cuda"
            assert g.warp(images, (20, 20), padding_mode="reflection").device.type == "cuda"
        action = eq.RandomAffine(45, 0.1).sample(4, device="cuda").inside((64, 80), (32, 32), frame)
        shown = action(images, size=(32, 32), frame=frame, padding_mode="reflection")
        assert (action.affine @ frame).coverage((64, 80), (32, 32)).device == shown.device
        assert not copies.waiting, copies.waiting[0]


@pytest.mark.parametrize("entry", REPRESENTATIONS.values(), ids=REPRESENTATIONS)
@pytest.mark.parametrize("chunk_size", [None, 4], ids=["dense", "blocks"])
@pytest.mark.parametrize("learned", [False, True], ids=["number", "learned"])
def test_no_loss_waits(entry, chunk_size, learned):
    with FakeTensorMode(allow_non_fake_inputs=True), Copies() as copies:
        z1, z2 = (fake(6, entry.width).requires_grad_() for _ in range(2))
        g1, g2 = (eq.RandomAffine(45, 0.1).sample(6, device="cuda").affine for _ in range(2))
        temperature = torch.nn.Parameter(fake()) if learned else 0.5
        criterion = eq.PeCLRLoss(temperature, representation=entry.representation, chunk_size=chunk_size)
        given = {"weights": fake(6), "labels": fake(6, dtype=torch.long), "negatives": fake(5, entry.width)}
        for extras in ({}, given):
            loss = criterion(z1, z2, g1, g2, **extras)
            assert loss.device.type == "cuda"
        assert not copies.waiting, copies.waiting[0]


def test_the_gradient_of_blocks_does_not_wait():
    with FakeTensorMode(allow_non_fake_inputs=True), Copies() as copies:  # where autograd itself does not run
        for learned in (None, fake()):
            saved = fake(8, 4), fake(5, 4), None, learned, fake(8)
            ctx = SimpleNamespace(saved_tensors=saved, settings=[2, 0.5, 4, ()])
            grads = _negatives._differentiate(ctx, fake(8))
            assert grads[0].shape == (8, 4)
            assert grads[3] is None if learned is None else grads[3].shape == ()
        assert not copies.waiting, copies.waiting[0]


@pytest.mark.parametrize("head", ["heatmap", "regression"])
def test_no_step_of_keypoints_waits(head):
    class Encoder(torch.nn.Conv2d):
        def forward_map(self, images):
            return super().forward(images)

        def forward(self, images):
            return self.forward_map(images).mean((-2, -1))

    with FakeTensorMode(allow_non_fake_inputs=True), Copies() as copies, torch.device("cuda"):
        model = KeypointModel(Encoder(3, 16, 8, 8), 5, head)
        image, visible = fake(4, 3, 80, 80, dtype=torch.uint8), fake(4, 5, dtype=torch.uint8)
        sample = KeypointSample(image, fake(4, 5, 2), visible, fake(4, 4), fake(4, dtype=torch.long))
        copies.waiting.clear()  # to build the model may wait
        frame = keypoint_frame(sample, 1.25)
        views, g = eq.presets.peclr()(image, size=(32, 32), frame=frame)
        target = keypoint_target(sample, views, g @ frame, flip=fake(5, dtype=torch.long))
        losses = keypoint_loss(model(target.images), target)
        assert {loss.device.type for loss in losses.values()} == {"cuda"}
        assert not copies.waiting, copies.waiting[0]


def test_no_clip_path_or_swap_waits():
    chain = eq.Compose([eq.RandomAffine(45, 0.1), eq.RandomGrayscale(0.3), eq.RandomGaussianNoise(0.1)])
    with FakeTensorMode(allow_non_fake_inputs=True), Copies() as copies:
        clips = fake(4, 6, 4, 64, 80, dtype=torch.uint8)
        start, end = (chain.sample(4, device="cuda") for _ in range(2))
        moving = start.path(end, 6)
        frame = eq.Affine.from_boxes(fake(24, 4), (64, 80))
        views = moving(clips, size=(32, 32), frame=frame, rgb_first=True)
        assert start(clips, size=(32, 32), rgb_first=True).shape == views.shape == (4, 6, 4, 32, 32)
        g, xy = moving.affine, fake(24, 17, 2)
        for pairs in ("coco", torch.arange(17)):
            xy = eq.swap_sides(g.points(xy, (64, 80)), pairs, where=g.reflects)
        assert xy.device.type == start.affine.warp(clips, fill=0.5).device.type == "cuda"
        assert not copies.waiting, copies.waiting[0]
