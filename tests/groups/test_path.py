"""Laws of paths between maps, over the draws of the registry."""

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from registry import TRANSFORMS, random_affine
from torch import Tensor
from torch.testing import assert_close

import equicon as eq
from equicon._groups.path import paths

seeds = st.integers(0, 2**31)
law = settings(max_examples=20)
every = pytest.mark.parametrize("name", TRANSFORMS)
MIRROR = eq.Affine.from_linear(torch.diag(torch.tensor([-1.0, 1.0], dtype=torch.float64))[None])


def draw(name: str, seed: int = 0) -> tuple[eq.Affine, eq.Affine]:
    generator = torch.Generator().manual_seed(seed)
    first, last = (TRANSFORMS[name].transform.sample(5, generator=generator).affine for _ in range(2))
    return first.to(dtype=torch.float64), last.to(dtype=torch.float64)


def steps_of(g: eq.Affine, h: eq.Affine, steps: int) -> Tensor:
    """The matrices of a path, (B, steps, 3, 3)."""
    return g.path(h, steps).matrix.unflatten(0, (len(g), steps))


def proper(g: eq.Affine) -> eq.Affine:
    """Each element, or its horizontal mirror image where it reflects."""
    mirrored = eq.Affine.cat([MIRROR] * len(g))
    return eq.Affine(torch.where(g.linear.det()[:, None, None] < 0, (g @ mirrored).matrix, g.matrix))


def turn(degrees: float, batch_size: int = 5) -> eq.Affine:
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    linear = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()]).view(1, 2, 2)
    return eq.Affine.from_linear(linear.repeat(batch_size, 1, 1))


def clear(g: eq.Affine, h: eq.Affine) -> Tensor:
    """Where two maps are not half a turn apart, (B,): there, rounding chooses the way."""
    return ((proper(g).degrees - proper(h).degrees).abs() - 180).abs() > 0.1


def logarithm(matrix: Tensor) -> Tensor:
    """Of a symmetric matrix with positive eigenvalues, by torch's own decomposition."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ values.log().diag() @ vectors.mT


# --- laws


@every
@settings(max_examples=5)
@given(seed=seeds, steps=st.integers(2, 7))
def test_both_ends_are_on_the_path_and_flips_stay(name, seed, steps):
    g, h = draw(name, seed)
    path = steps_of(g, h, steps)
    assert path[:, 0].equal(g.matrix)
    same = g.reflects == h.reflects
    assert path[same, -1].equal(h.matrix[same])
    mirrored = (h @ eq.Affine.cat([MIRROR] * 5)).matrix
    assert_close(path[~same, -1], mirrored[~same])
    signs = path[..., :2, :2].det().sign()
    assert signs.equal(signs[:, :1].expand(-1, steps))
    assert g.path(h, 1).matrix.equal(g.matrix)


@every
def test_a_path_to_itself_stays_where_it_is(name):
    g, _ = draw(name)
    assert_close(steps_of(g, g, 6), g.matrix[:, None].expand(-1, 6, 3, 3), atol=1e-12, rtol=0)


@every
def test_reversed_ends_reverse_the_path(name):
    g, h = map(proper, draw(name))
    assert_close(steps_of(h, g, 5), steps_of(g, h, 5).flip(1), atol=1e-12, rtol=0)


@every
def test_more_steps_refine_a_path(name):
    g, h = draw(name)
    assert_close(steps_of(g, h, 9)[:, ::2], steps_of(g, h, 5), atol=1e-12, rtol=0)


@every
@settings(max_examples=5)
@given(seed=seeds, degrees=st.floats(-180, 180), scale=st.floats(0.1, 10))
def test_turning_or_scaling_all_of_a_path_turns_or_scales_its_ends(name, seed, degrees, scale):
    g, h = draw(name, seed)
    change = turn(degrees)
    change = eq.Affine.from_linear(scale * change.linear)
    changed, expected = steps_of(change @ g, change @ h, 5), change.matrix[:, None] @ steps_of(g, h, 5)
    assert_close(changed[clear(g, h)], expected[clear(g, h)], atol=1e-9, rtol=1e-9)


@every
def test_an_element_of_a_path_is_its_polar_factors_interpolated(name):
    """The reference: a loop with torch's decompositions, for each pair and each step."""
    g, h = draw(name)
    found = steps_of(g, h, 5)
    for i in clear(g, h).nonzero()[:, 0]:
        flip = torch.diag(torch.tensor([-1.0 if g.reflects[i] else 1.0, 1.0], dtype=torch.float64))
        logs, turns = [], []
        for end in (proper(g), proper(h)):
            u, s, vh = torch.linalg.svd(end.linear[i])
            turns.append(u @ vh)
            logs.append(logarithm(vh.mT @ s.diag() @ vh))
        between = turns[0].mT @ turns[1]
        angle = torch.atan2(between[0, 1], between[0, 0])
        for k in range(5):
            share = k / 4
            c, s = torch.cos(share * angle), torch.sin(share * angle)
            turned = turns[0] @ torch.stack([c, s, -s, c]).view(2, 2)
            stretch = torch.linalg.matrix_exp((1 - share) * logs[0] + share * logs[1])
            assert_close(found[i, k, :2, :2], turned @ stretch @ flip, atol=1e-9, rtol=0)
            assert_close(found[i, k, :2, 2], torch.lerp(g.translation[i], h.translation[i], share))


# --- what they look like


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 90, [0, 30, 60, 90]),
        (-30, 30, [-30, -10, 10, 30]),
        (170, -160, [170, 180, -170, -160]),  # the shorter way
        (-170, 160, [-170, -180, 170, 160]),
        (10, 10, [10, 10, 10, 10]),
    ],
)
def test_rotations_stay_rotations_of_constant_speed(start, end, expected):
    path = turn(start, 1).path(turn(end, 1), 4)
    assert_close(path.linear @ path.linear.mT, torch.eye(2, dtype=torch.float64).expand(4, 2, 2))
    difference = (path.degrees - torch.tensor(expected) + 180) % 360 - 180
    assert float(difference.abs().max()) < 1e-9


def test_scales_are_a_geometric_series():
    one, eight = eq.Affine.identity(1), eq.Affine.from_linear(8 * torch.eye(2)[None], torch.tensor([[0.3, -0.6]]))
    path = one.path(eight, 4)
    assert_close(path.linear, torch.tensor([1.0, 2.0, 4.0, 8.0])[:, None, None] * torch.eye(2), atol=0, rtol=1e-6)
    assert_close(path.translation[:, 0], torch.tensor([0.0, 0.1, 0.2, 0.3]))
    shrinking = eight.path(one, 4)
    assert_close(shrinking.linear, path.linear.flip(0), atol=0, rtol=1e-6)


def test_a_flip_lasts_for_the_whole_path():
    flipped = eq.RandomHorizontalFlip(1.0).sample(2).affine.to(dtype=torch.float64)
    plain = eq.Affine.identity(2, dtype=torch.float64)
    assert flipped.path(plain, 5).reflects.all()
    assert_close(flipped.path(plain, 5).matrix, flipped.repeat_interleave(5).matrix)
    assert_close(plain.path(flipped, 5).matrix, plain.repeat_interleave(5).matrix)


def test_paths_lie_one_after_another():
    g, h = draw("affine")
    whole = g.path(h, 4)
    assert len(whole) == 20
    for i in range(5):
        assert_close(whole[4 * i : 4 * i + 4].matrix, g[i].path(h[i], 4).matrix)
    assert len(g[:0].path(h[:0], 4)) == 0


def test_repeat_interleave_repeats_each_element():
    g, _ = draw("affine")
    assert g.repeat_interleave(3).matrix.equal(torch.stack([g.matrix[i // 3] for i in range(15)]))
    assert g.repeat_interleave(1).matrix.equal(g.matrix)
    with pytest.raises(ValueError, match="repeats: expected a whole number of at least 1, got int 0"):
        g.repeat_interleave(0)


# --- as tensors


@law
@given(seeds)
def test_in_float32_it_is_the_same_path(seed):
    g, h = random_affine(seed), random_affine(seed + 1)
    single = g.to(dtype=torch.float32).path(h.to(dtype=torch.float32), 5)
    assert single.dtype == torch.float32
    rows = clear(g, h).repeat_interleave(5)
    assert_close(single.matrix[rows].double(), g.path(h, 5).matrix[rows], atol=2e-5, rtol=0)
    assert g.path(h.to(dtype=torch.float32), 5).dtype == torch.float64


def test_gradients_are_those_of_finite_differences_and_finite_everywhere():
    g, h = random_affine(0), random_affine(1)
    inputs = [m.matrix.clone().requires_grad_() for m in (g, h)]
    torch.autograd.gradcheck(lambda a, b: paths(a, b, 4)[:, :2], inputs)
    plain = eq.Affine.identity(2, dtype=torch.float64)
    for start, end in [
        (plain, plain),
        (plain, eq.Affine.from_linear(2 * plain.linear)),
        (turn(30, 2), turn(30, 2)),
        (eq.RandomHorizontalFlip(1.0).sample(2).affine.to(dtype=torch.float64), plain),
    ]:
        inputs = [m.matrix.clone().requires_grad_() for m in (start, end)]
        torch.autograd.gradcheck(lambda a, b: paths(a, b, 4)[:, :2], inputs)


@pytest.mark.parametrize("anisotropy", [1e-3, 0.0099, 0.0101, 1.0, 6.0])
def test_strong_and_weak_stretches_are_as_exact(anisotropy):
    """On both sides of where a series takes over, and for a picture four hundred times as long as it is high."""
    a = torch.tensor(anisotropy, dtype=torch.float64)
    stretched = eq.Affine.from_linear(torch.diag(torch.stack([a.exp(), (-a).exp()]))[None])
    path = eq.Affine.identity(1, dtype=torch.float64).path(stretched, 3)
    assert_close(path.linear[1], torch.diag(torch.stack([(a / 2).exp(), (-a / 2).exp()])), atol=0, rtol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_it_compiles_whole(steps):
    g, h = random_affine(0), random_affine(1)
    compiled = torch.compile(lambda a, b: a.path(b, steps).matrix, fullgraph=True, backend="aot_eager")
    assert_close(compiled(g, h), g.path(h, steps).matrix)


def test_it_is_an_affine_like_any_other():
    g, h = draw("affine")
    path = g.path(h, 3)
    assert isinstance(path, eq.Affine)
    assert pickle.loads(pickle.dumps(path)).matrix.equal(path.matrix)


@pytest.mark.parametrize(
    ("to", "steps", "error", "match"),
    [
        (torch.eye(3)[None], 3, TypeError, "to: expected an equicon.Affine, .* Wrap a pixel matrix"),
        (eq.Affine.identity(3), 3, ValueError, "to: expected a batch of 2, like the map, got a batch of 3"),
        (eq.Affine.identity(2), 0, ValueError, "steps: expected a whole number of at least 1, got int 0"),
        (eq.Affine.identity(2), 2.0, TypeError, "steps: expected a whole number, got float 2.0"),
        (eq.Affine.identity(2, device="meta"), 3, ValueError, r"to: expected a map on cpu, .* \.to\(device\)"),
    ],
)
def test_bad_input_is_refused(to, steps, error, match):
    with pytest.raises(error, match=match):
        eq.Affine.identity(2).path(to, steps)
