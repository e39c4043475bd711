import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

import equicon as eq


def loop_nt_xent(z1: torch.Tensor, z2: torch.Tensor, temperature: float) -> torch.Tensor:
    """Equation 1 of SimCLR, a loop over rows and a loop over the others."""
    z = torch.cat([z1, z2])
    n, losses = len(z1), []
    for i in range(2 * n):
        partner = (i + n) % (2 * n)
        scores = {k: z[i] @ z[k] / (z[i].norm() * z[k].norm()) / temperature for k in range(2 * n) if k != i}
        losses.append(torch.logsumexp(torch.stack(list(scores.values())), 0) - scores[partner])
    return torch.stack(losses).mean()


def pair(
    batch: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    z1, z2 = (torch.randn(batch, width, generator=generator, dtype=dtype) for _ in range(2))
    return z1, z2


@settings(max_examples=25)
@given(st.integers(1, 9), st.integers(1, 12), st.floats(0.05, 5.0), st.integers(0, 2**31))
def test_equals_the_loop(batch, width, temperature, seed):
    z1, z2 = pair(batch, width, seed)
    assert_close(eq.nt_xent(z1, z2, temperature), loop_nt_xent(z1, z2, temperature))


def test_the_module_is_the_function():
    z1, z2 = pair(5, 8)
    assert_close(eq.NTXentLoss(0.2)(z1, z2), eq.nt_xent(z1, z2, 0.2), atol=0, rtol=0)
    assert repr(eq.NTXentLoss(0.2)) == "NTXentLoss(temperature=0.2)"


def test_invariances():
    z1, z2 = pair(6, 8)
    loss, order = eq.nt_xent(z1, z2), torch.randperm(6)
    assert_close(eq.nt_xent(z2, z1), loss)
    assert_close(eq.nt_xent(z1[order], z2[order]), loss)
    assert_close(eq.nt_xent(3 * z1, z2 / 7), loss)
    q = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64)).Q
    assert_close(eq.nt_xent(z1 @ q, z2 @ q), loss)


def test_known_values():
    z = torch.eye(4, dtype=torch.float64)
    expected = -torch.log(torch.exp(torch.tensor(2.0)) / (torch.exp(torch.tensor(2.0)) + 6)).double()
    assert_close(eq.nt_xent(z, z, 0.5), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_gradcheck(temperature):
    z1, z2 = (z.requires_grad_() for z in pair(4, 6))
    assert torch.autograd.gradcheck(lambda a, b: eq.nt_xent(a, b, temperature), (z1, z2))
    assert torch.autograd.gradgradcheck(lambda a, b: eq.nt_xent(a, b, temperature), (z1, z2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("case", ["cold", "large", "identical", "one pair", "tiny"])
def test_stays_finite(dtype, autocast, case):
    z1, z2 = pair(1 if case == "one pair" else 16, 8)
    if case == "large":
        z1, z2 = 1e4 * z1.clamp(-1, 1), 1e4 * z2.clamp(-1, 1)
    if case == "identical":
        z1 = z2 = z1[:1].expand(16, -1)
    if case == "tiny":
        z1, z2 = 1e-4 * z1, 1e-4 * z2
    z1, z2 = (z.to(dtype).detach().clone().requires_grad_() for z in (z1, z2))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = eq.nt_xent(z1, z2, 0.01)
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


def test_autocast_does_not_round_it():
    z1, z2 = pair(16, 32, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = eq.nt_xent(z1, z2, 0.05)
    assert_close(loss, eq.nt_xent(z1.double(), z2.double(), 0.05).float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: eq.nt_xent(*pair(4, 8), temperature=0.0), ValueError, "temperature: expected a number above 0"),
        (lambda: eq.nt_xent(*pair(4, 8), temperature=-1.0), ValueError, "temperature: expected a number above 0"),
        (lambda: eq.NTXentLoss(float("nan")), ValueError, "temperature: expected a number"),
        (lambda: eq.NTXentLoss("0.5"), TypeError, "temperature: expected a number"),
        (lambda: eq.nt_xent(pair(4, 8)[0], pair(3, 8)[0]), ValueError, r"z2: expected the shape of z1, \(4, 8\)"),
        (lambda: eq.nt_xent(pair(4, 8)[0], pair(4, 6)[0]), ValueError, r"z2: expected the shape of z1, \(4, 8\)"),
        (lambda: eq.nt_xent(torch.rand(4, 2, 2), torch.rand(4, 2, 2)), ValueError, r"Flatten each with z.flatten\(1\)"),
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
