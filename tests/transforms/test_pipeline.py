"""check_pipeline says in words what would make learning fail without an error."""

from dataclasses import dataclass

import pytest
import torch
from kornia import augmentation
from registry import TRANSFORMS

import equicon as eq
from equicon._transforms.pipeline import _faults_of_draws
from equicon.testing import check_pipeline

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.rand(8, 3, 48, 64, generator=GENERATOR)
AUGMENT = eq.Compose([eq.RandomRotation(45), eq.ColorJitter(0.4), eq.RandomGaussianBlur(3), eq.Normalize.imagenet()])


@dataclass(frozen=True)
class OneForAll(eq.EquivariantTransform):
    """A rotation that forgets to draw for each image."""

    def _draw(self, batch_size, generator):
        return eq.Action(eq.RandomRotation(45).sample(1, generator=generator).affine[[0] * batch_size])


@pytest.mark.parametrize("images", [IMAGES, (IMAGES * 255).byte(), IMAGES.half()], ids=["float", "uint8", "half"])
def test_what_is_right_passes(images):
    check_pipeline(images, AUGMENT)
    check_pipeline(images, eq.presets.peclr(), size=(32, 32), frame=eq.Affine.identity(8))
    check_pipeline(images, eq.Compose([eq.RandomRotation(5), eq.Appearance(augmentation.RandomSolarize(p=0.2))]))


@pytest.mark.parametrize("preset", [eq.presets.peclr(), eq.presets.simclr(32)])
def test_the_presets_pass(preset):
    check_pipeline(IMAGES, preset, size=(32, 32))


@pytest.mark.slow
def test_filters_see_the_views_as_training_makes_them():
    check_pipeline(torch.rand(2, 3, 256, 256), eq.presets.simclr(1536), size=(256, 256))  # a kernel of 153 pixels

    def frame(views):
        assert views.dtype == torch.float64
        return views * torch.ones(24, 32)  # a picture frame, of the size of the views

    pipeline = eq.Compose([eq.RandomRotation(9), eq.Appearance(frame)])
    check_pipeline(IMAGES.double(), pipeline, size=(24, 32))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_no_transform_of_ours_draws_once_for_the_whole_batch(name):
    # Some are set to always do the same, which is said.
    assert not any("whole batch" in fault for fault in _faults_of_draws(IMAGES, TRANSFORMS[name].transform, GENERATOR))


@pytest.mark.parametrize(
    ("images", "augment", "match"),
    [
        (IMAGES[:1], AUGMENT, "images: expected several, got 1. Alone in its batch, an image has no"),
        (IMAGES[:0], AUGMENT, "images: expected several, got 0"),
        (IMAGES[:1].expand(4, -1, -1, -1), AUGMENT, "images: expected different images, got the same one"),
        (IMAGES * 255, AUGMENT, "Colour would clamp 100% of them: divide by 255"),
        (IMAGES * 4 - 2, AUGMENT, "Colour would clamp 7.% .* put equicon.Normalize last"),
        (IMAGES.byte() + 1, AUGMENT, "got none above 1, so the images are black"),
        (IMAGES / 0, eq.RandomRotation(45), "images: expected finite values, got NaN or infinity"),
        (IMAGES * 0 / 0, AUGMENT, "got NaN"),
        (IMAGES.permute(0, 2, 3, 1), eq.RandomRotation(45), "which look like channels last"),
        (IMAGES, eq.Normalize((124.0, 116.0, 103.0), (58.0,) * 3), "a mean of 124 is for values of 0 to 255"),
        (IMAGES, eq.RandomRotation(0), "expected draws that differ, got the same 32 times"),
        (IMAGES, eq.Compose([eq.RandomGrayscale(0.2), OneForAll()]), "got one for the whole batch from its geometry"),
        (IMAGES, eq.RandomAffine(5, scale=(0.2, 0.3)), "got views that lie 9.% outside. Look at its shifts and scales"),
    ],
)
def test_what_is_wrong_is_said(images, augment, match):
    with pytest.raises(AssertionError, match=match):
        check_pipeline(images, augment)


def test_what_views_show_outside_is_said_and_known():
    far = eq.RandomAffine(5, scale=(0.2, 0.3))
    for padding_mode, match in (
        ("border", "outside, and show the border"),
        ("reflection", "and show reflections there"),
    ):
        with pytest.raises(AssertionError, match=match):
            check_pipeline(IMAGES, far, padding_mode=padding_mode)
    with pytest.raises(ValueError, match="padding_mode: expected one of zeros, border, reflection, got str 'reflect'"):
        check_pipeline(IMAGES, AUGMENT, padding_mode="reflect")


def test_a_pixel_that_only_a_whole_look_finds():
    images = IMAGES.clone()
    images[5, 1, 17, 33] = -1.0
    AUGMENT(images)  # the look at each batch takes every third pixel, and does not see it
    with pytest.raises(AssertionError, match=r"got -1 to 1\. Colour would clamp 0%"):
        check_pipeline(images, AUGMENT)


def test_a_function_that_decides_once_for_the_whole_batch():
    def halve(views):
        return views / 2 if torch.rand(()) < 0.3 else views

    with pytest.raises(AssertionError, match=r"one for the whole batch from filter 1, <function .*halve"):
        check_pipeline(IMAGES, eq.Compose([eq.RandomRotation(9), eq.RandomGaussianBlur(3), eq.Appearance(halve)]))
    per_image = eq.RandomApply(eq.Appearance(lambda views: views / 2), p=0.3)
    check_pipeline(IMAGES, eq.Compose([eq.RandomRotation(9), per_image]))


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(AssertionError) as caught:
        check_pipeline(IMAGES[:1] * 255, eq.Compose([eq.ColorJitter(0.4), eq.Normalize((124.0,) * 3, (58.0,) * 3)]))
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["images"] * 3


def test_a_frame_in_other_units():
    frame = eq.Affine.from_boxes(torch.tensor([[0.1, 0.1, 0.9, 0.9]]).expand(8, 4) * 640, (48, 64))
    with pytest.raises(AssertionError, match="Look at its frame and augment's shifts and scales"):
        check_pipeline(IMAGES, AUGMENT, frame=frame)


def test_what_it_draws_is_repeatable_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    check_pipeline(IMAGES, AUGMENT)
    assert torch.get_rng_state().equal(before)


def test_bad_input():
    with pytest.raises(TypeError, match="images: expected a tensor"):
        check_pipeline([1], AUGMENT)
    with pytest.raises(TypeError, match="augment: expected an EquivariantTransform, got"):
        check_pipeline(IMAGES, torch.nn.Identity())
