"""Blocks of scores against all of them at once."""

import pytest
import torch
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

import equicon as eq
from equicon._losses import negatives
from equicon._losses.negatives import block_size, blockwise_negatives, dense_negatives


def unit(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    z = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return z / z.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [0.001, 0.02, 0.03, 1.0])
@pytest.mark.parametrize("labels", [None, torch.arange(30) % 5])
@pytest.mark.parametrize("queue", [0, 5, 17])
def test_blocks_are_the_dense_path(dtype, temperature, labels, queue):
    keys = unit(30 + queue, 7, dtype=dtype)
    found = []
    for function, more in ((dense_negatives, ()), (blockwise_negatives, (8, ()))):
        z = keys.clone().requires_grad_()
        sums = function(z, 30, 2, labels, temperature, *more)
        sums.sin().sum().backward()
        found.append((sums.detach(), z.grad[:30]))
    assert_close(found[1], found[0], rtol=1e-5, atol=1e-6 / temperature**2 if dtype == torch.float32 else 1e-9)


@pytest.mark.parametrize("temperature", [0.001, 0.02, 0.03, 1.0])
@pytest.mark.parametrize("labels", [None, torch.arange(30) % 5])
@pytest.mark.parametrize("queue", [0, 5, 17])
def test_blocks_give_the_temperature_its_gradient(temperature, labels, queue):
    keys, found = unit(30 + queue, 7), []
    for function, more in ((dense_negatives, ()), (blockwise_negatives, (8, ()))):
        leaves = keys.clone().requires_grad_(), torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
        sums = function(leaves[0], 30, 2, labels, leaves[1], *more)
        grads = torch.autograd.grad(sums.sin().sum(), leaves)
        found.append((sums.detach(), grads[0][:30], grads[1]))
    assert_close(found[1], found[0], rtol=1e-9, atol=1e-9)
    assert_close(found[0][0], dense_negatives(keys, 30, 2, labels, temperature), rtol=0, atol=0)


def test_a_temperature_that_learns_makes_no_block_twice(monkeypatch):
    made, blocks = [], negatives._blocks
    monkeypatch.setattr(negatives, "_blocks", lambda *args: (made.append(b[:2]) or b for b in blocks(*args)))
    counts = []
    for temperature in (0.5, torch.tensor(0.5, requires_grad=True)):
        z = unit(40, 6).requires_grad_()
        blockwise_negatives(torch.cat([z, unit(9, 6, seed=1)]), 40, 2, None, temperature, 8, ()).sum().backward()
        counts.append(len(made))
        made.clear()
    assert counts[0] == counts[1] == 2 * (15 + 10)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_gradient_is_of_the_temperatures_own_type(dtype):
    for z in (unit(12, 6), unit(12, 6).float()):
        temperature = torch.tensor(0.25, dtype=dtype, requires_grad=True)
        sums = blockwise_negatives(z, 12, 2, None, temperature, 4, ())
        assert sums.dtype == z.dtype
        sums.sum().backward()
        expected = torch.tensor(0.25, dtype=torch.float64, requires_grad=True)
        dense_negatives(z.double(), 12, 2, None, expected).sum().backward()
        assert temperature.grad.dtype == dtype
        assert_close(temperature.grad, expected.grad.to(dtype))


def test_far_negatives_do_not_vanish_at_a_low_temperature():
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 1e-3], [-1.0, 1e-3]])
    z = z / z.norm(dim=1, keepdim=True)
    for temperature in (0.01, 0.019, 0.024, 0.026, 0.1):
        sums = blockwise_negatives(z, 4, 2, None, temperature, 2, ())
        assert_close(sums, (z[[0, 0, 2, 2]] * z[[2, 2, 0, 0]]).sum(1) / temperature + torch.tensor(2.0).log())


class Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation makes."""

    numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.numel = max(self.numel, tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


@pytest.mark.slow
@pytest.mark.parametrize("labelled", [False, True])
def test_memory_grows_with_the_batch_and_not_with_its_square(labelled):
    largest = {}
    for batch in (500, 1000, 2000):
        z1, z2 = (unit(batch, 16, seed=seed).requires_grad_() for seed in (0, 1))
        labels = torch.arange(batch) if labelled else None
        with Largest() as mode:
            eq.nt_xent(z1, z2, chunk_size=32, labels=labels, negatives=unit(3000, 16, seed=2)).backward()
        largest[batch] = mode.numel
    assert largest[2000] <= (2 * 2000 + 3000) * 16
    with Largest() as mode:
        eq.nt_xent(z1, z2, labels=labels, chunk_size=4000).backward()
    assert mode.numel >= 4000**2  # as it would be seen


def test_what_fits_in_a_block_is_dense():
    size = block_size(torch.device("cpu"))
    for batch, dense in ((size // 2, True), (size // 2 + 1, False)):
        z = unit(batch, 2).requires_grad_()
        (grad,) = torch.autograd.grad(eq.nt_xent(z, z.flip(1)), z, create_graph=True)
        if dense:
            grad.square().sum().backward()
        else:
            with pytest.raises(RuntimeError, match=r"differentiated once.*dense path: chunk_size=len\(z1\)"):
                grad.square().sum().backward()
            temperature = torch.tensor(0.5, requires_grad=True)
            loss = eq.nt_xent(z, z.flip(1), temperature)
            (grad,) = torch.autograd.grad(loss, temperature, create_graph=True)
            with pytest.raises(RuntimeError, match="differentiated once"):
                grad.backward()


def test_gradcheck():
    z = unit(6, 4).requires_grad_()
    for labels in (None, torch.tensor([0, 0, 1, 1, 0, 0])):
        for temperature in (0.5, 0.002):
            assert torch.autograd.gradcheck(
                lambda z, t=temperature, labels=labels: blockwise_negatives(z, 6, 2, labels, t, 2, ()), z, eps=1e-7
            )
            learned = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
            assert torch.autograd.gradcheck(
                lambda t, labels=labels: blockwise_negatives(z.detach(), 6, 2, labels, t, 2, ()), learned, eps=1e-9
            )


def test_nothing_is_kept_but_embeddings_and_a_number_for_each():
    z1, z2 = (unit(400, 16, seed=seed).requires_grad_() for seed in (0, 1))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        eq.nt_xent(z1, z2, chunk_size=64)
    assert max(kept) <= 800 * 16


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")  # jvp's own
def test_other_derivatives_take_the_dense_path():
    z1, z2, tangent = unit(20, 6), unit(20, 6, seed=1), unit(20, 6, seed=2)
    dense, blocks = (lambda z, size=size: eq.nt_xent(z, z2, chunk_size=size) for size in (100, 8))
    assert_close(torch.func.grad(blocks)(z1), torch.func.grad(dense)(z1))
    assert_close(torch.func.jvp(blocks, (z1,), (tangent,)), torch.func.jvp(dense, (z1,), (tangent,)))
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(z1, tangent)
        found = torch.autograd.forward_ad.unpack_dual(blocks(dual)).tangent
    assert_close(found, (torch.func.grad(dense)(z1) * tangent).sum())
    dense, blocks = (lambda t, size=size: eq.nt_xent(z1, z2, t, chunk_size=size) for size in (100, 8))
    half, one = torch.tensor(0.5, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
    assert_close(torch.func.jvp(blocks, (half,), (one,))[1], torch.func.grad(dense)(half))
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(half, one)
        assert_close(torch.autograd.forward_ad.unpack_dual(blocks(dual)).tangent, torch.func.grad(dense)(half))


def test_a_block_is_no_larger_than_the_batch():
    z, queue = unit(4, 8), unit(50, 8, seed=1)
    with Largest() as mode:
        eq.nt_xent(z, z.flip(1), chunk_size=40, negatives=queue)
    assert mode.numel == (4 + 4 + 50) * 8  # the keys


@pytest.mark.parametrize("temperature", [0.02, 0.0252, 0.03, 0.038, 0.05])
def test_a_large_loss_scale_stays_finite(temperature):
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]]).requires_grad_()  # far from all negatives
    (2.0**20 * eq.nt_xent(z[:2], z[2:], temperature, chunk_size=2)).backward()
    assert z.grad.isfinite().all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # of the check's own copies
def test_the_operators_are_well_formed():
    others, labels = unit(5, 4, seed=1), torch.arange(8) // 2
    learned = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    for given, temperature in ((None, None), (labels, None), (labels, learned)):
        args = (unit(8, 4).requires_grad_(), others, given, temperature, 2, 0.5, 4, [])
        torch.library.opcheck(torch.ops.equicon.blockwise_negatives.default, args)
