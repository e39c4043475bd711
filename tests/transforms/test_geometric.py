import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from registry import smooth_images
from torch.testing import assert_close

import equicon as eq


def drawn(transform: eq.EquivariantTransform, n: int = 2000) -> eq.Affine:
    return transform.sample(n, generator=torch.Generator().manual_seed(0)).affine


def brightest(view: torch.Tensor) -> tuple[int, int]:
    index = int(view.flatten().argmax())
    return index % view.shape[-1], index // view.shape[-1]


def spot(x: int, y: int, side: int = 33) -> torch.Tensor:
    images = torch.zeros(1, 1, side, side)
    images[0, 0, y, x] = 1
    return images


def test_directions_on_the_screen():
    right = spot(28, 16)
    assert brightest(eq.RandomRotation((90, 90))(right)[0]) == (16, 4)  # counter-clockwise: the right goes to the top
    assert brightest(eq.RandomHorizontalFlip(1.0)(right)[0]) == (4, 16)
    assert brightest(eq.RandomVerticalFlip(1.0)(spot(16, 28))[0]) == (16, 4)
    assert brightest(eq.RandomScale((0.5, 0.5)).sample(1).affine.warp(right, antialias=False)) == (
        22,
        16,
    )  # above 1 magnifies
    x, y = brightest(eq.RandomShear((45, 45))(spot(16, 8))[0])
    assert (x, y) == (8, 8)  # the top goes left
    assert brightest(eq.RandomShear((45, 45))(spot(16, 24))[0]) == (24, 24)


def test_rotation_agrees_with_torchvision_and_kornia():
    kornia = pytest.importorskip("kornia.geometry.transform")
    images = smooth_images(0, 1, (64, 64))
    ours = eq.RandomRotation((30, 30))(images)[0]
    inside = (..., slice(16, 48), slice(16, 48))
    assert_close(
        ours[inside], kornia.rotate(images, torch.tensor([30.0], dtype=torch.float64))[inside], atol=1e-3, rtol=0
    )
    functional = pytest.importorskip("torchvision.transforms.functional", reason="compares with torchvision")
    theirs = functional.rotate(images, 30, interpolation=functional.InterpolationMode.BILINEAR)
    assert_close(ours[inside], theirs[inside], atol=5e-3, rtol=0)


def test_affine_turns_and_shears_against_torchvision():
    functional = pytest.importorskip("torchvision.transforms.functional", reason="compares with torchvision")
    images = smooth_images(0, 1, (64, 64))
    ours = eq.RandomAffine((20, 20), scale=(1.2, 1.2), shear=(10, 10))(images)[0]
    theirs = functional.affine(images, -20, [0, 0], 1.2, [-10, 0], functional.InterpolationMode.BILINEAR)
    inside = (..., slice(16, 48), slice(16, 48))
    assert_close(ours[inside], theirs[inside], atol=5e-3, rtol=0)


def test_ranges_are_reached_and_kept():
    degrees = drawn(eq.RandomRotation(30)).degrees
    assert -30 <= float(degrees.min()) < -29
    assert 29 < float(degrees.max()) <= 30
    degrees = drawn(eq.RandomRotation((170, 190))).degrees
    assert float(degrees.abs().min()) >= 170 - 1e-3
    shift = drawn(eq.RandomTranslate((0.1, 0.3))).translation
    assert_close(shift.abs().amax(0), torch.tensor([0.2, 0.6]), atol=0.01, rtol=0)
    assert abs(float(torch.corrcoef(shift.T)[0, 1])) < 0.1  # the axes are drawn apart
    factor = drawn(eq.RandomScale((0.5, 2.0))).linear
    assert 0.5 <= float(factor[:, 0, 0].min()) < 0.52
    assert 1.98 < float(factor[:, 0, 0].max()) <= 2.0
    assert_close(factor[:, 0, 0], factor[:, 1, 1])
    slope = drawn(eq.RandomShear(20)).linear[:, 0, 1]
    assert_close(slope.abs().max(), torch.tensor(math.tan(math.radians(20))), atol=0.01, rtol=0)


@given(st.floats(0.05, 1.0), st.floats(0.3, 3.0))
def test_a_resized_crop_has_its_share_of_the_area_and_stays_inside(area, ratio):
    crop = eq.RandomResizedCrop((area, area), (ratio, ratio)).sample(20).affine
    assert_close(1 / torch.linalg.det(crop.linear), torch.full((20,), area), atol=1e-4, rtol=1e-4)
    corners = crop.inverse().points(torch.tensor([[[-1.0, -1.0], [1.0, 1.0]]]).repeat(20, 1, 1))
    assert float(corners.abs().max()) <= 1 + 1e-4
    if area <= ratio <= 1 / area:
        assert_close(crop.linear[:, 1, 1] / crop.linear[:, 0, 0], torch.full((20,), ratio), atol=1e-3, rtol=1e-3)


def test_a_resized_crop_goes_everywhere():
    centers = drawn(eq.RandomResizedCrop((0.25, 0.25), (1.0, 1.0))).inverse().translation
    assert_close(centers.amax(0), torch.full((2,), 0.5), atol=0.02, rtol=0)
    assert_close(centers.amin(0), torch.full((2,), -0.5), atol=0.02, rtol=0)


def test_a_resized_crop_is_what_slicing_and_resizing_gives():
    images = torch.rand(1, 3, 40, 40)
    action = eq.RandomResizedCrop((0.25, 0.25), (1.0, 1.0)).sample(1)
    x, y = action.affine.inverse().points(torch.tensor([[-0.5, -0.5]]), (20, 20), (40, 40))[0]
    frame = eq.Affine.from_boxes(torch.tensor([[x, y, x + 20, y + 20]]), (40, 40))
    assert_close(action(images, size=(20, 20)), frame.warp(images, (20, 20)), atol=1e-4, rtol=0)


def test_random_affine_is_its_four_parts():
    whole = eq.RandomAffine(45, 0.1, (0.8, 1.2), 10)
    parts = eq.Compose([eq.RandomShear(10), eq.RandomScale((0.8, 1.2)), eq.RandomRotation(45), eq.RandomTranslate(0.1)])
    a, b = (t.sample(5, generator=torch.Generator().manual_seed(0)).affine.matrix for t in (whole, parts))
    assert_close(a, b)
    assert_close(drawn(eq.RandomAffine(0)).matrix, eq.Affine.identity(2000).matrix)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: eq.RandomRotation(-1), ValueError, r"degrees: expected a number in \[0, 3600\]"),
        (lambda: eq.RandomRotation((10, -10)), ValueError, "degrees: expected lowest <= highest"),
        (lambda: eq.RandomRotation("45"), TypeError, "degrees: expected a number, got str '45'"),
        (lambda: eq.RandomTranslate(-0.1), ValueError, "fraction: expected a number of at least 0"),
        (lambda: eq.RandomTranslate((0.1, -0.1)), ValueError, "fraction: expected a number of at least 0"),
        (lambda: eq.RandomTranslate((0.1, 0.1, 0.1)), TypeError, r"fraction: expected a number or a pair \(x, y\)"),
        (lambda: eq.RandomScale((0.0, 1.0)), ValueError, "range: expected a number above 0"),
        (lambda: eq.RandomScale((1.2, 0.8)), ValueError, "range: expected lowest <= highest"),
        (lambda: eq.RandomScale(1.2), TypeError, "range: expected a pair"),
        (lambda: eq.RandomShear(90), ValueError, "degrees: expected a number in"),
        (lambda: eq.RandomHorizontalFlip(1.1), ValueError, r"p: expected a number in \[0, 1\]"),
        (lambda: eq.RandomVerticalFlip(-0.1), ValueError, r"p: expected a number in \[0, 1\]"),
        (lambda: eq.RandomAffine(45, scale=(2.0, 1.0)), ValueError, "scale: expected lowest <= highest"),
        (lambda: eq.RandomAffine(45, shear=100), ValueError, "shear: expected a number in"),
        (lambda: eq.RandomTranslate(8), ValueError, "fraction: expected a share .* Divide pixels by the shorter side"),
        (lambda: eq.RandomAffine(0, (0.1, 8)), ValueError, "translate: expected a share of the side, in .0, 1., got"),
        (lambda: eq.RandomAffine(45, translate=-1), ValueError, "translate: expected a number of at least 0"),
        (lambda: eq.RandomResizedCrop((0.0, 1.0)), ValueError, "scale: expected a number above 0"),
        (lambda: eq.RandomResizedCrop((0.5, 1.5)), ValueError, r"scale: expected a number in \[0.0001, 1\]"),
        (lambda: eq.RandomResizedCrop((1.0, 0.5)), ValueError, "scale: expected lowest <= highest"),
        (lambda: eq.RandomResizedCrop(ratio=(0.0, 1.0)), ValueError, "ratio: expected a number above 0"),
    ],
)
def test_bad_configuration_is_refused_where_it_is_given(make, error, match):
    with pytest.raises(error, match=match):
        make()
