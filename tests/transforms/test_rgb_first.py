"""Images of more than three channels: colour acts on the first three, geometry on all."""

from typing import get_args

import pytest
import torch
from registry import TRANSFORMS
from torch.testing import assert_close

import equicon as eq
from equicon._views import view as _view

RGBD = torch.rand(3, 5, 30, 36, generator=torch.Generator().manual_seed(0))
UNFILTERED = [
    name for name, entry in TRANSFORMS.items() if name != "normalize" and not entry.transform.sample(1).filters
]
VIEW = (20, 24)


@pytest.mark.parametrize("backend", ["torch", "kornia"])
@pytest.mark.parametrize("name", UNFILTERED)
def test_the_first_three_are_the_rgb_picture_and_the_rest_is_moved(name, backend, monkeypatch):
    monkeypatch.setattr(_view, "choose", lambda *_: backend)
    action = TRANSFORMS[name].transform.sample(3, generator=torch.Generator().manual_seed(0))
    views = action(RGBD, size=VIEW, rgb_first=True)
    assert_close(views[:, :3], action(RGBD[:, :3], size=VIEW), atol=1e-6, rtol=0)
    assert_close(views[:, 3:], eq.Action(action.affine)(RGBD[:, 3:], size=VIEW), atol=1e-6, rtol=0)
    again, g = TRANSFORMS[name].transform(RGBD, size=VIEW, rgb_first=True, generator=torch.Generator().manual_seed(0))
    assert again.equal(views)
    assert g.matrix.equal(action.affine.matrix)


@pytest.mark.parametrize("name", ["blur", "noise", "erasing", "sobel", "appearance", "compose"])
def test_filters_act_on_all_channels(name):
    action = TRANSFORMS[name].transform.sample(3, generator=torch.Generator().manual_seed(0))
    views = action(RGBD, rgb_first=True)
    expected = eq.Action(action.affine, action.color)(RGBD, rgb_first=True)
    for drawn in action.filters:
        expected = drawn._run(expected, None)
    assert_close(views, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float64])
def test_it_keeps_types_and_memory_formats(dtype):
    images = (RGBD * 255).to(dtype) if dtype == torch.uint8 else RGBD.to(dtype)
    action = TRANSFORMS["peclr"].transform.sample(3)
    views = action(images, rgb_first=True, memory_format=torch.channels_last)
    assert views.dtype == (torch.float32 if dtype == torch.uint8 else dtype)
    assert views.is_contiguous(memory_format=torch.channels_last)
    assert_close(views[:, :3], action(images[:, :3]), atol=1e-6, rtol=0)


def test_three_channels_are_as_without_it_and_fewer_are_refused():
    action = TRANSFORMS["jitter"].transform.sample(3)
    assert action(RGBD[:, :3], rgb_first=True).equal(action(RGBD[:, :3]))
    with pytest.raises(ValueError, match="images: expected 3 channels for a colour transform") as raised:
        action(RGBD[:, :1], rgb_first=True)
    assert "rgb_first" not in str(raised.value)


def test_normalize_wants_a_number_for_each_channel():
    normalize = eq.Compose([eq.ColorJitter(0.4), eq.Normalize((0.5,) * 3 + (700.0, 0.0), (0.2,) * 3 + (400.0, 1.0))])
    action, depth = normalize.sample(3), torch.tensor([1.0, 1, 1, 2000, 1])[:, None, None]
    views = action(RGBD * depth, rgb_first=True)  # no warning of the depth's values, which no colour clamps
    plain = eq.Action(action.affine, action.color)(RGBD * depth, rgb_first=True)
    assert_close(views[:, 3], (plain[:, 3] - 700) / 400, atol=1e-5, rtol=0)
    assert_close(views[:, :3], (plain[:, :3] - 0.5) / 0.2, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match=r"images: expected 3 channels, as in mean.* Give Normalize 5 numbers"):
        eq.Normalize.imagenet()(RGBD, rgb_first=True)


@pytest.mark.parametrize("images", [RGBD, RGBD[:, None].expand(-1, 2, -1, -1, -1)], ids=["pictures", "clips"])
def test_without_it_the_error_names_it(images):
    for call in (eq.ColorJitter(0.4), eq.ColorJitter(0.4).sample(3)):
        with pytest.raises(ValueError, match=r"images: expected 3 channels .* write rgb_first=True"):
            call(images)
        with pytest.raises(TypeError, match="rgb_first: expected True or False, got int 1"):
            call(images, rgb_first=1)
    assert eq.RandomRotation(45)(images)[0].shape == images.shape


def test_bad_colours_are_still_warned_of():
    images = torch.cat([RGBD[:, :3] * 255, RGBD[:, 3:]], 1)
    with pytest.warns(UserWarning, match="Colour would clamp .* divide by 255"):
        eq.ColorJitter(0.4)(images, rgb_first=True)


def test_clips_of_more_channels():
    clips, action = torch.rand(3, 2, 5, 30, 36), TRANSFORMS["peclr"].transform.sample(3)
    views = action(clips, size=VIEW, rgb_first=True)
    for t in range(2):
        assert_close(views[:, t], action(clips[:, t], size=VIEW, rgb_first=True), atol=1e-6, rtol=0)


@pytest.mark.parametrize("padding_mode", get_args(eq.PaddingMode))
def test_it_compiles_whole(padding_mode):
    action = eq.Compose([eq.RandomRotation(45), eq.ColorJitter(0.4, 0.4)]).sample(3)
    given = {"padding_mode": padding_mode, "rgb_first": True}
    compiled = torch.compile(lambda images: action(images, **given), fullgraph=True, backend="aot_eager")
    assert_close(compiled(RGBD), action(RGBD, **given), atol=1e-5, rtol=0)
