"""Maps move as pictures do. The laws hold up to the error of the interpolation, where all of a map was seen."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from registry import MAPS, TRANSFORMS, random_affine, smooth_images
from torch.testing import assert_close

import equicon as eq
from equicon.keypoints import gaussians, soft_argmax

seeds = st.integers(0, 2**31)
few = settings(max_examples=6)
maps = pytest.mark.parametrize("moves", MAPS.values(), ids=MAPS)
GEOMETRIC = [name for name, entry in TRANSFORMS.items() if entry.geometric]


def drawn(name: str, seed: int, count: int = 4) -> eq.Affine:
    generator = torch.Generator().manual_seed(seed)
    return TRANSFORMS[name].transform.sample(count, generator=generator).affine.to(dtype=torch.float64)


def whole(*steps: eq.Affine, size: tuple[int, int]) -> torch.Tensor:
    """Where maps of ones come through all steps as ones."""
    ones = torch.ones(len(steps[0]), 1, *size, dtype=torch.float64)
    for g in steps:
        ones = g.warp(ones, antialias=False)
    return ones > 0.999


@maps
@few
@given(seed=seeds, height=st.integers(3, 40), width=st.integers(3, 40))
def test_the_identity_does_nothing_and_home_is_the_action_of_the_inverse(moves, seed, height, width):
    z = torch.randn(4, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    e, g = eq.Affine.identity(4, dtype=torch.float64), random_affine(seed)
    for move in (moves.act, moves.canonicalize):
        assert_close(move(e, z), z, atol=1e-9, rtol=0)
    assert_close(moves.canonicalize(g, z), moves.act(g.inverse(), z), atol=0, rtol=0)


@maps
@pytest.mark.parametrize("name", GEOMETRIC)
@few
@given(seed=seeds)
def test_maps_come_home_and_compose_where_they_were_seen(moves, name, seed):
    size = (72, 96)
    z = 2 * smooth_images(seed, 4, size) - 1  # as logits, which may be negative
    g, h = drawn(name, seed), drawn(name, seed + 1)
    seen = whole(g, g.inverse(), size=size)
    back = moves.canonicalize(g, moves.act(g, z))
    assert float(((back - z) * seen).abs().max()) < 0.06
    seen = whole(h, g, size=size)
    assert float(((moves.act(g @ h, z) - moves.act(g, moves.act(h, z))) * seen).abs().max()) < 0.06


@maps
@pytest.mark.parametrize("name", GEOMETRIC)
@few
@given(seed=seeds)
def test_what_a_map_says_moves_as_points_do(moves, name, seed):
    generator = torch.Generator().manual_seed(seed)
    g, size = drawn(name, seed, 16), (80, 64)
    xy = 16 + torch.rand(16, 2, 2, generator=generator, dtype=torch.float64) * torch.tensor([32.0, 48.0])
    moved = moves.act(g, gaussians(xy, size, size, sigma=2.5))
    expected = g.points(xy, size)
    stretch = torch.linalg.matrix_norm(g.linear, 2)[:, None, None]
    inside = ((expected > 9 * stretch) & (expected < torch.tensor([63, 79]) - 9 * stretch)).all(-1)
    found = soft_argmax(moved / moved.sum((-2, -1), keepdim=True).clamp(min=1e-9), size)
    assert float((found - expected).abs().amax(-1)[inside].amax() if inside.any() else 0) < 0.05


@maps
def test_a_peak_keeps_its_height_however_much_the_view_shrinks(moves):
    z = gaussians(torch.full((1, 1, 2), 32.0), (65, 65), (65, 65), sigma=4.0)
    for scale in (0.5, 1.0, 2.0):
        g = eq.Affine.from_linear(scale * torch.eye(2)[None])
        assert float(moves.act(g, z).max() / z.max()) == pytest.approx(1, rel=0.02)
    assert float(moves.act(eq.Affine.from_linear(torch.eye(2)[None], torch.tensor([[9.0, 0.0]])), z).abs().max()) == 0


@maps
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_types(moves, dtype):
    g, z = eq.RandomRotation(45).sample(4).affine, torch.randn(4, 2, 9, 7).to(dtype)
    home = moves.canonicalize(g, z)
    assert home.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert home.shape == z.shape
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert moves.canonicalize(g, z).equal(home)


@maps
def test_gradients(moves):
    g = random_affine(5, 2)
    z = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: moves.act(g, z), z)
    assert torch.autograd.gradcheck(lambda z: moves.canonicalize(g, z), z)


@maps
def test_vmap(moves):
    g, z = random_affine(5, 3), torch.randn(3, 2, 5, 6, dtype=torch.float64)
    one = torch.vmap(lambda matrix, maps: moves.act(eq.Affine._of(matrix[None]), maps[None])[0])
    assert_close(one(g.matrix, z), moves.act(g, z), atol=1e-9, rtol=0)


@maps
def test_it_is_a_value_that_prints(moves):
    g, z = random_affine(8), torch.randn(4, 2, 8, 8, dtype=torch.float64)
    for again in (pickle.loads(pickle.dumps(moves)), copy.deepcopy(moves), eval(repr(moves), vars(eq))):
        assert again == moves
        assert again.canonicalize(g, z).equal(moves.canonicalize(g, z))


def test_what_is_no_map_is_refused():
    g = eq.Affine.identity(4)
    for z in (torch.rand(4, 20), torch.rand(4, 8, 8), torch.rand(4, 5, 2, 8, 8)):
        with pytest.raises(
            ValueError, match=r"z: expected maps of shape \(B, K, h, w\), got one of shape .*Points\(\)"
        ):
            eq.Heatmaps().act(g, z)
    with pytest.raises(ValueError, match=r"z: expected maps of shape"):
        eq.DirectSum([(eq.Heatmaps(), 4)])


# --- in the losses


def predictor(images: torch.Tensor) -> torch.Tensor:
    """Predict two maps, pixel by pixel: it is equivariant."""
    return torch.stack([images[:, 0] - images[:, 1], images.mean(1)], 1)


@few
@given(seed=seeds)
def test_a_teacher_of_maps_agrees_with_a_student_that_sees_the_same_picture(seed):
    images = smooth_images(seed, 6, (64, 64)).float()
    augment = eq.RandomAffine(20, 0.05, (1.0, 1.2))
    (x1, g1), (x2, g2) = (augment(images, generator=torch.Generator().manual_seed(seed + k)) for k in (0, 1))
    seen = (g2 @ g1.inverse()).coverage((64, 64)) * g2.coverage((64, 64))
    criterion = eq.ConsistencyLoss(eq.Heatmaps())
    same, other = (criterion(s * seen, predictor(x1), g2, g1) for s in (predictor(x2), predictor(x2.flip(0))))
    as_it_is = torch.nn.functional.mse_loss(predictor(x2), predictor(x1))
    assert float(same) < 0.3 * float(as_it_is)
    assert float(same) < 0.2 * float(other)


def test_the_consistency_loss_of_maps_is_that_of_a_loop():
    g1, g2 = random_affine(0), random_affine(1)
    student, teacher = torch.randn(2, 4, 3, 12, 10, dtype=torch.float64)
    expected = []
    for b in range(4):
        home = g1[b].inverse().warp(teacher[b : b + 1], antialias=False)
        expected.append((g2[b].warp(home, antialias=False) - student[b]).square().mean())
    assert_close(eq.ConsistencyLoss(eq.Heatmaps())(student, teacher, g2, g1), torch.stack(expected).mean())


def test_peclr_compares_maps_at_home():
    z1, z2 = torch.randn(2, 4, 3, 12, 10)
    g1, g2 = (random_affine(seed).to(dtype=torch.float32) for seed in (0, 1))

    def base_loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return eq.nt_xent(a.flatten(1), b.flatten(1), 0.3)

    home = [eq.Heatmaps().canonicalize(g, z) for g, z in ((g1, z1), (g2, z2))]
    loss = eq.PeCLRLoss(representation=eq.Heatmaps(), base_loss=base_loss)(z1, z2, g1, g2)
    assert_close(loss, base_loss(*home))
    torch.compiler.reset()
    criterion = eq.ConsistencyLoss(eq.Heatmaps())
    compiled = torch.compile(criterion, fullgraph=True, backend="aot_eager")
    assert_close(compiled(z1, z2, g1, g2), criterion(z1, z2, g1, g2), atol=1e-5, rtol=0)
