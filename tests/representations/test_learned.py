"""Representations that learn: parameters are registered, moved, saved and optimised with the loss."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

import equicon as eq
from equicon.testing import assert_representation

WIDTH = 6


class Learned(eq.Representation, nn.Module):
    """A small network from the matrix to an orthogonal one, by the exponential of a skew one.

    The network is odd, so that the identity goes to the identity.
    """

    def __init__(self, width: int = WIDTH, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.network = nn.Sequential(nn.Linear(6, 16, bias=False), nn.Tanh(), nn.Linear(16, width**2, bias=False))
        self.width = width

    def _matrix(self, g: eq.Affine, z: Tensor) -> Tensor:
        away = g.matrix[:, :2] - torch.eye(3, device=z.device, dtype=z.dtype)[:2]
        square = self.network(away.to(z.dtype).flatten(1)).unflatten(1, (self.width, self.width))
        return torch.matrix_exp(square - square.mT)

    def _act(self, g: eq.Affine, z: Tensor) -> Tensor:
        return (self._matrix(g, z) @ z[..., None])[..., 0]

    def _canonicalize(self, g: eq.Affine, z: Tensor) -> Tensor:
        return (self._matrix(g, z).mT @ z[..., None])[..., 0]


def make(kind: str) -> tuple[eq.Representation, int]:
    """Make one, two in a sum, or two in a sum within a sum."""
    if kind == "one":
        return Learned(), WIDTH
    both = eq.DirectSum([(Learned(), WIDTH), (eq.Points(), 4), (Learned(3, seed=1), 3)])
    return (both, 13) if kind == "sum" else (eq.DirectSum([(both, 13), (eq.Invariant(), 2)]), 15)


kinds = pytest.mark.parametrize("kind", ["one", "sum", "nested"])
COUNT = {"one": 2, "sum": 4, "nested": 4}


def batch(width: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, eq.Affine, eq.Affine]:
    """Draw embeddings that turned with the views, in a way that the representation has to find."""
    generator = torch.Generator().manual_seed(7)
    z = torch.randn(32, width, generator=generator).to(dtype)
    augment = eq.RandomRotation(60)
    g1, g2 = (augment.sample(32, generator=generator).affine.to(dtype=dtype) for _ in "12")
    turned = [torch.cat([(g.linear @ z[:, :2, None])[..., 0], z[:, 2:]], 1) for g in (g1, g2)]
    return turned[0], turned[1], g1, g2


@kinds
def test_it_keeps_the_laws(kind):
    representation, width = make(kind)
    assert_representation(representation.double(), width, homomorphism=False)


@kinds
def test_the_loss_has_its_parameters(kind):
    representation, width = make(kind)
    criterion = eq.PeCLRLoss(representation=representation)
    assert criterion.representation is representation
    parameters = dict(criterion.named_parameters())
    assert len(parameters) == COUNT[kind]
    assert all(name.startswith("representation.") for name in parameters)
    criterion(*batch(width)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in parameters.values())


@kinds
def test_it_learns(kind):
    representation, width = make(kind)
    criterion = eq.PeCLRLoss(0.2, representation=representation)
    before = copy.deepcopy(criterion.state_dict())
    optimizer = torch.optim.Adam(criterion.parameters(), 0.01)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = criterion(*batch(width))
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    assert all(not torch.equal(value, before[name]) for name, value in criterion.state_dict().items())


@kinds
def test_it_is_saved_and_loaded(kind, tmp_path):
    trained, fresh = (eq.PeCLRLoss(representation=make(kind)[0]) for _ in "12")
    width = make(kind)[1]
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.mul_(3)
    assert not torch.isclose(trained(*batch(width)), fresh(*batch(width)), rtol=1e-3)
    torch.save(trained.state_dict(), tmp_path / "loss.pt")
    fresh.load_state_dict(torch.load(tmp_path / "loss.pt", weights_only=True))
    assert_close(fresh(*batch(width)), trained(*batch(width)), rtol=0, atol=0)


@kinds
def test_it_moves_with_the_loss(kind):
    representation, width = make(kind)
    criterion = eq.PeCLRLoss(representation=representation)
    expected = criterion(*batch(width)).detach()
    assert_close(criterion.double()(*batch(width, torch.float64)).float(), expected, rtol=1e-4, atol=1e-4)
    assert all(p.device.type == "meta" for p in criterion.to("meta").parameters())


@kinds
def test_a_copy_learns_by_itself(kind):
    criterion = eq.PeCLRLoss(representation=make(kind)[0])
    inputs = batch(make(kind)[1])
    other = copy.deepcopy(criterion)
    assert not {id(p) for p in criterion.parameters()} & {id(p) for p in other.parameters()}
    assert_close(other(*inputs), criterion(*inputs), rtol=0, atol=0)
    expected = criterion(*inputs)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(3)
    assert not torch.isclose(other(*inputs), expected, rtol=1e-3)
    assert_close(criterion(*inputs), expected, rtol=0, atol=0)


def test_one_part_in_two_places_is_one():
    part = Learned()
    both = eq.DirectSum([(part, WIDTH), (part, WIDTH)])
    assert len(list(both.parameters())) == 2
    z, g = torch.randn(4, WIDTH), eq.RandomRotation(45).sample(4).affine
    found = both.canonicalize(g, torch.cat([z, z], 1))
    assert_close(found[:, :WIDTH], found[:, WIDTH:])


@pytest.mark.slow
def test_it_compiles_whole():
    torch.compiler.reset()
    criterion = eq.PeCLRLoss(representation=make("sum")[0])
    inputs = batch(13)
    compiled = torch.compile(criterion, fullgraph=True, backend="aot_eager")
    grads = [torch.autograd.grad(loss(*inputs), list(criterion.parameters())) for loss in (criterion, compiled)]
    assert_close(grads[0], grads[1], rtol=1e-4, atol=1e-6)


def test_it_prints():
    assert repr(eq.PeCLRLoss(representation=eq.Points())) == (
        "PeCLRLoss(\n  representation=Points()\n  (base_loss): NTXentLoss(temperature=0.5)\n)"
    )
    text = repr(eq.PeCLRLoss(representation=Learned()))
    assert text.startswith("PeCLRLoss(\n  (representation): Learned(\n    (network): Sequential(\n")
    assert "representation=" not in text
    assert "(representation): DirectSum([(Learned(" in repr(eq.PeCLRLoss(representation=make("sum")[0]))


def test_it_is_no_equal_of_another():
    first, second = Learned(), Learned()
    assert first != second
    assert len({first, second}) == 2
