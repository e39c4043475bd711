from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equicon.hands._rendered.background import _pattern, draw_scene, paint_scene
from equicon.hands._rendered.domain import STUDIO, WILD
from equicon.hands._rendered.draws import Draws, to_device


def paint(domain, indices, size=32):
    return paint_scene(to_device(draw_scene(Draws.of(0, indices, 0, 200), domain), None), size, size)


@pytest.mark.slow
@pytest.mark.parametrize("size", [8, 21, 64])
@given(indices=st.lists(st.integers(0, 99), min_size=1, max_size=20))
def test_a_background_does_not_depend_on_its_batch(size, indices):
    together = paint(WILD, indices, size)
    assert together.shape == (len(indices), 3, size, size)
    assert torch.equal(paint(WILD, indices[-1:], size)[0], together[-1])


def test_a_studio_is_plain_and_the_wild_is_not():
    studio, wild = (paint(domain, range(200)) for domain in (STUDIO, WILD))
    assert studio.std((1, 2, 3)).median() < 0.5 * wild.std((1, 2, 3)).median()
    detail = [(image[..., 1:] - image[..., :-1]).abs().mean((1, 2, 3)) for image in (studio, wild)]
    assert detail[0].max() < detail[1].median()


def test_a_studio_has_few_backdrops_the_wild_any():
    plain = {"clouds": (0.0, 0.0), "gradient": (0.0, 0.0), "texture": 0.0, "thing": 0.0}
    studio, wild = (paint(replace(domain, **plain), range(100), 8) for domain in (STUDIO, WILD))
    assert len(studio[:, :, 4, 4].unique(dim=0)) == len(STUDIO.backdrops)
    assert len(wild[:, :, 4, 4].unique(dim=0)) == 100
    assert studio.std((2, 3)).max() < 1e-6


@pytest.mark.parametrize("field", ["clouds", "gradient", "texture", "thing"])
def test_each_part_is_painted_where_it_is_asked_for(field):
    nothing = {"clouds": (0.0, 0.0), "gradient": (0.0, 0.0), "texture": 0.0, "thing": 0.0}
    value = (0.5, 0.5) if isinstance(nothing[field], tuple) else 1.0
    plain, painted = (paint(replace(WILD, **nothing | change), range(60)) for change in ({}, {field: value}))
    assert plain.std((2, 3)).max() < 1e-6
    assert painted.std((2, 3)).amax(1).median() > 0.02


def test_a_background_looks_the_same_at_any_size():
    small, large = paint(WILD, range(40), 32), paint(WILD, range(40), 64)
    shrunk = torch.nn.functional.avg_pool2d(large, 2)
    assert (shrunk - small).abs().mean() < 0.03


@pytest.mark.parametrize("width", [32, 40, 48, 96])
def test_a_wider_background_has_the_square_in_its_middle(width):
    scene = to_device(draw_scene(Draws.of(0, range(30), 0, 200), replace(WILD, clouds=(0.8, 0.8))), None)
    square, wide = paint_scene(scene, 32, 32), paint_scene(scene, 32, width)
    first = (width - 32) // 2
    # The noise at the edge of the square has neighbours beyond it then.
    inner = slice(6, -6)
    apart = (wide[..., first : first + 32, first : first + 32] - square)[..., inner, inner].abs().mean()
    assert apart < 0.01
    # It goes on at its own scale: nothing is magnified, and the noise does not end.
    if width == 96:
        steps = [part.diff(dim=-1).abs().mean() for part in (square, wide[..., :32, :32])]
        assert 0.7 < steps[1] / steps[0] < 1.2


def pattern(first: list[float], second: list[float], warp: float = 0.0, slope: float = 0.0) -> torch.Tensor:
    """Two waves on (-1, 1)², bent by noise that rises evenly with y: (64, 64)."""
    scene = to_device(draw_scene(Draws.of(0, [0], 0, 200), WILD), None)
    scene = replace(scene, waves=torch.tensor([[first, second]]), warp=torch.tensor([warp]), edge=torch.tensor([1e3]))
    where = (torch.arange(64) * 2 - 63) / 64
    return _pattern(scene, where[None, :], where[:, None], slope * where[:, None].expand(64, 64)[None])[0]


def test_one_wave_makes_stripes_and_two_make_checks():
    where = (torch.arange(64) * 2 - 63) / 64
    light = torch.where((((2 * where) % 1) - 0.5).abs() > 0.25, 1.0, -1.0)  # near a whole number of cycles
    assert torch.equal(pattern([2.0, 0.0, 0.0], [0.0, 0.0, 0.0]), light.expand(64, 64))
    assert torch.equal(pattern([2.0, 0.0, 0.0], [0.0, 2.0, 0.0]), light * light[:, None])


def test_noise_bends_waves():
    straight, bent = (pattern([2.0, 0.0, 0.0], [0.0, 0.0, 0.0], warp, 3.0) for warp in (0.0, 1.0))
    assert torch.equal(straight, straight[:1].expand(64, 64))
    assert torch.equal(bent, pattern([2.0, 3.0, 0.0], [0.0, 0.0, 0.0]))


def test_some_patterns_are_checks_at_right_angles():
    waves = draw_scene(Draws.of(0, range(1000), 0, 200), WILD).waves[..., :2]
    checks = waves[:, 1].norm(dim=-1) > 0
    assert 0.25 < checks.double().mean() < 0.45
    assert (waves[:, 0] * waves[:, 1]).sum(-1).abs().max() < 1e-12
