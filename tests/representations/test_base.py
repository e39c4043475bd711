import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from registry import REPRESENTATIONS, random_affine
from torch.testing import assert_close

import equicon as eq
import equicon.testing
from equicon._plane.matrix import rotation

GOLDEN = np.load(Path(__file__).parents[1] / "data" / "peclr_official_loss.npz")
undone = pytest.mark.parametrize("undone", ["both", "rotate", "translate", "none"])


def golden(name: str) -> torch.Tensor:
    return torch.from_numpy(GOLDEN[name])


def golden_affine(view: int, undone: str) -> eq.Affine:
    """The official program's angle and shift as our matrix: translation = 2 · jitter / size."""
    radians = torch.deg2rad(golden(f"angle{view}_deg"))
    jitter = torch.stack([golden(f"jitter_{axis}{view}_px") for axis in "xy"], -1)
    turn = rotation(radians if undone in ("both", "rotate") else torch.zeros_like(radians))
    shift = 2 * jitter / golden("image_size") if undone in ("both", "translate") else torch.zeros_like(jitter)
    return eq.Affine.from_linear(turn, shift)


@undone
def test_peclr_points_agree_with_the_official_program(undone):
    for view in (1, 2):
        canonical = eq.PeCLRPoints().canonicalize(golden_affine(view, undone), golden(f"projection{view}"))
        assert_close(canonical, golden(f"{undone}_canonical{view}"), atol=1e-6, rtol=0)


@undone
def test_the_loss_and_its_gradients_agree_with_the_official_program(undone):
    z = [golden(f"projection{view}").requires_grad_() for view in (1, 2)]
    loss = eq.PeCLRLoss(temperature=0.5)(*z, *(golden_affine(view, undone) for view in (1, 2)))
    assert_close(loss.detach().double(), golden(f"{undone}_loss"), atol=1e-6, rtol=0)
    loss.backward()
    for view in (1, 2):
        expected = golden(f"{undone}_grad{view}")
        assert_close(z[view - 1].grad, expected, atol=1e-5 * float(expected.abs().max()), rtol=0)


def test_peclr_points_are_what_a_loop_over_points_gives():
    g, z = random_affine(3, 5), torch.randn(5, 12, dtype=torch.float64)
    expected = []
    for b in range(5):
        points = (z[b] / z[b].norm()).view(-1, 2)
        extent = points.max(0).values - points.min(0).values
        points = points - g.translation[b] / 2 * extent
        u, _, vh = torch.linalg.svd(g.linear[b])
        center = points.mean(0)
        points = torch.stack([(u @ vh).T @ (p - center) + center for p in points])
        expected.append(points.flatten() / points.norm())
    assert_close(eq.PeCLRPoints().canonicalize(g, z), torch.stack(expected))


def test_points_are_what_a_loop_over_points_gives():
    g, z = random_affine(4, 5), torch.randn(5, 12, dtype=torch.float64)
    expected = torch.stack(
        [torch.cat([torch.linalg.solve(g.linear[b], p - g.translation[b]) for p in z[b].view(-1, 2)]) for b in range(5)]
    )
    assert_close(eq.Points().canonicalize(g, z), expected)


@pytest.mark.parametrize("name", [n for n in REPRESENTATIONS if n != "peclr points"])  # whose detached parts forbid it
def test_gradients_of_exact_representations(name):
    entry, g = REPRESENTATIONS[name], random_affine(5, 3)
    z = torch.randn(3, entry.width, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: entry.representation.act(g, z), z)
    assert torch.autograd.gradcheck(lambda z: entry.representation.canonicalize(g, z), z)


def test_gradients_reach_the_matrix_through_points():
    matrix = random_affine(6, 3).matrix.requires_grad_()
    z = torch.randn(3, 8, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda m: eq.Points().canonicalize(eq.Affine._of(m), z), matrix)


@pytest.mark.parametrize("entry", REPRESENTATIONS.values(), ids=REPRESENTATIONS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_types(entry, dtype):
    g = eq.RandomRotation(45).sample(4).affine
    z = torch.randn(4, entry.width).to(dtype)
    home = entry.representation.canonicalize(g, z)
    assert home.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert entry.representation.canonicalize(g, z).equal(home)


class Own(eq.Representation):
    """A user's own, which multiplies as users do."""

    def _act(self, g: eq.Affine, z: torch.Tensor) -> torch.Tensor:
        return (z.unflatten(1, (-1, 2)) @ g.linear.mT).flatten(1)

    def _canonicalize(self, g: eq.Affine, z: torch.Tensor) -> torch.Tensor:
        return self._act(g.inverse(), z)


@pytest.mark.parametrize("representation", [Own(), eq.DirectSum([(Own(), 20)])], ids=["alone", "in a sum"])
def test_autocast_does_not_reach_what_a_user_writes(representation):
    g, z = random_affine(8).to(dtype=torch.float32), torch.randn(4, 20)
    for act in (representation.act, representation.canonicalize):
        expected, of_half = act(g, z), act(g, z.bfloat16())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            for found, before in ((act(g, z), expected), (act(g, z.bfloat16()), of_half)):
                assert found.dtype == torch.float32
                assert found.equal(before)


@pytest.mark.parametrize("entry", REPRESENTATIONS.values(), ids=REPRESENTATIONS)
def test_copies_pickles_and_prints(entry):
    r = entry.representation
    g, z = random_affine(8), torch.randn(4, entry.width, dtype=torch.float64)
    for again in (pickle.loads(pickle.dumps(r)), copy.deepcopy(r), eval(repr(r), vars(eq))):
        assert repr(again) == repr(r)
        assert again.canonicalize(g, z).equal(r.canonicalize(g, z))


@pytest.mark.parametrize("make", [eq.Points, eq.PeCLRPoints, eq.Invariant])
def test_those_without_parts_are_values(make):
    assert make() == make()
    assert len({make(), make()}) == 1
    with pytest.raises(AttributeError, match="cannot assign"):
        make().width = 3


def test_a_direct_sum_is_its_parts():
    g, z = random_affine(7, 4), torch.randn(4, 11, dtype=torch.float64)
    both = eq.DirectSum([(eq.Points(), 6), (eq.Invariant(), 5)])
    for name in ("act", "canonicalize"):
        parts = [getattr(eq.Points(), name)(g, z[:, :6]), z[:, 6:]]
        assert_close(getattr(both, name)(g, z), torch.cat(parts, 1))


def test_bad_input_is_refused():
    g, z = eq.Affine.identity(4), torch.rand(4, 8)
    for call, error, match in [
        (lambda: eq.Points().act(g, z[:, :7]), ValueError, "z: expected an even width, .* Make it 8"),
        (lambda: eq.PeCLRPoints().canonicalize(g, z[:, :7]), ValueError, "z: expected an even width"),
        (lambda: eq.Points().act(g, z[:3]), ValueError, "g: expected a batch of 3, like z"),
        (lambda: eq.Points().act(g.matrix, z), TypeError, "g: expected a group element.*Affine.from_pixels"),
        (lambda: eq.Points().act(g, z[:, :, None]), ValueError, r"z: expected embeddings of shape \(B, 2m\)"),
        (lambda: eq.Points().act(g, z.sum()), ValueError, r"z: expected embeddings of shape \(B, ...\)"),
        (lambda: eq.Points().act(g, z.long()), TypeError, "z: expected embeddings of a floating type"),
        (lambda: eq.Points().act(g, None), TypeError, "z: expected embeddings"),
        (lambda: eq.DirectSum([]), ValueError, "parts: expected at least one pair"),
        (lambda: eq.DirectSum(eq.Points()), TypeError, "parts: expected a list of pairs"),
        *(
            (lambda part=part: eq.DirectSum([part]), TypeError, r"parts\[0\]: expected a pair")
            for part in (eq.Points(), (eq.Points(), 4, 4), (eq.Points,), ("points", 4), {eq.Points(): 4, 0: 1})
        ),
        (lambda: eq.DirectSum([(eq.Points(), 3)]), ValueError, "even width"),
        (lambda: eq.DirectSum([(eq.Points(), 0)]), ValueError, r"parts\[0\]: expected a whole number of at least 1"),
        (
            lambda: eq.DirectSum([(eq.Points(), 4), (eq.Invariant(), 3)]).act(g, z),
            ValueError,
            r"4 \+ 3 = 7, got a width of 8",
        ),
        (lambda: eq.DirectSum([(eq.Invariant(), 8)]).act(g, z[:, :, None]), ValueError, r"got \(8, 1\) for each image"),
    ]:
        with pytest.raises(error, match=match):
            call()


class Fixed(eq.Representation):
    """Takes embeddings of width 6, which it does not check."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error

    def _act(self, g, z):
        if self.error is not None:
            raise self.error
        return z.view(len(z), 3, 2).flatten(1) + torch.ones(6)

    def _canonicalize(self, g, z):
        return self._act(g, z) @ torch.ones(6, 6)


def test_a_width_that_does_not_fit_is_a_clear_error():
    g, z = eq.Affine.identity(4), torch.rand(4, 8)
    assert Fixed().canonicalize(g, z[:, :6]).shape == (4, 6)
    match = r"z: Fixed._{} failed on embeddings of shape \(4, 8\) .*invalid for input.*_check_shape"
    with pytest.raises(ValueError, match=match.format("act")) as caught:
        Fixed().act(g, z)
    assert type(caught.value.__cause__) is RuntimeError
    with pytest.raises(ValueError, match=match.format("canonicalize")):
        Fixed().canonicalize(g, z)
    with pytest.raises(ValueError, match=r"^z1: Fixed\._canonicalize failed on embeddings"):
        eq.PeCLRLoss(representation=Fixed())(z, z, g, g)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        torch.AcceleratorError("CUDA error: device-side assert triggered"),
        torch.linalg.LinAlgError("singular"),
        NotImplementedError("act"),
        RecursionError("deep"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        IndexError("index"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_matter_of_shape_is_passed_on(error):
    with pytest.raises(type(error)) as caught:
        Fixed(error).act(eq.Affine.identity(4), torch.rand(4, 6))
    assert caught.value is error


class Returns(eq.Representation):
    """Gives what it is told to, whatever it gets."""

    def __init__(self, found):
        self.found = found

    def _act(self, g, z):
        return self.found

    _canonicalize = _act


@pytest.mark.parametrize("found", [None, torch.rand(3, 6), torch.tensor(1.0)], ids=["none", "rows", "scalar"])
def test_what_a_hook_returns_is_checked(found):
    with pytest.raises(TypeError, match=r"Returns._act: expected a tensor of 4 embeddings in return"):
        Returns(found).act(eq.Affine.identity(4), torch.rand(4, 6))


@pytest.mark.parametrize("found", [None, torch.rand(4, 5), torch.rand(6)], ids=["none", "wider", "row"])
def test_what_a_part_of_a_sum_returns_is_checked(found):
    both = eq.DirectSum([(eq.Points(), 2), (Returns(found), 6)])
    with pytest.raises(TypeError, match=r"parts\[1\], Returns: expected embeddings of shape \(4, 6\) in return"):
        both.act(eq.Affine.identity(4), torch.rand(4, 8))


@pytest.mark.parametrize("hook", ["_act", "_canonicalize"])
def test_both_hooks_have_to_be_written(hook):
    other = {"_act": "_canonicalize", "_canonicalize": "_act"}[hook]
    with pytest.raises(TypeError, match=f"abstract method.*{hook}"):
        type("Half", (eq.Representation,), {other: lambda self, g, z: z})()


def test_embeddings_may_be_maps():
    """Channels that turn with the picture, at each place of a map."""

    class Fields(eq.Representation):
        def _check_shape(self, shape):
            if len(shape) != 3 or shape[0] % 2:
                raise ValueError(f"z: expected maps of an even number of channels, got {shape} for each image.")

        def _act(self, g, z):
            turned = torch.einsum("bij,bmjhw->bmihw", g.linear.to(z.dtype), z.unflatten(1, (-1, 2)))
            return turned.flatten(1, 2)

        def _canonicalize(self, g, z):
            return self._act(g.inverse(), z)

    eq.testing.assert_representation(Fields(), (4, 3, 5))
    with pytest.raises(ValueError, match="an even number of channels"):
        Fields().act(eq.Affine.identity(2), torch.rand(2, 4))
    z1, z2 = torch.rand(2, 3, 4, 2, 2)
    g1, g2 = (eq.RandomRotation(45).sample(3).affine for _ in range(2))
    distance = eq.PeCLRLoss(representation=Fields(), base_loss=torch.nn.functional.mse_loss)(z1, z2, g1, g2)
    assert_close(distance, (Fields().canonicalize(g1, z1) - Fields().canonicalize(g2, z2)).square().mean())
