"""What only an accelerator can show; the rest of the suite runs on the CPU."""

import pytest
import torch
from registry import TRANSFORMS, chain_of
from torch.testing import assert_close

import equicon as eq

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_same_generator_gives_the_same_views_on_every_device(name):
    images = torch.rand(4, 3, 48, 60)
    views, matrices = [], []
    for device in ("cpu", "cuda"):
        x, g = TRANSFORMS[name].transform(images.to(device), generator=torch.Generator().manual_seed(0))
        views.append(x.cpu())
        matrices.append(g.matrix.cpu())
    assert_close(matrices[0], matrices[1])
    if name not in ("noise", "compose", "random appearance"):  # pixels are drawn on the device
        assert_close(views[0], views[1], atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_generator_of_the_device_works_too(name):
    images = torch.rand(4, 3, 48, 60, device="cuda")
    first, second = (
        TRANSFORMS[name].transform(images, generator=torch.Generator("cuda").manual_seed(0))[0] for _ in range(2)
    )
    assert first.equal(second)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("backend", ["triton", "torch", "kornia"])
def test_nothing_waits_for_the_device(backend, dtype, monkeypatch):
    monkeypatch.setenv("EQUICON_BACKEND", backend)
    chain = eq.Compose(chain_of("appearance", "random appearance"))
    learned = torch.nn.Parameter(torch.tensor(0.5, device="cuda"))
    criteria = [eq.PeCLRLoss(tau, chunk_size=size) for tau in (0.5, learned) for size in (None, 4)]
    images = torch.randint(0, 256, (8, 3, 64, 64), dtype=torch.uint8, device="cuda").to(dtype)
    boxes = torch.tensor([[8.0, 8.0, 56.0, 56.0]] * 8, device="cuda")
    anchor, labels = torch.full((8, 2), 32.0), torch.arange(8, device="cuda") // 2
    for generator in (None, torch.Generator().manual_seed(0), torch.Generator("cuda").manual_seed(0)):
        for check in ("default", "error"):  # the first round allocates and compiles
            torch.cuda.set_sync_debug_mode(check)
            try:
                frame = eq.Affine.from_boxes(boxes, (64, 64))
                x, g = chain(images, size=(32, 32), frame=frame, anchor=anchor, generator=generator)
                z = x.flatten(1).requires_grad_()
                for criterion in criteria:
                    criterion(z, z.flip(0), g, g.inverse()).backward()
                    criterion.levels(8, labels=labels)
            finally:
                torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["affine", "resized crop", "peclr", "jitter"])
@pytest.mark.parametrize(
    ("backend", "padding_mode"), [("torch", "zeros"), ("kornia", "border"), ("torch", "reflection")]
)
def test_triton_makes_the_views_of_the_separate_steps(backend, padding_mode, name, dtype, monkeypatch):
    images = torch.randint(0, 256, (16, 3, 224, 224), dtype=torch.uint8, device="cuda")
    normalize = eq.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    action = eq.Compose([TRANSFORMS[name].transform, normalize]).sample(16, device="cuda")
    options = {"size": (128, 128), "dtype": dtype, "memory_format": torch.channels_last, "padding_mode": padding_mode}
    assert action.backend(images) == "triton"
    views = action(images, **options)
    monkeypatch.setenv("EQUICON_BACKEND", backend)
    expected = action(images, **options)
    assert views.is_contiguous(memory_format=torch.channels_last)
    assert_close(views.float(), expected.float(), atol=1e-3 if dtype == torch.float32 else 2e-2, rtol=0)


@pytest.mark.parametrize("backend", ["triton", "torch", "kornia"])
def test_a_whole_view_is_captured_in_a_cuda_graph(backend, monkeypatch):
    monkeypatch.setenv("EQUICON_BACKEND", backend)
    augment = eq.Compose([eq.presets.peclr(), eq.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))])
    images = torch.randint(0, 256, (8, 3, 96, 96), dtype=torch.uint8, device="cuda")
    generator, stream = torch.Generator("cuda").manual_seed(0), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # compiles, and allocates what stays
        augment(images, size=(64, 64), generator=generator)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        action = augment.sample(len(images), generator=generator)
        views = action(images, size=(64, 64))
    seen = []
    for _ in range(2):
        graph.replay()
        assert_close(views, action(images, size=(64, 64)), atol=1e-5, rtol=0)  # the action's tensors are the graph's
        seen.append((views.clone(), action.affine.matrix.clone()))
    assert not seen[0][0].equal(seen[1][0])  # each replay draws anew
    assert not seen[0][1].equal(seen[1][1])


@pytest.mark.parametrize("temperature", [0.01, 0.5])
def test_blocks_are_those_of_the_cpu(temperature):
    z = [torch.randn(5000, 32, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    found = []
    for device in ("cpu", "cuda"):
        leaves = [view.to(device, torch.float64).requires_grad_() for view in z]
        loss = eq.nt_xent(*leaves, temperature)
        found.append([value.detach().cpu() for value in (loss, *torch.autograd.grad(loss, leaves))])
    assert_close(found[0], found[1])


def test_a_large_batch_fits_in_2_gb():
    z1, z2 = (torch.randn(65536, 128, device="cuda").requires_grad_() for _ in range(2))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    eq.nt_xent(z1, z2, 0.2).backward()
    assert torch.cuda.max_memory_allocated() - before < 2 * 2**30
