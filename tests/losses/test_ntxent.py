import warnings
from contextlib import nullcontext
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

import equicon as eq
from equicon._losses import ntxent

pytestmark = pytest.mark.filterwarnings("ignore:z1. expected a batch of several images")  # one is tried on purpose


def loop_nt_xent(*views, temperature, weights=None, labels=None, negatives=()) -> torch.Tensor:
    """Equation 1 of SimCLR, a loop over pairs of views and a loop over the negatives."""
    count, number, losses = len(views[0]), len(views), []
    labels = range(count) if labels is None else labels.tolist()

    def score(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a @ b / (a.norm() * b.norm()) / temperature

    for i in range(count):
        others = [z[k] for z in views for k in range(count) if labels[k] != labels[i]] + list(negatives)
        for u in range(number):
            for v in set(range(number)) - {u}:
                partner = score(views[u][i], views[v][i])
                scores = [partner, *(score(views[u][i], other) for other in others)]
                loss = torch.logsumexp(torch.stack(scores), 0) - partner
                losses.append(loss if weights is None else loss * weights[i])
    return torch.stack(losses).mean()


def pair(
    batch: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    z1, z2 = (torch.randn(batch, width, generator=generator, dtype=dtype) for _ in range(2))
    return z1, z2


def draw(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.slow
@settings(max_examples=60)
@given(
    batch=st.integers(1, 7),
    number=st.integers(2, 4),
    temperature=st.sampled_from([0.001, 0.02, 0.2, 5.0]),  # with blocks, float64 changes its way at 0.0031
    chunk_size=st.one_of(st.none(), st.integers(1, 12)),
    weighted=st.booleans(),
    labelled=st.booleans(),
    queue=st.one_of(st.none(), st.integers(0, 9)),
    learned=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_equals_the_loop_in_value_and_gradient(
    batch, number, temperature, chunk_size, weighted, labelled, queue, learned, seed
):
    temperature = torch.tensor(temperature, dtype=torch.float64, requires_grad=True) if learned else temperature
    views = [draw(batch, 5, seed=seed + i).requires_grad_() for i in range(number)]
    given = {
        "weights": draw(batch, seed=seed + 7).exp().requires_grad_() if weighted else None,
        "labels": draw(batch, seed=seed + 8).round().long() if labelled else None,
        "negatives": None if queue is None else draw(queue, 5, seed=seed + 9),
    }
    loss = eq.nt_xent(*views[:2], temperature, more_views=views[2:], chunk_size=chunk_size, **given)
    given["negatives"] = () if queue is None else given["negatives"]
    expected = loop_nt_xent(*views, temperature=temperature, **given)
    assert_close(loss, expected)
    leaves = views + ([given["weights"]] if weighted else []) + ([temperature] if learned else [])
    if not expected.requires_grad:
        return
    expected_grads = torch.autograd.grad(expected, leaves, allow_unused=True, materialize_grads=True)
    scale = float(temperature.detach()) ** 2 if learned else temperature
    assert_close(torch.autograd.grad(loss, leaves), expected_grads, rtol=1e-6, atol=1e-9 / scale)


@pytest.mark.parametrize("temperature", [0.01, 0.1, 0.5])  # float32 changes its way at 0.025
@pytest.mark.parametrize("chunk_size", [8, 64])
def test_float32_gradients_are_within_1e_6_of_the_loop(temperature, chunk_size):
    views = [draw(24, 16, seed=i).float().requires_grad_() for i in range(2)]
    exact = [view.detach().double().requires_grad_() for view in views]
    grads = torch.autograd.grad(eq.nt_xent(*views, temperature, chunk_size=chunk_size), views)
    expected = torch.autograd.grad(loop_nt_xent(*exact, temperature=temperature), exact)
    assert_close([grad.double() for grad in grads], list(expected), rtol=0, atol=max(1e-6, 1e-7 / temperature))


def test_weights_of_one_change_nothing_and_those_of_zero_leave_negatives():
    z1, z2 = pair(5, 8)
    assert_close(eq.nt_xent(z1, z2, weights=torch.ones(5)), eq.nt_xent(z1, z2))
    only = torch.tensor([1.0, 0, 0, 0, 0])
    assert_close(eq.nt_xent(z1, z2, weights=only), loop_nt_xent(z1, z2, temperature=0.5, weights=only))
    assert float(eq.nt_xent(z1[:1], z2[:1])) == 0 != float(eq.nt_xent(z1, z2, weights=only))


def test_labels_that_differ_change_nothing_and_one_label_leaves_no_negatives():
    z1, z2 = pair(5, 8)
    for chunk_size in (2, 100):
        assert_close(
            eq.nt_xent(z1, z2, labels=torch.tensor([4, 7, -1, 0, 2]), chunk_size=chunk_size), eq.nt_xent(z1, z2)
        )
        assert float(eq.nt_xent(z1, z2, labels=torch.zeros(5, dtype=torch.int32), chunk_size=chunk_size)) == 0


def test_a_batch_and_a_queue_are_a_larger_batch_for_the_rows():
    z1, z2 = pair(3, 8)
    queue = draw(4, 8, seed=5)
    whole = eq.nt_xent(torch.cat([z1, queue[:2]]), torch.cat([z2, queue[2:]]), weights=torch.tensor([1.0, 1, 1, 0, 0]))
    assert_close(eq.nt_xent(z1, z2, negatives=7 * queue) * 3 / 5, whole)


def test_the_order_of_views_does_not_matter():
    views = [draw(4, 6, seed=i) for i in range(3)]
    loss = eq.nt_xent(*views[:2], more_views=views[2:])
    assert_close(eq.nt_xent(views[2], views[0], more_views=[views[1]]), loss)


def test_other_ranks_are_asked_only_where_it_is_said(monkeypatch):
    z1, z2 = pair(5, 8)
    monkeypatch.setattr(ntxent, "many_ranks", lambda: True)
    monkeypatch.setattr(ntxent, "exchange", lambda batch: pytest.fail("asked"))
    for loss in (eq.nt_xent, eq.NTXentLoss(), eq.PeCLRLoss(representation=eq.Invariant()).base_loss):
        assert loss(z1, z2).isfinite()
    for loss in (eq.NTXentLoss(gather_distributed=True), eq.PeCLRLoss(gather_distributed=True).base_loss):
        monkeypatch.setattr(ntxent, "refuse_together", nullcontext)
        with pytest.raises(pytest.fail.Exception, match="asked"):
            loss(z1, z2)


def test_the_module_is_the_function():
    z1, z2 = pair(5, 8)
    assert_close(eq.NTXentLoss(0.2)(z1, z2), eq.nt_xent(z1, z2, 0.2), atol=0, rtol=0)
    given = {
        "more_views": [draw(5, 8, seed=1)],
        "weights": draw(5, seed=2),
        "labels": torch.tensor([0, 0, 1, 2, 3]),
        "negatives": draw(6, 8, seed=3),
    }
    loss = eq.NTXentLoss(0.2, chunk_size=3, gather_distributed=True)(z1, z2, **given)
    assert_close(loss, eq.nt_xent(z1, z2, 0.2, chunk_size=3, **given), atol=0, rtol=0)
    assert repr(eq.NTXentLoss(0.2)) == "NTXentLoss(temperature=0.2)"
    assert "temperature=0.2, gather_distributed=True, chunk_size=3" in repr(
        eq.NTXentLoss(0.2, gather_distributed=True, chunk_size=3)
    )


@pytest.mark.parametrize("chunk_size", [None, 4])
def test_invariances(chunk_size):
    z1, z2 = pair(6, 8)
    nt_xent = partial(eq.nt_xent, chunk_size=chunk_size)
    loss, order = eq.nt_xent(z1, z2), torch.randperm(6)
    assert_close(nt_xent(z2, z1), loss)
    assert_close(nt_xent(z1[order], z2[order]), loss)
    assert_close(nt_xent(3 * z1, z2 / 7), loss)
    q = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64)).Q
    assert_close(nt_xent(z1 @ q, z2 @ q), loss)


@pytest.mark.parametrize("chunk_size", [None, 4])
@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1e30])
def test_an_embedding_of_any_length_is_a_direction(chunk_size, scale):
    grads = []
    for factor in (1.0, scale):
        z = torch.stack([z * factor for z in pair(6, 8, dtype=torch.float32)]).requires_grad_()
        negatives = factor * draw(3, 8, seed=5).float()
        loss = eq.nt_xent(*z, chunk_size=chunk_size, negatives=negatives)
        grads.append((loss.detach(), torch.autograd.grad(loss, z)[0] * factor))
    assert_close(grads[1], grads[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("chunk_size", [None, 4])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_lowest_temperature_is_finite_in_all_gradients(chunk_size, dtype):
    z1, z2 = (z.requires_grad_() for z in pair(16, 8, dtype=torch.float32))
    temperature = torch.tensor(1e-6, dtype=dtype, requires_grad=True)
    eq.nt_xent(z1, z2, 1e-6, chunk_size=chunk_size).backward()
    loss = eq.nt_xent(z1, z2, temperature, chunk_size=chunk_size)
    loss.backward()
    # The temperature's is its own in float16: -3e11 is beyond it.
    assert all(x.isfinite().all() for x in (loss, z1.grad, z2.grad) + (temperature.grad,) * (dtype != torch.float16))


def test_known_values():
    z = torch.eye(4, dtype=torch.float64)
    expected = -torch.log(torch.exp(torch.tensor(2.0)) / (torch.exp(torch.tensor(2.0)) + 6)).double()
    assert_close(eq.nt_xent(z, z, 0.5), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_gradcheck(temperature):
    z1, z2 = (z.requires_grad_() for z in pair(4, 6))
    assert torch.autograd.gradcheck(lambda a, b: eq.nt_xent(a, b, temperature), (z1, z2))
    assert torch.autograd.gradgradcheck(lambda a, b: eq.nt_xent(a, b, temperature), (z1, z2))


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_gradcheck_of_the_temperature(temperature):
    z1, z2 = (z.requires_grad_() for z in pair(4, 6))
    learned = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(eq.nt_xent, (z1, z2, learned))
    assert torch.autograd.gradgradcheck(eq.nt_xent, (z1, z2, learned))


@pytest.mark.parametrize("chunk_size", [None, 6])
@pytest.mark.parametrize("temperature", [0.02, 0.5])  # float32 changes its way at 0.025
def test_a_temperature_that_learns_is_the_number_in_all_else(chunk_size, temperature):
    grads = []
    for tau in (temperature, torch.tensor(temperature, requires_grad=True)):
        z1, z2 = (z.requires_grad_() for z in pair(16, 8, dtype=torch.float32))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = eq.nt_xent(z1, z2, tau, chunk_size=chunk_size)
        loss.backward()
        grads.append((loss.detach(), z1.grad, z2.grad))
    exact = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
    eq.nt_xent(z1.detach().double(), z2.detach().double(), exact).backward()
    assert_close(grads[0], grads[1], rtol=1e-5, atol=1e-6)
    assert_close(tau.grad, exact.grad.float(), rtol=1e-4, atol=1e-4)


def test_a_parameter_is_registered_moves_and_learns():
    z = torch.eye(4)  # each the partner of itself: the lower the temperature, the lower the loss
    for chunk_size in (None, 2):
        criterion = eq.NTXentLoss(torch.nn.Parameter(torch.tensor(0.5)), chunk_size=chunk_size)
        assert list(criterion.state_dict()) == ["temperature"]
        optimizer = torch.optim.SGD(criterion.parameters(), 0.1)
        before = criterion(z, z)
        before.backward()
        optimizer.step()
        assert float(criterion(z, z).detach()) < float(before.detach())
        assert float(criterion.temperature.detach()) < 0.5
        assert criterion.double().temperature.dtype == torch.float64
        assert repr(criterion).startswith("NTXentLoss(temperature=Parameter")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("case", ["cold", "large", "identical", "one pair", "tiny"])
@pytest.mark.parametrize("chunk_size", [None, 6])
def test_stays_finite(dtype, autocast, case, chunk_size):
    z1, z2 = pair(1 if case == "one pair" else 16, 8)
    if case == "large":
        z1, z2 = 1e4 * z1.clamp(-1, 1), 1e4 * z2.clamp(-1, 1)
    if case == "identical":
        z1 = z2 = z1[:1].expand(16, -1)
    if case == "tiny":
        z1, z2 = 1e-4 * z1, 1e-4 * z2
    z1, z2 = (z.to(dtype).detach().clone().requires_grad_() for z in (z1, z2))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = eq.nt_xent(z1, z2, 0.01, chunk_size=chunk_size)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert z1.grad.isfinite().all()
    assert z2.grad.isfinite().all()
    if case == "one pair":
        assert float(loss.detach()) == 0
        assert float(z1.grad.abs().max()) == 0
    if case == "identical":
        assert_close(loss.detach(), torch.tensor(31.0).log())


@pytest.mark.parametrize("chunk_size", [None, 8])
def test_autocast_does_not_round_it_nor_its_gradient(chunk_size):
    leaves = [z.requires_grad_() for z in pair(16, 32, dtype=torch.float32)]
    exact = [z.detach().double().requires_grad_() for z in leaves]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = eq.nt_xent(*leaves, 0.05, chunk_size=chunk_size)
    loss.backward()
    expected = eq.nt_xent(*exact, 0.05)
    expected.backward()
    assert_close(loss.double(), expected, atol=1e-5, rtol=0)
    assert_close([z.grad.double() for z in leaves], [z.grad for z in exact], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: eq.nt_xent(*pair(4, 8), temperature=0.0), ValueError, "temperature: expected a number above 0"),
        (lambda: eq.nt_xent(*pair(4, 8), temperature=-1.0), ValueError, "temperature: expected a number above 0"),
        (lambda: eq.NTXentLoss(float("nan")), ValueError, "temperature: expected a number"),
        (lambda: eq.NTXentLoss("0.5"), TypeError, "temperature: expected a number"),
        (
            lambda: eq.NTXentLoss(torch.nn.Parameter(torch.ones(1))),
            ValueError,
            r"temperature: expected a number, or a tensor of shape \(\).*Parameter\(torch.tensor\(0.5\)\)",
        ),
        (lambda: eq.NTXentLoss(torch.tensor(0.5)), TypeError, "temperature: expected a number or a torch.nn.Parameter"),
        (lambda: eq.nt_xent(*pair(4, 8), 1e-38), ValueError, "temperature: expected at least 1e-6, .* a clamp"),
        (lambda: eq.nt_xent(*pair(4, 8), torch.tensor(1e-38)), ValueError, "temperature: expected at least 1e-6"),
        (lambda: eq.nt_xent(*pair(4, 8), torch.tensor(float("nan"))), ValueError, "temperature: expected at least"),
        (lambda: eq.NTXentLoss(1e-7), ValueError, "temperature: expected at least 1e-6"),
        (
            lambda: eq.PeCLRLoss(torch.nn.Parameter(torch.tensor(-0.1))),
            ValueError,
            "temperature: expected at least 1e-6, got float -0.1",
        ),
        (lambda: eq.nt_xent(*pair(4, 8), torch.tensor(1)), TypeError, "temperature: expected a floating type"),
        (
            lambda: eq.nt_xent(*pair(4, 8), torch.tensor(0.5, device="meta")),
            ValueError,
            r"temperature: expected a tensor on cpu, where z1 is, got one on meta.*the loss that holds it, with .to",
        ),
        (lambda: eq.NTXentLoss(chunk_size=0), ValueError, "chunk_size: expected a whole number of at least 1"),
        (
            lambda: eq.nt_xent(*pair(4, 8), chunk_size=0),
            ValueError,
            "chunk_size: expected a whole number of at least 1",
        ),
        (lambda: eq.nt_xent(*pair(4, 8), chunk_size=2.0), TypeError, "chunk_size: expected a whole number"),
        (lambda: eq.nt_xent(*pair(4, 8), more_views=pair(4, 8)[0]), TypeError, r"more_views: expected a list.*\[z3\]"),
        (
            lambda: eq.nt_xent(*pair(4, 8), more_views=[pair(3, 8)[0]]),
            ValueError,
            r"more_views\[0\]: expected the shape of z1, \(4, 8\)",
        ),
        (lambda: eq.nt_xent(*pair(4, 8), weights=[1.0] * 4), TypeError, "weights: expected a tensor.*as_tensor"),
        (lambda: eq.nt_xent(*pair(4, 8), weights=torch.ones(8)), ValueError, "weights: expected one for each image"),
        (lambda: eq.nt_xent(*pair(4, 8), weights=torch.ones(4).long()), TypeError, "weights: expected a floating type"),
        (lambda: eq.nt_xent(*pair(4, 8), weights=torch.ones(4, device="meta")), ValueError, "weights: .* on cpu"),
        (lambda: eq.nt_xent(*pair(4, 8), labels=torch.ones(3).long()), ValueError, "labels: expected one for each"),
        (lambda: eq.nt_xent(*pair(4, 8), labels=torch.ones(4)), TypeError, "labels: expected whole numbers"),
        (lambda: eq.nt_xent(*pair(4, 8), labels=torch.ones(4).bool()), TypeError, "labels: expected whole numbers"),
        *(
            (lambda queue=queue: eq.nt_xent(*pair(4, 8), negatives=queue), ValueError, r"negatives: .* \(K, 8\)")
            for queue in (
                torch.ones(9, 6),
                torch.ones(9, 10),
                torch.ones(8),
                torch.ones(2, 8, 8),
                torch.ones(9, 8).int(),
            )
        ),
        (
            lambda: eq.nt_xent(*pair(4, 8), negatives=torch.ones(9, 8, requires_grad=True)),
            ValueError,
            "negatives: expected embeddings without a gradient.*Detach",
        ),
        (lambda: eq.nt_xent(pair(4, 8)[0], pair(3, 8)[0]), ValueError, r"z2: expected the shape of z1, \(4, 8\)"),
        (lambda: eq.nt_xent(pair(4, 8)[0], pair(4, 6)[0]), ValueError, r"z2: expected the shape of z1, \(4, 8\)"),
        (lambda: eq.nt_xent(torch.rand(4, 2, 2), torch.rand(4, 2, 2)), ValueError, r"Flatten each with z.flatten\(1\)"),
        (lambda: eq.nt_xent(torch.rand(4, 2, 5, 5), torch.rand(4, 2, 5, 5)), ValueError, r"Heatmaps, .* as base_loss"),
        (
            lambda: eq.nt_xent(torch.rand(0, 4), torch.rand(0, 4)),
            ValueError,
            r"z1: expected embeddings of shape \(B, D\)",
        ),
        (
            lambda: eq.nt_xent(torch.ones(4, 2).long(), torch.ones(4, 2)),
            TypeError,
            "z1: expected embeddings of a floating",
        ),
    ],
)
def test_bad_input_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_one_image_alone_is_warned_of():
    z = torch.rand(2, 4)
    with pytest.warns(UserWarning, match="several images, got one, .* the loss is 0, .*drop_last=True") as caught:
        eq.nt_xent(z[:1], z[1:])
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        eq.nt_xent(z[:1], z[1:], negatives=z)
        eq.nt_xent(z, z)
