"""``PeCLRLoss`` around the losses of other packages, and NT-Xent against theirs."""

import copy
from collections.abc import Callable, Sequence
from types import ModuleType

import pytest
import torch
from torch.testing import assert_close

import equicon as eq


def lightly() -> ModuleType:
    return pytest.importorskip("lightly.loss", reason="compares with lightly")


def metric_learning() -> ModuleType:
    return pytest.importorskip("pytorch_metric_learning.losses", reason="compares with pytorch-metric-learning")


def self_supervised(name: str, temperature: float = 0.2, symmetric: bool = True) -> torch.nn.Module:
    losses = metric_learning()
    return losses.SelfSupervisedLoss(getattr(losses, name)(temperature), symmetric=symmetric)


def metric_learning_vicreg() -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    loss = metric_learning().VICRegLoss()
    return lambda z1, z2: loss(z1, ref_emb=z2)  # its second argument is the labels


peers = pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: lightly().VICRegLoss(), id="lightly-vicreg"),
        pytest.param(lambda: lightly().BarlowTwinsLoss(), id="lightly-barlow-twins"),
        pytest.param(lambda: lightly().DCLLoss(), id="lightly-dcl"),
        pytest.param(
            lambda: lightly().DCLWLoss(),
            id="lightly-dclw",
            marks=pytest.mark.filterwarnings("ignore:To copy construct from a tensor:UserWarning"),  # as it weighs
        ),
        pytest.param(lambda: lightly().NTXentLoss(), id="lightly-nt-xent"),
        pytest.param(lambda: lightly().NTXentLoss(memory_bank_size=(15, 8)), id="lightly-memory-bank"),
        pytest.param(lambda: self_supervised("NTXentLoss"), id="metric-learning-nt-xent"),
        pytest.param(lambda: self_supervised("NTXentLoss", symmetric=False), id="metric-learning-nt-xent-one-way"),
        pytest.param(lambda: self_supervised("SupConLoss"), id="metric-learning-supcon"),
        pytest.param(metric_learning_vicreg, id="metric-learning-vicreg"),
    ],
)


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_nt_xent_is_that_of_lightly_for_short_embeddings_too(scale):
    z1, z2 = (scale * z.detach() for z in embeddings(2, dtype=torch.float32))
    assert_close(eq.nt_xent(z1, z2, 0.5), lightly().NTXentLoss(temperature=0.5)(z1, z2))


representations = pytest.mark.parametrize("representation", [eq.Points(), eq.PeCLRPoints(), eq.Invariant()])


def embeddings(number: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(6, 8, generator=generator, dtype=dtype).requires_grad_() for _ in range(number)]


def views(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, eq.Affine, eq.Affine]:
    z1, z2 = embeddings(2, seed, torch.float32)
    generator = torch.Generator().manual_seed(seed)
    g1, g2 = (eq.RandomAffine(45, 0.1, (0.8, 1.2)).sample(6, generator=generator).affine for _ in range(2))
    return z1, z2, g1, g2


def assert_same(loss: torch.Tensor, expected: torch.Tensor, leaves: Sequence[torch.Tensor]) -> None:
    """Hold values and gradients against each other."""
    assert_close(loss, expected)
    grads = torch.autograd.grad(loss, leaves)
    assert_close(grads, torch.autograd.grad(expected, leaves))
    assert all(grad.isfinite().all() and grad.any() for grad in grads)


@peers
@representations
def test_compares_the_canonical_embeddings(make, representation):
    base_loss = make()
    criterion = eq.PeCLRLoss(representation=representation, base_loss=copy.deepcopy(base_loss))
    for seed in range(3):  # what a memory bank kept counts from the second on
        z1, z2, g1, g2 = views(seed)
        expected = base_loss(representation.canonicalize(g1, z1), representation.canonicalize(g2, z2))
        assert_same(criterion(z1, z2, g1, g2), expected, (z1, z2))


@representations
def test_a_memory_bank_is_a_queue_of_canonical_embeddings(representation):
    """With a bank, lightly's anchors are the first views alone, and its negatives the bank's alone."""
    base_loss = lightly().NTXentLoss(0.2, memory_bank_size=(6, 8))
    forth = eq.PeCLRLoss(representation=representation, base_loss=base_loss)
    z1, z2, g1, g2 = views(1)
    forth(z1, z2, g1, g2)
    queue = representation.canonicalize(g2, z2).detach()
    assert_close(base_loss.memory_bank.bank, torch.nn.functional.normalize(queue))
    back = copy.deepcopy(forth)
    z1, z2, g1, g2 = views()
    expected = (forth(z1, z2, g1, g2) + back(z2, z1, g2, g1)) / 2
    criterion = eq.PeCLRLoss(0.2, representation=representation)
    one_label = torch.zeros(6, dtype=torch.long)
    assert_same(criterion(z1, z2, g1, g2, labels=one_label, negatives=queue), expected, (z1, z2))
    without = eq.PeCLRLoss(representation=representation, base_loss=lightly().NTXentLoss(0.2))
    assert not torch.isclose(without(z1, z2, g1, g2), expected, rtol=0.01)


def test_a_memory_bank_moves_with_the_criterion():
    criterion = eq.PeCLRLoss(base_loss=lightly().NTXentLoss(memory_bank_size=(15, 8)))
    assert "base_loss.memory_bank.bank" in dict(criterion.named_buffers())
    assert criterion.to(torch.float64).base_loss.memory_bank.bank.dtype == torch.float64


@peers
def test_a_module_is_a_submodule(make):
    base_loss = make()
    assert (base_loss in eq.PeCLRLoss(base_loss=base_loss).children()) == isinstance(base_loss, torch.nn.Module)


@peers
def test_what_it_does_not_take_is_refused(make):
    z1, z2, g1, g2 = views()
    base_loss = make()
    criterion = eq.PeCLRLoss(base_loss=base_loss)
    for name, value in {
        "more_views": [(z1, g1)],
        "weights": torch.ones(6),
        "labels": torch.arange(6),
        "negatives": torch.ones(9, 8),
    }.items():
        with pytest.raises(TypeError, match=f"^{name}: expected a keyword of base_loss .*, got one that it does not"):
            criterion(z1, z2, g1, g2, **{name: value})


def test_labels_reach_a_supervised_loss():
    supervised, labels = metric_learning().SupConLoss(0.2), torch.tensor([0, 1, 2, 0, 1, 1])

    def supcon(z1, z2, labels, more_views=()):
        z = torch.cat([z1, z2, *more_views])
        return supervised(z, labels.repeat(2 + len(more_views)))

    z1, z2, g1, g2 = views()
    z3, _, g3, _ = views(1)
    criterion = eq.PeCLRLoss(representation=eq.Points(), base_loss=supcon)
    for more in ([], [(z3, g3)]):
        home = [eq.Points().canonicalize(g, z) for z, g in ((z1, g1), (z2, g2), *more)]
        loss = criterion(z1, z2, g1, g2, labels=labels, **({"more_views": more} if more else {}))
        assert_same(loss, supcon(*home[:2], labels, home[2:]), [z1, z2, z3][: len(home)])


@pytest.mark.parametrize("temperature", [0.05, 0.5])
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda temperature: lightly().NTXentLoss(temperature), id="lightly"),
        pytest.param(lambda temperature: self_supervised("NTXentLoss", temperature), id="metric-learning"),
        pytest.param(lambda temperature: self_supervised("SupConLoss", temperature), id="metric-learning-supcon"),
    ],
)
def test_nt_xent_is_theirs(make, temperature):
    z = embeddings(2)
    assert_same(eq.nt_xent(*z, temperature), make(temperature)(*z), z)


@pytest.mark.parametrize("number", [2, 3, 4])
def test_more_views_are_those_of_one_label(number):
    z = embeddings(number)
    expected = metric_learning().NTXentLoss(0.2)(torch.cat(z), torch.arange(6).repeat(number))
    assert_same(eq.nt_xent(z[0], z[1], 0.2, more_views=z[2:]), expected, z)


@pytest.mark.parametrize("number", [2, 3])
def test_labels_choose_the_negatives_only(number):
    z, labels = embeddings(number), torch.tensor([0, 1, 2, 0, 1, 1])
    images, classes = torch.arange(6).repeat(number), labels.repeat(number)
    positives = (images[:, None] == images).fill_diagonal_(False).nonzero(as_tuple=True)
    negatives = (classes[:, None] != classes).nonzero(as_tuple=True)
    expected = metric_learning().NTXentLoss(0.2)(torch.cat(z), indices_tuple=(*positives, *negatives))
    assert_same(eq.nt_xent(z[0], z[1], 0.2, more_views=z[2:], labels=labels), expected, z)
