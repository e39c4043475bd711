import pytest
import torch

import equicon as eq


def test_peclr_is_within_the_papers_ranges():
    generator = torch.Generator().manual_seed(0)
    g = eq.presets.peclr().sample(4000, generator=generator).affine
    assert float(g.degrees.abs().max()) <= 45
    scale = torch.linalg.det(g.linear).sqrt()
    margin = 1 / scale
    assert 0.9 <= float(margin.min()) < 0.92
    assert 1.48 < float(margin.max()) <= 1.5 + 1e-4
    assert float(g.translation.abs().max()) <= 2 * 15 / 128


def test_the_figures_of_peclr_may_be_others():
    given = {"margin": (1.0, 2.0), "degrees": 30.0, "translate": 0.1, "jitter": (0.4, 0.0, 0.2, 0.1)}
    turned = eq.RandomRotation(30.0), eq.RandomTranslate(0.1), eq.ColorJitter(0.4, 0.0, 0.2, 0.1)
    assert eq.presets.peclr(**given).transforms == (eq.RandomScale((0.5, 1.0)), *turned)
    plain = {"margin": (0.9, 1.5), "degrees": 45.0, "translate": 15 / 128, "jitter": (0.5, 0.1, 0.5, 0.01)}
    assert eq.presets.peclr(**plain) == eq.presets.peclr()


@pytest.mark.parametrize(
    ("figures", "error", "message"),
    [
        ({"margin": (0.0, 1.0)}, ValueError, "margin: expected a number above 0, got float 0.0"),
        ({"margin": (2.0, 1.0)}, ValueError, "margin: expected lowest <= highest"),
        ({"margin": 1.0}, TypeError, "margin: expected a pair"),
        ({"degrees": -1.0}, ValueError, "degrees: expected"),
        ({"translate": "far"}, TypeError, "fraction: expected a number"),
        ({"jitter": 0.5}, TypeError, "jitter: expected four values: brightness, contrast, saturation and hue, got"),
        ({"jitter": (0, 0, 0, 0.7)}, ValueError, "hue: expected"),
    ],
)
def test_figures_that_are_wrong_are_named(figures, error, message):
    with pytest.raises(error, match=message):
        eq.presets.peclr(**figures)


@pytest.mark.parametrize("size", [32, 64, 224])
def test_simclr_crops_flips_and_fits_its_size(size):
    views, g = eq.presets.simclr(size)(torch.rand(64, 3, size, size), generator=torch.Generator().manual_seed(0))
    assert views.shape == (64, 3, size, size)
    assert 0 < float((g.linear[:, 0, 0] < 0).float().mean()) < 1
    assert float(g.linear[:, 1, 1].min()) >= 1 - 1e-5


def test_strength_scales_the_jitter():
    jitter = eq.presets.simclr(strength=0.5).transforms[2]
    assert jitter == eq.RandomApply(eq.ColorJitter(0.4, 0.4, 0.4, 0.1), 0.8)
    with pytest.raises(ValueError, match="strength: expected a number in"):
        eq.presets.simclr(strength=3.0)
    with pytest.raises(TypeError, match="side: expected a whole number"):
        eq.presets.simclr((128, 128))
