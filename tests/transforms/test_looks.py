"""A warning says so where images would be spoiled without an error."""

import warnings

import pytest
import torch
from kornia import augmentation
from torch import nn

import equicon as eq

torchvision = pytest.importorskip("torchvision", reason="torchvision's augmentations need the extra train")
from torchvision.transforms import v2

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.rand(8, 3, 48, 64, generator=GENERATOR)
COLOUR = eq.ColorJitter(0.4, 0.4)
NORMALIZE = eq.Normalize.imagenet()
GEOMETRY = eq.RandomRotation(45)
MEAN, STD = torch.tensor(NORMALIZE.mean)[:, None, None], torch.tensor(NORMALIZE.std)[:, None, None]

FAULTS = {
    "normalised": ((IMAGES - MEAN) / STD, r"got -2\.\d* to 2\.\d*\. Colour would clamp \d\d% .* mean is already"),
    "0 to 255": (IMAGES * 255, r"got 0\.\d* to 25\d\. Colour would clamp \d+% of them: divide by 255"),
    "0 to 255, less a mean": (
        IMAGES * 255 - 124,
        r"got -12\d to 13\d\. .* of them: divide by 255",
    ),
    "fractions as bytes": ((IMAGES * 1.2).byte(), "got none above 1, so the images are black"),
    "not numbers": (IMAGES.clone().fill_(torch.nan), r"expected values in \[0, 1\], got NaN"),
}


@pytest.mark.parametrize(("images", "match"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("augment", [COLOUR, NORMALIZE, eq.Compose([GEOMETRY, COLOUR])])
def test_images_that_would_be_spoiled(images, match, augment):
    with pytest.warns(UserWarning, match=match) as caught:
        augment(images)
    assert caught[0].filename == __file__  # the line that calls, and not one of equicon
    with pytest.warns(UserWarning, match=match) as caught:
        augment.sample(len(images))(images)
    assert caught[0].filename == __file__


def test_a_run_of_batches_is_warned_once(monkeypatch):
    monkeypatch.setitem(globals(), "__warningregistry__", {})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for images in (IMAGES * 255, IMAGES * 254, (IMAGES - MEAN) / STD, IMAGES * 1e6):
            COLOUR(images)
    # Each batch has its own figures; what is wrong is 0 to 255 three times, and a mean that was subtracted.
    assert ["divide by 255" in str(one.message) for one in caught] == [True, False]


def test_the_share_that_is_clamped():
    images = torch.zeros(1, 3, 16, 16)
    images[..., :4] = 9.0
    with pytest.warns(UserWarning, match="got 0 to 9. Colour would clamp 25% of them: divide by 255"):
        COLOUR(images)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32, torch.float64])
def test_what_is_right_gives_no_warning(dtype):
    images = (IMAGES * 255).byte() if dtype == torch.uint8 else IMAGES.to(dtype)
    eq.Compose([GEOMETRY, COLOUR, NORMALIZE])(images)  # warnings are errors here
    COLOUR(torch.zeros_like(images))
    COLOUR(images[:0])
    GEOMETRY(images * 7)  # depth, say: geometry takes any values
    if dtype != torch.uint8:
        eq.Compose([GEOMETRY, eq.Normalize((3.5,) * 3, (2.0,) * 3)])(images * 7)  # and so does a mean of such values
    if dtype != torch.uint8:
        squares = torch.zeros(8, 3, 32, 32)
        squares[..., 16:, 16:] = 1.0
        enlarged = nn.functional.interpolate(squares, size=(100, 100), mode="bicubic")
        assert enlarged.max() > 1.2
        COLOUR(enlarged)


def test_nothing_is_looked_at_where_it_would_have_to_be_waited_for():
    action = COLOUR.sample(8).to("meta")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.vmap(lambda image: COLOUR.sample(1)(image[None] * 255)[0], randomness="same")(IMAGES)
        assert action.color.matrix.device.type == "meta"


def test_figures_for_0_to_255():
    with pytest.warns(UserWarning, match="a mean of 123.675 is for values of 0 to 255. Divide mean and std"):
        eq.Normalize((123.675, 116.28, 103.53), (58.4, 57.1, 57.4))(IMAGES)


def test_channels_last():
    with pytest.warns(UserWarning, match=r"48 channels of 64 × 3 pixels, .* Write images.permute\(0, 3, 1, 2\)"):
        GEOMETRY((IMAGES * 255).byte().permute(0, 2, 3, 1))


@pytest.mark.parametrize(
    ("module", "match"),
    [
        (v2.RandomGrayscale(0.5), "torchvision's RandomGrayscale draws once for the whole batch"),
        (v2.ColorJitter(0.4), "torchvision's ColorJitter draws once"),
        (v2.ColorJitter((0.4, 0.4), (0.9, 0.9)), "torchvision's ColorJitter draws once"),  # which comes first
        (v2.JPEG((50, 90)), "torchvision's JPEG draws once"),
        (v2.Compose([v2.Identity(), v2.RandomApply([v2.GaussianBlur(3)])]), "torchvision's RandomApply draws once"),
        (torchvision.transforms.Compose([torchvision.transforms.RandomInvert()]), "torchvision's RandomInvert draws"),
        (nn.Sequential(nn.Identity(), v2.RandomSolarize(0.5)), "torchvision's RandomSolarize draws once"),
        (v2.RandomHorizontalFlip(), "RandomHorizontalFlip moves pixels, which the returned matrix will not contain"),
        (v2.RandAugment(), "RandAugment moves pixels"),
        (augmentation.RandomAffine(30), "RandomAffine moves pixels"),
        (augmentation.AugmentationSequential(augmentation.RandomRotation(30)), "RandomRotation moves pixels"),
    ],
    ids=lambda value: value.split()[0] + value.split()[1] if isinstance(value, str) else "",
)
def test_modules_that_do_not_do_what_they_seem_to(module, match):
    with pytest.warns(UserWarning, match=f"module: {match}") as caught:
        eq.Appearance(module)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "module",
    [
        *(v2.Grayscale(3), v2.RandomInvert(1.0), v2.GaussianNoise(), augmentation.RandomSolarize(), lambda x: x),
        *(v2.GaussianBlur(3, sigma=1.0), v2.JPEG(50), v2.ColorJitter(brightness=(1.2, 1.2))),  # which draw nothing
        torchvision.transforms.GaussianBlur(3, sigma=1.0),
    ],
)
def test_modules_that_are_right(module):
    eq.Appearance(module)
