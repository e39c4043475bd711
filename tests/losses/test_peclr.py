import copy
import pickle

import pytest
import torch
from torch.testing import assert_close

import equicon as eq

# The comparison with the official program's recorded loss and gradients is in tests/representations.


def views(batch: int = 6, width: int = 8) -> tuple[torch.Tensor, torch.Tensor, eq.Affine, eq.Affine]:
    generator = torch.Generator().manual_seed(0)
    z1, z2 = (torch.randn(batch, width, generator=generator) for _ in range(2))
    g1, g2 = (eq.RandomAffine(45, 0.1, (0.8, 1.2)).sample(batch, generator=generator).affine for _ in range(2))
    return z1, z2, g1, g2


@pytest.mark.parametrize("representation", [eq.Points(), eq.PeCLRPoints(), eq.Invariant()])
def test_is_nt_xent_of_the_canonical_embeddings(representation):
    z1, z2, g1, g2 = views()
    loss = eq.PeCLRLoss(0.2, representation=representation)(z1, z2, g1, g2)
    assert_close(loss, eq.nt_xent(representation.canonicalize(g1, z1), representation.canonicalize(g2, z2), 0.2))


def test_defaults_are_the_papers():
    z1, z2, g1, g2 = views()
    assert_close(eq.PeCLRLoss()(z1, z2, g1, g2), eq.PeCLRLoss(0.5, representation=eq.PeCLRPoints())(z1, z2, g1, g2))


def test_without_equivariance_it_is_simclr():
    z1, z2, g1, g2 = views()
    assert_close(eq.PeCLRLoss(0.5, representation=eq.Invariant())(z1, z2, g1, g2), eq.NTXentLoss(0.5)(z1, z2))
    e = eq.Affine.identity(6)
    assert_close(eq.PeCLRLoss(0.5)(z1, z2, e, e), eq.nt_xent(z1, z2, 0.5))


def test_any_base_loss_fits():
    z1, z2, g1, g2 = views()
    loss = eq.PeCLRLoss(representation=eq.Points(), base_loss=torch.nn.functional.mse_loss)(z1, z2, g1, g2)
    canonical = [eq.Points().canonicalize(g, z) for g, z in ((g1, z1), (g2, z2))]
    assert_close(loss, torch.nn.functional.mse_loss(*canonical))


def test_a_base_loss_with_parameters_is_a_submodule():
    class Head(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(8, 4)

        def forward(self, z1: torch.Tensor, z2: torch.Tensor) -> torch.Tensor:
            return (self.layer(z1) - self.layer(z2)).square().mean()

    assert len(list(eq.PeCLRLoss(base_loss=Head()).parameters())) == 2
    assert not list(eq.PeCLRLoss().parameters())


@pytest.mark.parametrize("representation", [eq.Points(), eq.PeCLRPoints(), eq.Invariant()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rows_of_zeros_stay_finite(representation, dtype):
    z1, z2, g1, g2 = views()
    leaves = [torch.cat([torch.zeros_like(z[:2]), z[2:]]).to(dtype).requires_grad_() for z in (z1, z2)]
    loss = eq.PeCLRLoss(0.01, representation=representation)(*leaves, g1, g2)
    loss.backward()
    assert loss.isfinite()
    assert all(z.grad.isfinite().all() and float(z.grad.abs().max()) < 1e4 for z in leaves)


@pytest.mark.parametrize("representation", [eq.Points(), eq.PeCLRPoints()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [1e4, 1.0, 0.0])
def test_stays_finite(representation, dtype, scale):
    z1, z2, g1, g2 = views()
    base = z1[:1].expand(6, -1) if scale == 0 else scale * z1.clamp(-1, 1)  # at 0: identical rows
    leaves = [z.to(dtype).clone().requires_grad_() for z in (base, base + scale * z2.clamp(-1, 1) / 10)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = eq.PeCLRLoss(0.01, representation=representation)(*leaves, g1, g2)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert all(z.grad.isfinite().all() for z in leaves)


def test_one_pair_costs_nothing():
    z1, z2, g1, g2 = views(1)
    assert float(eq.PeCLRLoss()(z1, z2, g1, g2)) == 0


def test_gradcheck_through_points():
    z1, z2, g1, g2 = views(3, 4)
    leaves = [z.double().requires_grad_() for z in (z1, z2)]
    criterion = eq.PeCLRLoss(0.5, representation=eq.Points())
    assert torch.autograd.gradcheck(lambda a, b: criterion(a, b, g1, g2), leaves, atol=1e-4)


def test_copies_pickles_and_prints():
    criterion = eq.PeCLRLoss(0.2, representation=eq.Points())
    z1, z2, g1, g2 = views()
    for other in (copy.deepcopy(criterion), pickle.loads(pickle.dumps(criterion))):
        assert_close(other(z1, z2, g1, g2), criterion(z1, z2, g1, g2))
    assert "representation=Points()" in repr(criterion)
    assert "temperature=0.2" in repr(criterion)


def test_bad_input_is_refused():
    z1, z2, g1, g2 = views()
    criterion = eq.PeCLRLoss()
    for call, error, match in [
        (
            lambda: criterion(z1, z2, g1.matrix, g2),
            TypeError,
            r"g1: expected an equicon.Affine.*Affine.from_pixels\(matrix",
        ),
        (lambda: criterion(z1, z2, g1, g2[:5]), ValueError, "g2: expected a batch of 6, that of z1, got a batch of 5"),
        (lambda: criterion(z1, z2[:5], g1, g2), ValueError, r"z2: expected the shape of z1, \(6, 8\)"),
        (lambda: criterion(z1[:, :7], z2[:, :7], g1, g2), ValueError, "even width"),
        (lambda: eq.PeCLRLoss(0.0), ValueError, "temperature: expected a number above 0"),
        (
            lambda: eq.PeCLRLoss(0.5, base_loss=eq.NTXentLoss()),
            ValueError,
            "temperature: expected None where another base_loss is given",
        ),
        (lambda: eq.PeCLRLoss(representation=eq.Points), TypeError, r"Call the class: Points\(\)"),
        (
            lambda: eq.PeCLRLoss(representation="points"),
            TypeError,
            "representation: expected an equicon.Representation",
        ),
        (lambda: eq.PeCLRLoss(base_loss=eq.NTXentLoss), TypeError, r"Make one: NTXentLoss\(\)"),
        (lambda: eq.PeCLRLoss(base_loss=3), TypeError, "base_loss: expected a function"),
    ]:
        with pytest.raises(error, match=match):
            call()
