import pytest
import torch
from registry import TRANSFORMS, smooth_images
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing import assert_close

import equicon as eq
from equicon import _view

NORMALIZE = eq.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_views_are_written_as_the_encoder_wants_them(name, memory_format):
    images = (smooth_images(0, 3, (40, 48)) * 255).round().to(torch.uint8)
    action = TRANSFORMS[name].transform.sample(3)
    plain = action(images, size=(24, 32))
    views = action(images, size=(24, 32), dtype=torch.bfloat16, memory_format=memory_format)
    assert views.dtype == torch.bfloat16
    assert views.is_contiguous(memory_format=memory_format)
    assert views.equal(plain.bfloat16())  # one rounding, at the end
    assert plain.dtype == torch.float32


def test_a_transform_passes_both_on():
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    options = {"dtype": torch.float32, "memory_format": torch.channels_last}
    views, _ = eq.RandomRotation(45)(images, generator=torch.Generator().manual_seed(0), **options)
    expected, _ = eq.RandomRotation(45)(images, generator=torch.Generator().manual_seed(0))
    assert views.is_contiguous(memory_format=torch.channels_last)
    assert_close(views, expected.float(), atol=0, rtol=0)


def test_other_types_and_formats_are_refused():
    action, images = eq.RandomRotation(45).sample(2), torch.rand(2, 3, 8, 8)
    with pytest.raises(TypeError, match=r"dtype: expected a floating type of torch, got .*torch.uint8"):
        action(images, dtype=torch.uint8)
    with pytest.raises(TypeError, match="dtype: expected a floating type"):
        action(images, dtype="bfloat16")
    with pytest.raises(ValueError, match=r"memory_format: expected torch.contiguous_format or torch.channels_last"):
        action(images, memory_format=torch.channels_last_3d)


def test_a_normalisation_of_all_views_is_made_in_the_same_pass_where_it_comes_first():
    blur, some = eq.RandomGaussianBlur(3, p=1.0), eq.RandomApply(NORMALIZE, 0.5)
    for chain, first, rest in [
        ([NORMALIZE], True, 0),
        ([NORMALIZE, blur], True, 1),
        ([eq.RandomRotation(45), NORMALIZE, eq.ColorJitter(0.4)], True, 0),
        ([blur, NORMALIZE], False, 2),
        ([some], False, 1),
        ([eq.RandomRotation(45)], False, 0),
    ]:
        normalization, filters = eq.Compose(chain).sample(2)._split()
        assert (normalization is not None) == first
        assert len(filters) == rest


def test_why_a_view_is_not_made_by_triton(monkeypatch):
    action = eq.Compose([eq.RandomRotation(45), eq.ColorJitter(0.4)]).sample(2)
    assert action.path(torch.rand(2, 3, 8, 8)) == "torch: images are on cpu"
    with FakeTensorMode(allow_non_fake_inputs=True):  # tensors of a GPU that is not there
        on_gpu = torch.empty(2, 3, 8, 8, device="cuda")
        monkeypatch.setattr(_view, "has_triton", lambda: True)
        assert action.path(on_gpu) == "triton"
        assert action.path(on_gpu.to(torch.uint8)) == "triton"
        assert action.path(on_gpu[:, :1]) == "torch: images have 1 channels, and not 3"
        assert action.path(on_gpu.double()) == "torch: images are float64"
        assert action.path(on_gpu.requires_grad_()) == "torch: a gradient is asked for"
        with torch.no_grad():
            assert action.path(on_gpu) == "triton"
        monkeypatch.setattr(_view, "has_triton", lambda: False)
        assert action.path(on_gpu.detach()) == "torch: Triton is not installed"


def test_the_path_is_taken_that_is_told(monkeypatch):
    """Where nothing stands against it, the kernel gets what the separate steps would have got."""
    module = pytest.importorskip("equicon._triton", reason="the kernels need Triton")
    calls = []
    monkeypatch.setattr("equicon._view.why_not_triton", lambda *_: "")
    monkeypatch.setattr(module, "fused_view", lambda *args, **options: calls.append((args, options)) or args[0].float())
    images = torch.rand(2, 3, 8, 8)
    action = eq.Compose([eq.RandomRotation(45), eq.ColorJitter(0.4), NORMALIZE]).sample(2)
    action(images, dtype=torch.bfloat16, memory_format=torch.channels_last)
    ((given, matrix, size), options) = calls[0]
    assert given is images
    assert matrix is action.affine.matrix
    assert size == (8, 8)
    assert options["color"] is action.color
    assert options["normalization"] == action.filters[0].operation
    assert options["dtype"] == torch.bfloat16
    assert options["memory_format"] == torch.channels_last
    eq.Compose([NORMALIZE, eq.RandomGaussianBlur(3)]).sample(2)(images, dtype=torch.bfloat16)
    assert calls[1][1]["dtype"] == torch.float32  # what filters run in
