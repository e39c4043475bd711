import pytest
import torch
from torch.testing import assert_close

from equicon import draw

DRAWS = {
    "uniform": lambda n, g: draw.uniform(n, 2.0, 3.0, g),
    "log_uniform": lambda n, g: draw.log_uniform(n, 0.5, 3.0, g),
    "bernoulli": lambda n, g: draw.bernoulli(n, 0.5, g),
    "integers": lambda n, g: draw.integers(n, 0, 1000, g),
    "_seed_on_host": lambda n, g: torch.tensor(draw._seed_on_host(g)),
}
every = pytest.mark.parametrize("make", DRAWS.values(), ids=DRAWS)


@every
def test_draws_are_those_of_the_generator_and_leave_the_global_one_alone(make):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, again = (make(5, torch.Generator().manual_seed(1)) for _ in range(2))
    assert first.equal(again)
    assert not first.equal(make(5, torch.Generator().manual_seed(2)))
    assert torch.get_rng_state().equal(state)


@every
def test_without_a_generator_the_global_one_is_used(make):
    values = []
    for _ in range(2):
        torch.manual_seed(3)
        values.append(make(5, None))
    assert values[0].equal(values[1])
    assert not make(5, None).equal(values[0])


@every
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_the_default_type_changes_nothing(make, dtype):
    plain = make(5, torch.Generator().manual_seed(1))
    torch.set_default_dtype(dtype)
    try:
        other = make(5, torch.Generator().manual_seed(1))
    finally:
        torch.set_default_dtype(torch.float32)
    assert other.dtype == plain.dtype
    assert other.equal(plain)


def test_certain_and_impossible():
    assert draw.bernoulli(1000, 1.0).all()
    assert not draw.bernoulli(1000, 0.0).any()


def test_ranges_and_means():
    generator = torch.Generator().manual_seed(0)
    draws = draw.uniform(20_000, -3.0, 5.0, generator)
    assert_close(draws.mean(), torch.tensor(1.0), atol=0.05, rtol=0)
    assert float(draws.min()) >= -3.0
    assert float(draws.max()) <= 5.0
    draws = draw.log_uniform(20_000, 0.25, 4.0, generator)
    assert_close(draws.log().mean(), torch.tensor(0.0), atol=0.02, rtol=0)
    assert float(draws.min()) >= 0.25
    assert float(draws.max()) <= 4.0
    assert draw.integers(1000, -1, 2, generator).unique().tolist() == [-1, 0, 1]
    assert draw.integers(3, 7, 8).tolist() == [7, 7, 7]
    assert len(draw.uniform(0, 0.0, 1.0)) == 0


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: draw.uniform(-1, 0, 1), ValueError, "batch_size: expected a whole number of at least 0"),
        (lambda: draw.uniform(2, 1, 0), ValueError, "low, high: expected lowest <= highest"),
        (lambda: draw.uniform(2, (0, 1), None), TypeError, "low, high: expected a number"),
        (lambda: draw.log_uniform(2, 0, 1), ValueError, "low: expected a number above 0"),
        (lambda: draw.uniform(2, 0, 1e39), ValueError, r"low, high: expected a number in \[-1e\+38, 1e\+38\]"),
        (lambda: draw.uniform(2, 0, 10**400), ValueError, r"low, high: expected a number"),
        (lambda: draw.log_uniform(2, 1e-300, 1), ValueError, r"low: expected a number in \[1e-38, 1e\+38\]"),
        (lambda: draw.log_uniform(2, 1, 1e300), ValueError, r"high: expected a number in \[1e-38, 1e\+38\]"),
        (lambda: draw.integers(2, 0, 2**70), ValueError, "high: expected a whole number below 2⁶³"),
        (lambda: draw.bernoulli(2, 1.5), ValueError, r"p: expected a number in \[0, 1\]"),
        (lambda: draw.integers(2, 3, 3), ValueError, "high: expected a whole number of at least 4"),
        (lambda: draw.integers(2, 0.5, 3), TypeError, "low: expected a whole number"),
    ],
)
def test_bad_input_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()
