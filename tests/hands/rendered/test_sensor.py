from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st

from equicon.hands._rendered.domain import STUDIO, WILD
from equicon.hands._rendered.draws import Draws, to_device
from equicon.hands._rendered.sensor import Sensor, draw_sensor, expose, grain


def make_sensor(batch: int, **changes) -> Sensor:
    """A camera that changes nothing, but for the changes."""
    zero = torch.zeros(batch)
    plain = Sensor(torch.ones(batch, 3), zero, zero, zero.long(), zero + 50, blurred=(), compressed=())
    return replace(plain, **changes)


def test_a_plain_camera_rounds_and_fades_highlights():
    light = torch.linspace(0.0, 3.0, 128)[:64].reshape(1, 1, 8, 8).expand(1, 3, 8, 8)
    image = expose(light, make_sensor(1), 8)
    dark = light < 0.7
    assert torch.equal(image[dark], (light[dark] * 255).round().byte())
    assert (image[~dark].int() <= (light[~dark] * 255).round()).all()
    assert (image[0, 0].flatten().int().diff() >= 0).all()


@given(seed=st.integers(0, 2**62))
def test_grain_has_variance_1_half_of_it_common(seed):
    noise = grain(torch.tensor([seed, seed + 1]), 64)
    assert noise.mean().abs() < 0.03
    assert abs(noise.var() - 1) < 0.05
    channels = torch.corrcoef(noise[0].flatten(1))
    assert abs(channels[0, 1] - 0.5) < 0.08
    pixels = torch.corrcoef(torch.stack([noise[0, 0, :, :-1].flatten(), noise[0, 0, :, 1:].flatten()]))
    assert pixels[0, 1].abs() < 0.08
    assert torch.corrcoef(noise.flatten(1))[0, 1].abs() < 0.08


def test_bright_places_are_noisier():
    light = torch.tensor([0.05, 0.6]).repeat_interleave(32).expand(1, 3, 64, 64)
    image = expose(light, make_sensor(1, noise=torch.tensor([0.02])), 64).float()
    dark, bright = image[..., :32].std(), image[..., 32:].std()
    assert 1.5 * dark < bright < 4 * dark


def test_only_the_chosen_are_blurred_and_compressed():
    light = torch.rand(4, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 0.6
    plain = expose(light, make_sensor(4), 24)
    changed = expose(light, make_sensor(4, blurred=(1,), compressed=(3,)), 24)
    same = (plain == changed).flatten(1).all(1)
    assert same.tolist() == [True, False, True, False]
    assert changed[1].float().std() < plain[1].float().std()


def test_a_vignette_darkens_the_corners_only():
    image = expose(torch.full((1, 3, 33, 33), 0.5), make_sensor(1, vignette=torch.tensor([0.4])), 33).float()
    assert image[0, 0, 16, 16] == 128
    assert abs(image[0, 0, 0, 0] / 128 - 0.6) < 0.04
    assert torch.equal(image, image.flip(-1))


def test_a_picture_does_not_depend_on_its_batch():
    light = torch.rand(30, 3, 20, 20, generator=torch.Generator().manual_seed(0))

    def take(indices: list[int]) -> torch.Tensor:
        return expose(light[indices], to_device(draw_sensor(Draws.of(0, indices, 0, 50), WILD), None), 20)

    together = take(list(range(30)))
    for i in range(30):
        assert torch.equal(take([i])[0], together[i])


def test_the_studio_has_the_better_camera():
    studio, wild = (draw_sensor(Draws.of(0, range(1000), 0, 50), domain) for domain in (STUDIO, WILD))
    assert studio.noise.max() < wild.noise.max()
    assert studio.gain.std() < wild.gain.std()
    assert studio.quality.min() > wild.quality.min() + 30
    assert studio.blurred == ()
    assert 150 < len(wild.blurred) < 350
    assert 400 < len(wild.compressed) < 600
