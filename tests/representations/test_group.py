"""A group of the user's own, rotations of space, through everything that takes group elements."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

import equicon as eq
from equicon.testing import assert_representation


class Rotations:
    """A batch of rotations of space, as matrices (B, 3, 3)."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix

    @classmethod
    def random(cls, batch_size: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> "Rotations":
        square = torch.randn(batch_size, 3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        return cls(torch.matrix_exp(square - square.mT).to(dtype))

    @classmethod
    def identity(cls, batch_size: int) -> "Rotations":
        return cls(torch.eye(3).repeat(batch_size, 1, 1))

    @classmethod
    def cat(cls, elements: list["Rotations"]) -> "Rotations":
        return cls(torch.cat([element.matrix for element in elements]))

    @property
    def device(self) -> torch.device:
        return self.matrix.device

    def __len__(self) -> int:
        return len(self.matrix)

    def __getitem__(self, index) -> "Rotations":
        return Rotations(self.matrix[index])

    def __matmul__(self, other: "Rotations") -> "Rotations":
        return Rotations(self.matrix @ other.matrix)

    def inverse(self) -> "Rotations":
        return Rotations(self.matrix.mT)

    def to(self, device) -> "Rotations":
        return Rotations(self.matrix.to(device))


@dataclass(frozen=True)
class Space(eq.Representation[Rotations]):
    """The embedding is m points (x, y, z), flat."""

    def _act(self, g: Rotations, z: Tensor) -> Tensor:
        return (z.view(len(z), -1, 3) @ g.matrix.mT).flatten(1)

    def _canonicalize(self, g: Rotations, z: Tensor) -> Tensor:
        return self._act(g.inverse(), z)


@dataclass(frozen=True)
class Cloud(eq.Representation[Rotations]):
    """The embedding is m points (x, y, z), not flat."""

    def _act(self, g: Rotations, z: Tensor) -> Tensor:
        return z @ g.matrix.mT

    def _canonicalize(self, g: Rotations, z: Tensor) -> Tensor:
        return self._act(g.inverse(), z)


def embeddings(batch: int = 6, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(batch, 12, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_it_is_a_group_element():
    assert isinstance(Rotations.identity(2), eq.GroupElement)


def test_it_keeps_the_laws():
    both = eq.DirectSum([(Space(), 9), (eq.Invariant(), 2)])
    for representation, width in ((Space(), 12), (both, 11), (eq.Invariant(), 5)):
        assert_representation(representation, width, elements=(Rotations.random(8), Rotations.random(8, 1)))


def test_the_asserter_fails_what_is_broken():
    class Wrong(eq.Representation[Rotations]):
        def _act(self, g, z):
            return Space()._act(g.inverse(), z)  # from the wrong side: act(g, act(h, z)) is that of h @ g

        def _canonicalize(self, g, z):
            return Space()._act(g, z)

    elements = (Rotations.random(8), Rotations.random(8, 1))
    with pytest.raises(AssertionError, match=r"act\(g @ h, z\) is not act\(g, act\(h, z\)\)"):
        assert_representation(Wrong(), 12, elements=elements)
    assert_representation(Wrong(), 12, elements=elements, homomorphism=False)
    with pytest.raises(ValueError, match="transform: expected None where elements are given"):
        assert_representation(Space(), 12, elements=elements, transform=eq.RandomRotation(3))
    with pytest.raises(TypeError, match=r"elements\[1\]: expected a group element"):
        assert_representation(Space(), 12, elements=(elements[0], elements[1].matrix))


@pytest.mark.parametrize("chunk_size", [None, 4], ids=["dense", "blocks"])
def test_the_loss_does_not_see_it(chunk_size):
    z1, z2, z3 = (embeddings(seed=seed).requires_grad_() for seed in (0, 1, 2))
    g1, g2, g3 = (Rotations.random(6, seed) for seed in (3, 4, 5))
    criterion = eq.PeCLRLoss(0.2, representation=Space(), chunk_size=chunk_size)
    loss = criterion(
        Space().act(g1, z1), Space().act(g2, z2), g1, g2, more_views=[(Space().act(g3, z3), g3)], labels=torch.arange(6)
    )
    expected = eq.nt_xent(z1, z2, 0.2, more_views=[z3])
    assert_close(loss, expected)
    leaves = (z1, z2, z3)
    assert_close(torch.autograd.grad(loss, leaves), torch.autograd.grad(expected, leaves))
    moved = criterion(z1, z2, g1, g2)
    assert abs(float((moved - eq.nt_xent(z1, z2, 0.2)).detach())) > 1e-3  # as it would be seen


def test_embeddings_need_not_be_flat():
    z1, z2 = (embeddings(seed=seed).view(6, 4, 3) for seed in (0, 1))
    g1, g2 = Rotations.random(6, 2), Rotations.random(6, 3)
    flat = eq.PeCLRLoss(representation=Space())(z1.flatten(1), z2.flatten(1), g1, g2)
    criterion = eq.PeCLRLoss(representation=Cloud(), base_loss=lambda a, b: eq.nt_xent(a.flatten(1), b.flatten(1)))
    assert_close(criterion(z1, z2, g1, g2), flat)
    with pytest.raises(ValueError, match=r"z1: expected embeddings of shape \(B, D\).*flatten\(1\)"):
        eq.PeCLRLoss(representation=Cloud())(z1, z2, g1, g2)


def test_the_loss_compiles_whole():
    torch.compiler.reset()
    criterion = eq.PeCLRLoss(0.2, representation=Space())
    compiled = torch.compile(
        lambda z1, z2, a, b: criterion(z1, z2, Rotations(a), Rotations(b)), fullgraph=True, backend="aot_eager"
    )
    z1, z2, g1, g2 = embeddings(), embeddings(seed=1), Rotations.random(6, 2), Rotations.random(6, 3)
    assert_close(compiled(z1, z2, g1.matrix, g2.matrix), criterion(z1, z2, g1, g2))


class TurnsClouds(nn.Module):
    """Draws its own views of clouds of points."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Linear(15, 12).double()

    def forward(self, cloud: Tensor, h: Rotations) -> tuple[Tensor, Rotations]:
        drawn = torch.randn(len(cloud), 3, 3, dtype=torch.float64)
        g = Rotations(torch.matrix_exp(drawn - drawn.mT)) @ h
        return self.network((cloud @ g.matrix.mT).flatten(1)), g


def test_grad_cache_takes_it_and_gives_it_back():
    clouds = torch.randn(7, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model, h, grads = TurnsClouds(), Rotations.random(7), []
    sizes = [2, 2, 3]
    for cached in (True, False):
        torch.manual_seed(1)
        run = eq.GradCache(model, 3)
        if cached:
            (z1, g1), (z2, g2) = run(clouds, h), run(clouds, h)
        else:  # by hand, with all activations
            parts = [list(zip(clouds.split(sizes), map(Rotations, h.matrix.split(sizes)), strict=True)) for _ in "12"]
            views = [[model(*part) for part in view] for view in parts]
            (z1, g1), (z2, g2) = ((torch.cat([z for z, _ in v]), Rotations.cat([g for _, g in v])) for v in views)
        assert type(g1) is Rotations
        loss = eq.PeCLRLoss(0.2, representation=Space())(z1, z2, g1, g2)
        grads.append((loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))))
    assert_close(grads[0], grads[1])


def test_an_element_of_another_group_is_refused():
    z = embeddings()
    with pytest.raises(TypeError, match=r"g1: expected an equicon\.Affine, got Rotations"):
        eq.PeCLRLoss(representation=eq.Points())(z, z, Rotations.random(6), Rotations.random(6))
