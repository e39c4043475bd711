import pytest
import torch
from registry import TRANSFORMS, smooth_images
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.forward_ad import dual_level, make_dual
from torch.testing import assert_close

import equicon as eq
from equicon._views import view as _view

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
    with pytest.raises(
        TypeError, match=r"dtype: expected torch.float16, bfloat16, float32 or float64, got torch.uint8"
    ):
        action(images, dtype=torch.uint8)
    with pytest.raises(TypeError, match=r"dtype: expected torch.float16"):
        action(images, dtype="bfloat16")
    with pytest.raises(ValueError, match=r"memory_format: expected torch.contiguous_format or torch.channels_last"):
        action(images, memory_format=torch.channels_last_3d)


@pytest.mark.skipif(not torch.backends.cuda.is_built(), reason="fakes CUDA tensors, which a CPU build has not")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*")  # torch's own, as it begins forward gradients
def test_why_a_view_is_not_made_by_triton(monkeypatch):
    action = eq.Compose([eq.RandomRotation(45), eq.ColorJitter(0.4)]).sample(2)
    assert action.path(torch.rand(2, 3, 8, 8)) == "torch: images are on cpu"
    assert action.path(torch.rand(2, 3, 8, 8).to("meta")) == "torch: images are on meta"
    monkeypatch.setattr(_view, "is_recent", lambda device: True)
    with FakeTensorMode(allow_non_fake_inputs=True):  # tensors of a GPU that is not there
        on_gpu = torch.empty(2, 3, 8, 8, device="cuda")
        monkeypatch.setattr(_view, "has_triton", lambda: True)
        assert action.path(on_gpu) == "triton"
        assert action.path(on_gpu.to(torch.uint8)) == "triton"
        assert action.path(on_gpu[:, :1]) == "torch: images have 1 channels, and not 3"
        assert action.path(on_gpu.double()) == "torch: images are float64"
        monkeypatch.setenv("EQUICON_TRITON", "0")
        assert action.path(on_gpu) == "torch: EQUICON_TRITON=0"
        monkeypatch.setenv("EQUICON_TRITON", "1")
        with dual_level():
            moved = make_dual(on_gpu, on_gpu)
            assert action.path(moved) == "torch: a forward gradient is asked for"
        assert action.path(on_gpu.requires_grad_()) == "torch: a gradient is asked for"
        with torch.no_grad():
            assert action.path(on_gpu) == "triton"
        monkeypatch.setattr(_view, "has_triton", lambda: False)
        assert action.path(on_gpu.detach()) == "torch: Triton is not installed"
        monkeypatch.setattr(_view, "has_triton", lambda: True)
        monkeypatch.setattr(_view, "is_recent", lambda device: False)
        assert action.path(on_gpu.detach()) == "torch: the GPU is older than Turing"
        fake = eq.RandomRotation(45).sample(2, device="cuda")
        assert fake.path(on_gpu.detach()) == "torch: the call is compiled, traced or transformed"


def test_the_path_is_taken_that_is_told(monkeypatch):
    """Where nothing stands against it, the kernel gets what the separate steps would have got."""
    module = pytest.importorskip("equicon._views.triton", reason="the kernels need Triton")
    calls = []
    monkeypatch.setattr("equicon._views.view.why_not_triton", lambda *_: "")
    monkeypatch.setattr(module, "fused_view", lambda *args: calls.append(args) or args[0].float())
    images = torch.rand(2, 3, 8, 8)
    action = eq.Compose([eq.RandomRotation(45), eq.ColorJitter(0.4), NORMALIZE]).sample(2)
    action(images, dtype=torch.bfloat16, memory_format=torch.channels_last)
    given, matrix, *rest = calls[0]
    assert given is images
    assert matrix is action.affine.matrix
    assert rest == [(8, 8), 1, action.color, action.normalization, torch.bfloat16, torch.channels_last]
    blurred = eq.Compose([eq.RandomGaussianBlur(3), NORMALIZE]).sample(2)
    blurred(images, dtype=torch.bfloat16, memory_format=torch.channels_last)
    assert calls[1][-2:] == (torch.float32, torch.contiguous_format)  # what filters, and users' modules, run in
    action.affine.warp(images, antialias=False)
    assert calls[2][3] == 0


@pytest.mark.filterwarnings("ignore:.*torch.jit.*", "ignore::torch.jit.TracerWarning")
def test_views_inside_vmap_a_trace_and_without_values():
    images, g = torch.rand(2, 3, 24, 24), eq.RandomAffine(45, 0.1, (0.5, 2.0)).sample(2).affine
    expected = g.warp(images, (8, 8))

    def one(image, matrix):
        return eq.Affine._of(matrix[None]).warp(image[None], (8, 8))[0]

    assert_close(torch.func.vmap(one)(images, g.matrix), expected)
    other = eq.Affine(torch.diag_embed(torch.tensor([[3.0, 3.0, 1.0]] * 2)))
    traced = torch.jit.trace(lambda matrix: eq.Affine._of(matrix).warp(images, (8, 8)), g.matrix)
    assert_close(traced(other.matrix), other.warp(images, (8, 8)))
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert eq.RandomRotation(45)(torch.rand(2, 3, 8, 8), size=(4, 4))[0].shape == (2, 3, 4, 4)


def test_gradients_reach_images_and_matrices_through_every_level():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(3, 1, 12, 13, dtype=torch.float64, generator=generator).requires_grad_()
    g = eq.RandomAffine(30, 0.1).sample(3, generator=generator).affine.to(dtype=torch.float64)
    scale = torch.tensor([3.9, 2.0, 1.0], dtype=torch.float64)[:, None, None] * torch.eye(2, dtype=torch.float64)
    matrix = (eq.Affine.from_linear(scale) @ g).matrix.requires_grad_()
    for padding_mode in ("zeros", "border", "reflection"):
        assert torch.autograd.gradcheck(
            lambda x, m, how=padding_mode: eq.Affine._of(m).warp(x, (3, 3), padding_mode=how), (images, matrix)
        )
