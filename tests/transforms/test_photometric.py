import itertools

import pytest
import torch
from registry import smooth_images
from torch.testing import assert_close

import equicon as eq

IMAGES = (smooth_images(0, 2, (24, 24)) / 2 + 0.25).float()  # far from the clamp


def fixed(**factors: float) -> eq.EquivariantTransform:
    return eq.ColorJitter(**{name: (value, value) for name, value in factors.items()})


@pytest.mark.parametrize(
    ("name", "operation", "value"),
    [
        ("brightness", "adjust_brightness", 1.3),
        ("contrast", "adjust_contrast", 0.6),
        ("contrast", "adjust_contrast", 1.2),
        ("saturation", "adjust_saturation", 0.4),
        ("saturation", "adjust_saturation", 1.3),
    ],
)
def test_equals_torchvision(name, operation, value):
    functional = pytest.importorskip("torchvision.transforms.functional", reason="compares with torchvision")
    assert_close(fixed(**{name: value})(IMAGES)[0], getattr(functional, operation)(IMAGES, value), atol=2e-4, rtol=0)


def test_grey_equals_torchvision_and_kornia():
    kornia = pytest.importorskip("kornia.color")
    grey = eq.RandomGrayscale(1.0)(IMAGES)[0]
    assert_close(grey, kornia.rgb_to_grayscale(IMAGES).expand(-1, 3, -1, -1), atol=1e-5, rtol=0)
    functional = pytest.importorskip("torchvision.transforms.functional", reason="compares with torchvision")
    assert_close(grey, functional.rgb_to_grayscale(IMAGES, 3), atol=2e-4, rtol=0)


def test_positive_hue_moves_red_towards_yellow():
    red = torch.tensor([0.8, 0.1, 0.1])[None, :, None, None].expand(1, 3, 4, 4)
    r, g, b = fixed(hue=0.05)(red)[0][0, :, 0, 0]
    assert g > b + 0.05
    assert r > g
    functional = pytest.importorskip("torchvision.transforms.functional", reason="compares with torchvision")
    _, g, b = functional.adjust_hue(red, 0.05)[0, :, 0, 0]
    assert g > b + 0.05


def test_hue_keeps_luminance_and_a_full_circle_is_nothing():
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    images = IMAGES * 0.2 + 0.4
    turned = fixed(hue=0.2)(images)[0]
    assert float((turned - images).abs().max()) > 0.01
    assert_close((turned * weights).sum(1), (images * weights).sum(1), atol=1e-5, rtol=0)
    thrice = fixed(hue=1 / 3)(fixed(hue=1 / 3)(fixed(hue=1 / 3)(images)[0])[0])[0]
    assert_close(thrice, images, atol=1e-5, rtol=0)
    assert_close(fixed(hue=0.5)(images)[0], fixed(hue=-0.5)(images)[0], atol=1e-5, rtol=0)


def test_the_four_maps_commute_and_are_what_the_jitter_does_at_once():
    factors = {"brightness": 1.1, "contrast": 0.7, "saturation": 0.6, "hue": 0.1}
    images = IMAGES * 0.4 + 0.3
    together = fixed(**factors)(images)[0]
    for order in itertools.permutations(factors):
        composed = eq.Compose([fixed(**{name: factors[name]}) for name in order])
        assert_close(composed(images)[0], together, atol=1e-5, rtol=0)
        sequential = images
        for name in order:
            sequential = fixed(**{name: factors[name]})(sequential)[0]
        assert_close(sequential, together, atol=1e-5, rtol=0)


def test_nothing_is_nothing():
    assert_close(eq.ColorJitter()(IMAGES)[0], IMAGES, atol=1e-5, rtol=0)


def test_contrast_is_about_the_mean_of_the_warped_view():
    images = torch.rand(2, 3, 32, 32)
    flat = eq.Compose([eq.RandomRotation((30, 30)), eq.ColorJitter(contrast=(0.0, 0.0))])
    view = flat(images)[0]
    warped = eq.RandomRotation((30, 30))(images)[0]
    grey = (warped.mean((2, 3)) * torch.tensor([0.299, 0.587, 0.114])).sum(1)
    assert_close(view, grey[:, None, None, None].expand_as(view), atol=1e-5, rtol=0)


def test_each_image_has_its_own_draw():
    views = eq.ColorJitter(0.5)((IMAGES[:1] / 2).expand(8, -1, -1, -1))[0]
    assert len(views[:, 0, 0, 0].unique()) == 8
    grey = eq.RandomGrayscale(0.5)(torch.rand(200, 3, 2, 2), generator=torch.Generator().manual_seed(0))[0]
    share = (grey[:, 0] == grey[:, 1]).flatten(1).all(1).float().mean()
    assert 0.35 < float(share) < 0.65


def test_imagenet_s_figures_are_those_of_torchvision():
    presets = pytest.importorskip("torchvision.transforms", reason="compares with torchvision")
    theirs = presets._presets.ImageClassification(crop_size=224)
    assert eq.Normalize.imagenet() == eq.Normalize(tuple(theirs.mean), tuple(theirs.std))


MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
NORMALIZE = eq.Normalize(MEAN, STD)


@pytest.mark.parametrize("filters", [[], [eq.RandomSobel(1.0)]], ids=["fused", "after filters"])
def test_normalize_comes_last(filters):
    views = eq.Compose([eq.ColorJitter(brightness=(3.0, 3.0)), *filters, NORMALIZE])(IMAGES)[0]
    channels = [t[:, None, None] for t in (torch.tensor(MEAN), torch.tensor(STD))]
    expected = (IMAGES * 3).clamp(0, 1)
    for transform in filters:
        expected = transform(expected)[0]
    assert_close(views, (expected - channels[0]) / channels[1])


def test_nothing_comes_after_a_normalisation():
    rotation = eq.RandomRotation(45)
    for call, match in [
        (
            lambda: eq.Compose([NORMALIZE, rotation]),
            r"Normalize last, and once, got transforms\[0\]",
        ),
        (lambda: eq.Compose([rotation, NORMALIZE, NORMALIZE]), r"got transforms\[1\] with Normalize after it"),
        (lambda: eq.Compose([eq.Compose([rotation, NORMALIZE]), rotation]), "Move Normalize to the end"),
        (lambda: eq.RandomApply(NORMALIZE, 0.5), "transform: expected one that does not normalise, .* Put Normalize"),
        (lambda: eq.RandomApply(eq.Compose([rotation, NORMALIZE])), "transform: expected one that does not normalise"),
        (lambda: rotation.sample(2) @ NORMALIZE.sample(2), "right operand of @: expected an Action that does not"),
        (lambda: NORMALIZE.sample(2).where(torch.tensor([True, False])), "where: expected an Action without"),
    ]:
        with pytest.raises(ValueError, match=match):
            call()
    assert eq.Compose([rotation, eq.Compose([rotation, NORMALIZE])]).sample(2).normalization is not None
    assert (NORMALIZE.sample(2) @ rotation.sample(2)).normalization == eq.Normalization(MEAN, STD)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: eq.ColorJitter(-0.1), ValueError, r"brightness: expected a number in \[0, 10000\]"),
        (lambda: eq.ColorJitter(contrast=(1.0, 0.5)), ValueError, "contrast: expected lowest <= highest"),
        (lambda: eq.ColorJitter(saturation=(-1.0, 0.5)), ValueError, r"saturation: expected a number in \[0, 10000\]"),
        (lambda: eq.ColorJitter(hue=0.6), ValueError, r"hue: expected a number in \[0, 0.5\]"),
        (lambda: eq.ColorJitter(hue=(-0.6, 0.0)), ValueError, r"hue: expected a number in \[-0.5, 0.5\]"),
        (lambda: eq.RandomGrayscale(2), ValueError, r"p: expected a number in \[0, 1\]"),
        (lambda: eq.Normalize((0.5,), (0.5, 0.5)), ValueError, "std: expected 1 numbers, as in mean"),
        (lambda: eq.Normalize((0.5,), (0.0,)), ValueError, "std: expected a number above 0"),
        (lambda: eq.Normalize(0.5, 0.5), TypeError, "mean: expected one number for each channel"),
        (lambda: eq.Normalize((0.5,), (0.5,))(torch.rand(1, 3, 4, 4)), ValueError, "images: expected 1 channels"),
    ],
)
def test_bad_configuration_is_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()
