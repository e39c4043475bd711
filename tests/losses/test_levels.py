"""Chance and floor are the losses themselves, of embeddings that are all equal, and of such as are orthogonal."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spawn_ranks import on_ranks
from torch.testing import assert_close

import equicon as eq

pytestmark = pytest.mark.filterwarnings("ignore:z1. expected a batch of several images")  # one is tried on purpose


def embeddings(images: int, queue: int, width: int, *, first: int = 0, equal: bool):
    """Give the embeddings of images from ``first`` on and of a queue: all equal, or all orthogonal."""
    if equal:
        return torch.ones(images, width, dtype=torch.float64), torch.ones(queue, width, dtype=torch.float64)
    axes = 3 * torch.eye(width, dtype=torch.float64)
    return axes[first : first + images], axes[width - queue :]


@settings(max_examples=80)
@given(
    images=st.integers(1, 7),
    views=st.integers(2, 4),
    queue=st.integers(0, 5),
    temperature=st.sampled_from([1e-6, 0.05, 0.3, 1.0, 20.0]),
    learned=st.booleans(),
    labelled=st.booleans(),
    weighted=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_levels_are_the_loss_where_nothing_or_everything_is_told_apart(
    images, views, queue, temperature, learned, labelled, weighted, seed
):
    draw = torch.Generator().manual_seed(seed)
    tau = torch.tensor(temperature, dtype=torch.float64, requires_grad=True) if learned else temperature
    given = {
        "labels": torch.randint(3, (images,), generator=draw) if labelled else None,
        "weights": torch.rand(images, generator=draw, dtype=torch.float64) if weighted else None,
    }
    levels = eq.nt_xent_levels(images, tau, views=views, negatives=queue, **given)
    numbers = not (learned or labelled or weighted)
    assert all(isinstance(level, float if numbers else torch.Tensor) for level in levels)
    for equal, level in zip((True, False), levels, strict=True):
        z, negatives = embeddings(images, queue, images + queue, equal=equal)
        loss = eq.nt_xent(z, z, tau, more_views=[z] * (views - 2), negatives=negatives, **given)
        level = torch.as_tensor(level)
        assert not level.requires_grad
        assert level.shape == ()
        # Equal cosines are rounded by 1e-16, which a temperature of 1e-6 makes 1e-10.
        assert_close(level.double(), loss.detach(), rtol=1e-6, atol=1e-7)


def test_half_precision_and_64_bits_do_not_change_what_is_counted():
    labels = torch.tensor([0, 1, 1, 2], dtype=torch.uint8)
    found = [
        eq.nt_xent_levels(4, torch.tensor(0.5, dtype=dtype), labels=labels)
        for dtype in (torch.float16, torch.float32, torch.float64)
    ]
    assert [levels.chance.dtype for levels in found] == [torch.float32, torch.float32, torch.float64]
    for levels in found:
        assert_close(torch.stack(levels).double(), torch.stack(found[-1]), rtol=1e-3, atol=0)


def test_the_modules_levels_are_those_of_their_temperature():
    labels, more = torch.tensor([0, 0, 1]), {"views": 3, "negatives": 2}
    for tau in (0.2, torch.nn.Parameter(torch.tensor(0.2))):
        expected = eq.nt_xent_levels(3, tau, labels=labels, **more)
        for criterion in (eq.NTXentLoss(tau), eq.PeCLRLoss(tau)):
            assert_close(criterion.levels(3, labels=labels, **more), expected, rtol=0, atol=0)
    other = eq.PeCLRLoss(base_loss=lambda z1, z2: (z1 - z2).square().mean())
    with pytest.raises(TypeError, match=r"base_loss: expected an equicon.NTXentLoss, whose levels are known, got func"):
        other.levels(3)


def test_levels_are_compiled_whole():
    labels = torch.tensor([0, 0, 1, 2])

    def levels(labels, weights, temperature):
        return eq.nt_xent_levels(4, temperature, labels=labels, weights=weights)

    given = labels, torch.rand(4), torch.tensor(0.1)
    assert_close(torch.compile(levels, fullgraph=True, backend="eager")(*given), levels(*given))


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"images": 0}, ValueError, "images: expected a whole number of at least 1"),
        ({"images": 2.0}, TypeError, "images: expected a whole number"),
        ({"temperature": 0.0}, ValueError, "temperature: expected a number above 0"),
        ({"views": 1}, ValueError, "views: expected a whole number of at least 2"),
        ({"negatives": -1}, ValueError, "negatives: expected a whole number of at least 0"),
        ({"labels": torch.zeros(4)}, TypeError, "labels: expected whole numbers"),
        ({"labels": [0, 1, 2, 3]}, TypeError, "labels: expected a tensor"),
        ({"labels": torch.arange(3)}, ValueError, r"labels: expected one for each image, of shape \(4,\)"),
        ({"weights": torch.arange(4)}, TypeError, "weights: expected a floating type"),
    ],
)
def test_what_fits_no_batch_is_refused(change, error, match):
    with pytest.raises(error, match=match):
        eq.nt_xent_levels(**{"images": 4} | change)


LABELS = torch.tensor([0, 1, 2, 0, 3, 1, 6, 0, 7])
WEIGHTS = torch.linspace(0, 2, 9, dtype=torch.float64)
SPLITS = {2: [6, 3], 3: [4, 1, 4]}
CASES = [(labelled, weighted) for labelled in (False, True) for weighted in (False, True)]


def on_a_rank(rank: int, world: int) -> list[list[torch.Tensor]]:
    counts = SPLITS[world]
    start, stop = sum(counts[:rank]), sum(counts[: rank + 1])
    found = []
    for labelled, weighted in CASES:
        given = {
            "labels": LABELS[start:stop] if labelled else None,
            "weights": WEIGHTS[start:stop] if weighted else None,
        }
        criterion = eq.NTXentLoss(0.3, gather_distributed=True)
        levels = criterion.levels(stop - start, negatives=rank, **given)  # a queue of another length on each rank
        assert isinstance(levels.chance, float) == (not labelled and not weighted)
        found.append([torch.as_tensor(level, dtype=torch.float64) for level in levels])
        for equal in (True, False):
            z, negatives = embeddings(stop - start, rank, 9 + world, first=start, equal=equal)
            found[-1].append(criterion(z, z, negatives=negatives, **given))
    return found


@pytest.mark.slow  # test_ranks.py compares them with those of one process, beside its losses
@pytest.mark.parametrize("world", SPLITS)
def test_levels_of_many_ranks_are_those_of_their_loss(world):
    for found in on_ranks(world, on_a_rank):
        for chance, floor, equal, orthogonal in found:
            assert_close([chance, floor], [equal, orthogonal], rtol=1e-6, atol=1e-7)
    assert found[0][0] > eq.nt_xent_levels(9, 0.3).chance  # for the queues
