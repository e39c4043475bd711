import pytest
import torch
from kornia.augmentation import RandomSolarize
from torch.testing import assert_close

import equicon as eq

IMAGES = torch.rand(6, 3, 20, 30, generator=torch.Generator().manual_seed(0))


def test_appearance_runs_a_kornia_augmentation_and_replays_it():
    wrapped = eq.Appearance(RandomSolarize(thresholds=0.3, p=0.5))
    action = wrapped.sample(6, generator=torch.Generator().manual_seed(0))
    views = action(IMAGES)
    assert views.equal(action(IMAGES))
    assert not views.equal(IMAGES)


def test_appearance_runs_a_torchvision_operation():
    transforms = pytest.importorskip("torchvision.transforms.v2", reason="wraps torchvision")
    views = eq.Appearance(transforms.RandomInvert(1.0))(IMAGES)[0]
    assert_close(views, 1 - IMAGES, atol=1e-4, rtol=0)


def test_appearance_restores_the_generator_when_the_module_fails():
    def fail(images: torch.Tensor) -> torch.Tensor:
        torch.rand(3)
        raise RuntimeError("mine")

    action = eq.Appearance(fail).sample(6)
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="mine"):
        action(IMAGES)
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: eq.Appearance(3), TypeError, "module: expected something to call"),
        (lambda: eq.Appearance(lambda x: x[..., 1:])(IMAGES), ValueError, "module: expected views of shape"),
        (lambda: eq.Appearance(lambda x: (x, 1))(IMAGES), TypeError, "module: expected a module that returns a tensor"),
    ],
)
def test_bad_modules_are_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()
