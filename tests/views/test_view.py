from itertools import combinations
from typing import get_args

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


def test_an_action_and_a_transform_show_what_lies_outside_as_a_warp_does():
    images = torch.rand(2, 3, 16, 18, generator=torch.Generator().manual_seed(0))
    augment, size = eq.Compose([eq.RandomAffine(45, 0.3), eq.RandomGaussianBlur(3)]), (11, 20)
    action = augment.sample(2, generator=torch.Generator().manual_seed(0))
    frame = eq.Affine.from_boxes(torch.tensor([[0.0, 2.0, 9.0, 15.0]] * 2), (16, 18))
    seen = []
    for padding_mode in get_args(eq.PaddingMode):
        given = {"size": size, "frame": frame, "padding_mode": padding_mode}
        warped = (action.affine @ frame).warp(images, size, padding_mode=padding_mode)
        seen.append(action(images, **given))
        assert seen[-1].equal(action.filters[0]._run(warped, None))
        assert augment(images, generator=torch.Generator().manual_seed(0), **given)[0].equal(seen[-1])
    assert min(float((a - b).abs().max()) for a, b in combinations(seen, 2)) > 0.1
    for call in (action, augment):
        with pytest.raises(ValueError, match="padding_mode: expected one of zeros, border, reflection, got str 'wrap'"):
            call(images, padding_mode="wrap")


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
def test_what_makes_a_view_and_why_not_triton(monkeypatch):
    action = eq.Compose([eq.RandomRotation(45), eq.ColorJitter(0.4)]).sample(2)

    def backend(images, reason="", drawn=action):
        """The backend that is chosen, once asking for Triton has said why it is not that."""
        chosen = drawn.backend(images)
        if reason:
            monkeypatch.setenv("EQUICON_BACKEND", "triton")
            with pytest.raises(ValueError, match=f"EQUICON_BACKEND: expected .* this view, got triton: {reason}"):
                drawn.backend(images)
            monkeypatch.delenv("EQUICON_BACKEND")
        return chosen

    assert backend(torch.rand(2, 3, 8, 8), "images are on cpu") == "torch"
    assert backend(torch.rand(2, 3, 8, 8).to("meta"), "images are on meta") == "torch"  # an action of the CPU
    there = eq.Action(eq.Affine._of(action.affine.matrix.to("meta")))
    assert backend(torch.rand(2, 3, 8, 8).to("meta"), "images are on meta", there) == "kornia"
    monkeypatch.setattr(_view, "is_recent", lambda device: True)
    with FakeTensorMode(allow_non_fake_inputs=True):  # tensors of a GPU that is not there
        fake = eq.RandomRotation(45).sample(2, device="cuda")
        on_gpu = torch.empty(2, 3, 8, 8, device="cuda")
        assert backend(on_gpu.detach(), "the call is compiled, traced or transformed", fake) == "kornia"
        monkeypatch.setattr(_view, "concrete", lambda tensor: True)
        monkeypatch.setattr(_view, "has_triton", lambda: True)
        assert backend(on_gpu, drawn=fake) == "triton"
        assert backend(on_gpu.to(torch.uint8), drawn=fake) == "triton"
        assert backend(on_gpu[:, :1], "images have 1 channels, and not 3", fake) == "kornia"
        assert backend(on_gpu.double(), "images are float64", fake) == "kornia"
        with dual_level():
            moved = make_dual(on_gpu, on_gpu)
            assert backend(moved, "a forward gradient is asked for", fake) == "kornia"
        assert backend(on_gpu.clone().requires_grad_(), "a gradient is asked for", fake) == "kornia"
        with torch.no_grad():
            assert backend(on_gpu.clone().requires_grad_(), drawn=fake) == "triton"
        monkeypatch.setattr(_view, "has_triton", lambda: False)
        assert backend(on_gpu, "Triton is not installed", fake) == "kornia"
        monkeypatch.setattr(_view, "has_triton", lambda: True)
        monkeypatch.setattr(_view, "is_recent", lambda device: False)
        assert backend(on_gpu, "the GPU is older than Turing", fake) == "kornia"
        monkeypatch.setattr(_view, "is_recent", lambda device: True)
        assert _view.choose(on_gpu, fake.affine.matrix, None, "nearest") == "kornia"
        reason = _view.why_not_triton(on_gpu, fake.affine.matrix, None, "nearest")
        assert reason == "mode is nearest, and not bilinear"


def test_an_unknown_backend_is_refused(monkeypatch):
    monkeypatch.setenv("EQUICON_BACKEND", "cuda")
    action, images = eq.RandomRotation(45).sample(2), torch.rand(2, 3, 8, 8)
    for call in (action.backend, action, action.affine.warp):
        with pytest.raises(ValueError, match="EQUICON_BACKEND: expected one of triton, torch, kornia, got 'cuda'"):
            call(images)


def test_a_backend_that_is_asked_for_is_taken_or_says_why_not(monkeypatch):
    action, images = eq.RandomRotation(45).sample(2), torch.rand(2, 3, 8, 8)
    for name in ("torch", "kornia"):
        monkeypatch.setenv("EQUICON_BACKEND", name)
        assert action.backend(images) == name
    monkeypatch.setenv("EQUICON_BACKEND", "triton")
    for call in (action, action.affine.warp):
        with pytest.raises(ValueError, match=r"got triton: images are on cpu\. Unset the variable"):
            call(images)


def test_a_compiled_call_says_why_a_backend_cannot_make_its_views(monkeypatch):
    monkeypatch.setenv("EQUICON_BACKEND", "kornia")
    g, images = eq.Affine.identity(2), torch.rand(2, 3, 8, 8)
    whole, parts = (torch.compile(lambda x: g.warp(x), fullgraph=f, backend="eager") for f in (True, False))
    for compiled, error in ((whole, Exception), (parts, ValueError)):  # that of a whole graph is torch's own
        with pytest.raises(error, match="kornia: a compiled call cannot tell whether products of float32 matrices are"):
            compiled(images)


def test_the_backend_is_taken_that_is_told(monkeypatch):
    """Where nothing stands against it, the kernel gets what the separate steps would have got."""
    module = pytest.importorskip("equicon._views.triton", reason="the kernels need Triton")
    calls = []
    monkeypatch.setattr(_view, "choose", lambda *_: "triton")
    monkeypatch.setattr(module, "fused_view", lambda *args: calls.append(args) or args[0].float())
    images = torch.rand(2, 3, 8, 8)
    action = eq.Compose([eq.RandomRotation(45), eq.ColorJitter(0.4), NORMALIZE]).sample(2)
    action(images, dtype=torch.bfloat16, memory_format=torch.channels_last, padding_mode="border")
    given, matrix, *rest = calls[0]
    assert given is images
    assert matrix is action.affine.matrix
    assert rest == [(8, 8), 1, action.color, action.normalization, torch.bfloat16, torch.channels_last, "border"]
    blurred = eq.Compose([eq.RandomGaussianBlur(3), NORMALIZE]).sample(2)
    blurred(images, dtype=torch.bfloat16, memory_format=torch.channels_last)
    assert calls[1][-3:] == (
        torch.float32,
        torch.contiguous_format,
        "zeros",
    )  # of filters
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


@pytest.mark.slow
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
