import math

import pytest
import torch
from torch.testing import assert_close

import equicon as eq
from equicon._transforms.noise import _normal


def test_noise_has_its_standard_deviation_and_differs_by_pixel_and_image():
    grey = torch.full((8, 3, 64, 64), 0.5)
    noise = eq.RandomGaussianNoise(0.2, p=1.0)(grey)[0] - grey
    assert_close(noise.std(), torch.tensor(0.2), atol=5e-3, rtol=0)
    assert_close(noise.mean(), torch.tensor(0.0), atol=5e-3, rtol=0)
    assert not noise[0].equal(noise[1])


def test_two_draws_of_noise_differ_and_one_replays():
    transform, grey = eq.RandomGaussianNoise(0.2, p=1.0), torch.full((2, 3, 8, 8), 0.5)
    generator = torch.Generator().manual_seed(0)
    first, second = transform.sample(2, generator=generator), transform.sample(2, generator=generator)
    assert first(grey).equal(first(grey))
    assert not first(grey).equal(second(grey))


def test_the_numbers_are_normal_and_those_of_one_image_do_not_tell_another():
    n = _normal(torch.arange(4) + 2**40, (3, 101, 99)).double().flatten(1)  # an odd count
    assert_close(n.mean(), torch.zeros((), dtype=torch.float64), atol=0.01, rtol=0)
    moments = [(n**k).mean().item() for k in (2, 3, 4, 6)]
    assert moments == pytest.approx([1, 0, 3, 15], rel=0.05, abs=0.03)
    share = (n.abs() < 1).double().mean().item()
    assert share == pytest.approx(math.erf(1 / math.sqrt(2)), abs=0.005)
    assert_close(torch.corrcoef(n), torch.eye(4, dtype=torch.float64), atol=0.02, rtol=0)
    for lag in (1, 2, 99):
        assert abs(torch.corrcoef(torch.stack([n[0, lag:], n[0, :-lag]]))[0, 1].item()) < 0.02
    half = n.shape[1] // 2  # the two halves are the cosines and sines of one draw
    assert abs(torch.corrcoef(torch.stack([n[0, :half], n[0, half : 2 * half]]))[0, 1].item()) < 0.02


def test_both_halves_of_a_seed_count_and_an_image_has_its_numbers_in_any_batch():
    seeds = torch.tensor([5, 5 + 2**33, 6, 2**62 - 1])
    n = _normal(seeds, (2, 5))
    assert len(n.flatten(1).unique(dim=0)) == 4
    assert _normal(seeds[[3, 1]], (2, 5)).equal(n[[3, 1]])


@pytest.mark.slow
def test_noise_compiles_whole():
    action, images = eq.RandomGaussianNoise(0.1, p=1.0).sample(2), torch.rand(2, 3, 8, 8)
    compiled = torch.compile(lambda x: action(x), fullgraph=True, backend="aot_eager")
    assert_close(compiled(images), action(images))


def test_bad_configuration_is_refused():
    with pytest.raises(ValueError, match=r"std: expected a number in \[0, 10000\]"):
        eq.RandomGaussianNoise(-1.0)
    with pytest.raises(ValueError, match=r"p: expected a number in \[0, 1\]"):
        eq.RandomGaussianNoise(1.0, p=-1)
