"""Nothing that is not a number is made on the way to a gradient, as anomaly detection would find."""

import pytest
import torch
from registry import REPRESENTATIONS, random_affine
from torch import Tensor
from torch.testing import assert_close

import equicon as eq
from equicon._plane.matrix import normalize

pytestmark = pytest.mark.filterwarnings("ignore:z1. expected a batch of several images")  # one is tried on purpose

ODD = {
    "one image": (1, {}, True),
    "one image, an empty queue": (1, {"negatives": torch.zeros(0, 20)}, True),
    "one image, a queue of zeros": (1, {"negatives": torch.zeros(2, 20)}, False),
    "one label": (4, {"labels": torch.zeros(4).long()}, True),
    "one label, a queue": (4, {"labels": torch.zeros(4).long(), "negatives": torch.ones(3, 20)}, False),
    "no weight": (4, {"weights": torch.zeros(4)}, True),
    "two images": (2, {}, False),
}
odd = pytest.mark.parametrize(("count", "given", "empty"), ODD.values(), ids=ODD)
chunks = pytest.mark.parametrize("chunk_size", [None, 2], ids=["dense", "blocks"])


def embeddings(count: int, zeros: str) -> Tensor:
    z = torch.randn(2, count, 20, generator=torch.Generator().manual_seed(0))
    if zeros == "one":
        z[0, 0] = 0
    return (z * (zeros != "all")).requires_grad_()


@odd
@chunks
@pytest.mark.parametrize("zeros", ["no", "one", "all"])
@pytest.mark.parametrize("learned", [False, True], ids=["number", "learned"])
def test_no_batch_makes_what_is_not_a_number(count, given, empty, chunk_size, zeros, learned):
    temperature = torch.nn.Parameter(torch.tensor(0.2)) if learned else 0.2
    criterion = eq.NTXentLoss(temperature, chunk_size=chunk_size)
    found = []
    for check in (True, False):
        z = embeddings(count, zeros)
        with torch.autograd.set_detect_anomaly(check):
            loss = criterion(*z, **given)
            grads = torch.autograd.grad(loss, [z, *criterion.parameters()])
        found.append((loss.detach(), *grads))
        assert all(x.isfinite().all() for x in found[-1])
        if empty:
            assert all(not x.any() for x in found[-1])
    assert_close(found[0], found[1], rtol=0, atol=0)


@odd
def test_nor_do_second_derivatives(count, given, empty):
    z = embeddings(count, "no")
    with torch.autograd.set_detect_anomaly(True):
        (grad,) = torch.autograd.grad(eq.nt_xent(*z, 0.2, **given), z, create_graph=True)
        (second,) = torch.autograd.grad(grad.square().sum(), z)
    assert second.isfinite().all()
    assert empty == (not second.any())


@odd
@chunks
@pytest.mark.parametrize("entry", REPRESENTATIONS.values(), ids=REPRESENTATIONS)
@pytest.mark.parametrize("zeros", ["no", "all"])
def test_nor_does_any_representation(count, given, empty, chunk_size, entry, zeros):
    g1, g2 = (random_affine(seed, count).to(dtype=torch.float32) for seed in (0, 1))
    z = embeddings(count, zeros)
    given = given | {name: given[name][:, : entry.width] for name in ("negatives",) if name in given}
    criterion = eq.PeCLRLoss(0.2, representation=entry.representation, chunk_size=chunk_size)
    with torch.autograd.set_detect_anomaly(True):
        loss = criterion(*z[..., : entry.width], g1, g2, **given)
        loss.backward()
    assert loss.isfinite()
    assert z.grad.isfinite().all()
    assert not empty or not z.grad.any()


def test_a_cache_of_gradients_passes_under_anomaly_detection():
    model = eq.GradCache(torch.nn.Linear(20, 8), 3)
    with torch.autograd.set_detect_anomaly(True):
        eq.nt_xent(model(torch.randn(7, 20)), model(torch.randn(7, 20))).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_are_divided_by_their_norm_whatever_it_is(dtype):
    row = torch.tensor([3.0, -4.0], dtype=dtype)
    lengths = torch.tensor([1e-41, 1e-30, 1e-9, 1.0, 1e30, 6e37, 0.0], dtype=dtype)
    z = (lengths[:, None] * row).requires_grad_()
    found = normalize(z)
    expected = torch.cat([(row / 5).expand(6, 2), torch.zeros(1, 2, dtype=dtype)])
    assert_close(found, expected, rtol=1e-3, atol=0)  # a number of 1e-41 has four digits in float32
    assert_close(found[1:], expected[1:])
    with torch.autograd.set_detect_anomaly(True):
        (grad,) = torch.autograd.grad(found[1:].sum(), z)
    assert_close(grad[1:6] * lengths[1:6, None], torch.tensor([[0.224, 0.168]], dtype=dtype).expand(5, 2))
    assert_close(grad[6], torch.ones(2, dtype=dtype))
