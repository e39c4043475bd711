"""Whole-graph compilation: fast coverage with aot_eager, inductor once."""

import subprocess
import sys

import pytest
import torch
from registry import REPRESENTATIONS, chain_of, random_affine
from torch.testing import assert_close

import equicon as eq

# Appearance seeds a generator while it runs, which no graph holds.
FUSED = chain_of("appearance", "random appearance", "simclr")
IMAGES = torch.rand(3, 3, 40, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()


@pytest.mark.parametrize("chain", [eq.Compose(FUSED), eq.presets.simclr(32)], ids=["everything", "simclr"])
def test_actions_compile_whole(chain):
    action = chain.sample(3, generator=torch.Generator().manual_seed(0))
    compiled = torch.compile(lambda images: action(images, size=(32, 32)), fullgraph=True, backend="aot_eager")
    assert_close(compiled(IMAGES), action(IMAGES, size=(32, 32)), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_drawing_and_applying_compile_whole():
    augment = eq.Compose(FUSED)
    compiled = torch.compile(lambda images: augment(images, size=(32, 32)), fullgraph=True, backend="aot_eager")
    torch.manual_seed(0)
    views, g = compiled(IMAGES)
    assert isinstance(g, eq.Affine)
    torch.manual_seed(0)
    expected, h = augment(IMAGES, size=(32, 32))
    assert_close(g.matrix, h.matrix)
    assert_close(views, expected, atol=1e-5, rtol=0)
    for batch_size in (2, 3, 1):  # the last batch of an epoch
        assert compiled(IMAGES[:batch_size])[0].shape == (batch_size, 3, 32, 32)


@pytest.mark.parametrize("padding_mode", ["reflection", pytest.param("border", marks=pytest.mark.slow)])
def test_uint8_with_a_frame_and_padding_compiles_whole(padding_mode):
    action, frame = (
        eq.RandomRotation(45).sample(3),
        eq.Affine.from_boxes(torch.tensor([[5.0, 5.0, 35.0, 35.0]] * 3), (40, 48)),
    )
    images, given = (IMAGES * 255).to(torch.uint8), {"size": (32, 32), "frame": frame, "padding_mode": padding_mode}
    compiled = torch.compile(lambda x: action(x, **given), fullgraph=True, backend="aot_eager")
    assert_close(compiled(images), action(images, **given), atol=1e-5, rtol=0)


@pytest.mark.skipif(torch.__version__ < "2.13", reason="torch before 2.13 does not trace an action made in the graph")
def test_views_inside_their_source_compile_whole():
    frame = eq.Affine.from_boxes(torch.tensor([[5.0, 5.0, 35.0, 35.0]] * 3), (40, 48))
    action, size = eq.RandomAffine(45, 0.3, (0.5, 1.5)).sample(3), (80, 96)  # no pyramid, whose graph takes seconds

    def draw(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        inside = action.inside((40, 48), size, frame)
        seen = inside.affine.__matmul__(frame).coverage((40, 48), size)  # torch 2.13 does not trace the operator
        return inside(images, size=size, frame=frame), inside.affine.matrix, seen

    results = [run(IMAGES) for run in (draw, torch.compile(draw, fullgraph=True, backend="aot_eager"))]
    assert_close(results[1], results[0], atol=1e-5, rtol=0)
    assert float(results[1][2].min()) > 1 - 1e-4


@pytest.mark.parametrize("entry", REPRESENTATIONS.values(), ids=REPRESENTATIONS)
@pytest.mark.parametrize("chunk_size", [None, 2], ids=["dense", "blocks"])
@pytest.mark.parametrize("learned", [False, True], ids=["number", "learned"])
def test_the_loss_and_its_gradients_compile_whole(entry, chunk_size, learned):
    temperature = torch.nn.Parameter(torch.tensor(0.2)) if learned else 0.2
    criterion = eq.PeCLRLoss(temperature, representation=entry.representation, chunk_size=chunk_size)
    g1, g2 = random_affine(0).to(dtype=torch.float32), random_affine(1).to(dtype=torch.float32)
    compiled = torch.compile(criterion, fullgraph=True, backend="aot_eager")
    grads = []
    for loss in (criterion, compiled):
        z1, z2 = (torch.linspace(-1, 1, 4 * entry.width).view(4, -1).add(k).sin().requires_grad_() for k in (0, 1))
        value = loss(z1, z2, g1, g2, labels=torch.arange(4), negatives=torch.ones(3, entry.width))
        grads.append((value.detach(), *torch.autograd.grad(value, (z1, z2, *criterion.parameters()))))
    assert_close(grads[0], grads[1], atol=1e-5, rtol=0)


def test_a_loss_of_ones_own_compiles_whole_with_its_keywords():
    def base_loss(z1, z2, *, margin, more_views):
        return ((z1 - z2).square().sum(1) - margin).clamp(min=0).mean() + more_views[0].sum()

    criterion = eq.PeCLRLoss(base_loss=base_loss)
    z, g = torch.linspace(-1, 1, 48).view(3, 4, 4), random_affine(0).to(dtype=torch.float32)
    compiled = torch.compile(criterion, fullgraph=True, backend="aot_eager")
    given = {"margin": 0.1, "more_views": [(z[2], g)]}
    assert_close(compiled(z[0], z[1], g, g, **given), criterion(z[0], z[1], g, g, **given))


def test_more_kinds_of_transforms_than_torch_keeps_need_the_documented_limit():
    code = "import torch._dynamo; print(torch._dynamo.config.recompile_limit)"  # timm sets it as it is imported
    said = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "8", "docs/explanation/conventions.md names it"
    kinds = [eq.RandomHorizontalFlip(1.0), eq.RandomVerticalFlip(1.0)]

    def compile_all(limit: int) -> list[torch.Tensor]:
        torch.compiler.reset()
        with torch._dynamo.config.patch(recompile_limit=limit):
            return [torch.compile(kind, fullgraph=True, backend="eager")(IMAGES)[0] for kind in kinds]

    with pytest.raises(torch._dynamo.exc.FailOnRecompileLimitHit):
        compile_all(1)
    for axis, views in zip((3, 2), compile_all(2), strict=True):
        assert_close(views, IMAGES.flip(axis), atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # torch 2.11's own
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
def test_inductor_makes_the_same_views_and_loss(padding_mode):
    action = eq.presets.peclr().sample(3)
    criterion = eq.PeCLRLoss(0.5)

    def step(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        views = action(images, size=(16, 16), padding_mode=padding_mode)
        z = views[:, :2].flatten(1)
        return views, criterion(z, z.flip(1), action.affine, action.affine)

    views, loss = torch.compile(step, fullgraph=True)(IMAGES)
    expected, expected_loss = step(IMAGES)
    assert_close(views, expected, atol=1e-4, rtol=0)
    assert_close(loss, expected_loss, atol=1e-4, rtol=0)
