"""What only an accelerator can show; the rest of the suite runs on the CPU."""

import pytest
import torch
from registry import TRANSFORMS
from torch.testing import assert_close

import equicon as eq

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_same_generator_gives_the_same_views_on_every_device(name):
    images = torch.rand(4, 3, 48, 60)
    views, matrices = [], []
    for device in ("cpu", "cuda"):
        x, g = TRANSFORMS[name].transform(images.to(device), generator=torch.Generator().manual_seed(0))
        views.append(x.cpu())
        matrices.append(g.matrix.cpu())
    assert_close(matrices[0], matrices[1])
    if name not in ("noise", "compose", "random appearance"):  # pixels are drawn on the device
        assert_close(views[0], views[1], atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_generator_of_the_device_works_too(name):
    images = torch.rand(4, 3, 48, 60, device="cuda")
    first, second = (
        TRANSFORMS[name].transform(images, generator=torch.Generator("cuda").manual_seed(0))[0] for _ in range(2)
    )
    assert first.equal(second)


def test_nothing_waits_for_the_device():
    chain = eq.Compose([e.transform for name, e in TRANSFORMS.items() if "appearance" not in name])
    criterion = eq.PeCLRLoss(0.5)
    images, boxes = torch.rand(8, 3, 64, 64, device="cuda"), torch.tensor([[8.0, 8.0, 56.0, 56.0]] * 8, device="cuda")
    for generator in (None, torch.Generator().manual_seed(0), torch.Generator("cuda").manual_seed(0)):
        chain(images, size=(32, 32), generator=generator)  # what is allocated once
        torch.cuda.set_sync_debug_mode("error")
        try:
            frame = eq.Affine.from_boxes(boxes, (64, 64))
            x, g = chain(images, size=(32, 32), frame=frame, generator=generator)
            z = x.flatten(1).requires_grad_()
            criterion(z, z.flip(0), g, g.inverse()).backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
