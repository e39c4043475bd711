import itertools
import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from equicon._averages.moments import Moments


def rows(seed: int, count: int, *shape: int) -> torch.Tensor:
    return torch.randn(count, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 9), offset=st.sampled_from([0.0, 1e6]))
def test_they_are_those_of_all_values_at_once(seed, count, offset):
    values = rows(seed, count, 3, 4) + offset
    moments = Moments(values[0])
    for value in values:
        moments.add(value)
    assert_close(moments.mean, values.mean(0), atol=1e-9, rtol=1e-12)
    assert_close(moments.spread, values.std(0, correction=0), atol=1e-9, rtol=1e-7)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 9))
def test_weights_count_as_repeats_do(seed, count):
    values = rows(seed, count, 3, 2, 2)
    weights = torch.randint(0, 3, (count, 3, 1, 2), generator=torch.Generator().manual_seed(seed)).double()
    moments = Moments(values[0])
    for value, weight in zip(values, weights, strict=True):
        moments.add(torch.where(weight > 0, value, torch.nan), weight)
    for place in itertools.product(range(3), range(2), range(2)):
        b, _, x = place
        every = [float(values[i][place]) for i in range(count) for _ in range(int(weights[i, b, 0, x]))]
        if every:
            assert float(moments.mean[place]) == pytest.approx(statistics.fmean(every))
            assert float(moments.spread[place]) == pytest.approx(statistics.pstdev(every), abs=1e-7)
        else:
            assert float(moments.mean[place]) == 0
            assert moments.spread[place].isnan()


def test_large_values_of_float32_lose_nothing():
    values = 1e4 + rows(0, 50, 6).float()
    moments = Moments(values[0])
    for value in values:
        moments.add(value)
    assert_close(moments.spread.double(), values.double().std(0, correction=0), rtol=0.01, atol=0)


def test_one_value_has_no_spread_and_nan_stays_where_it_is():
    moments = Moments(torch.zeros(2, 2))
    moments.add(torch.tensor([[0.1, torch.nan], [3.0, 1e30]]))
    assert_close(moments.mean, torch.tensor([[0.1, torch.nan], [3.0, 1e30]]), atol=0, rtol=0, equal_nan=True)
    assert_close(moments.spread, torch.tensor([[0.0, torch.nan], [0.0, 0.0]]), atol=0, rtol=0, equal_nan=True)
    moments.add(torch.zeros(2, 2))
    assert moments.mean.isnan().tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize("weight", [0.0, 0.25])
def test_where_nothing_counts_the_mean_is_0_and_the_spread_unknown(weight):
    moments = Moments(torch.zeros(1, 1, 1, 1))
    moments.add(torch.full((1, 1, 1, 1), torch.nan), torch.zeros(1, 1, 1, 1))
    moments.add(torch.full((1, 1, 1, 1), 7.0), torch.full((1, 1, 1, 1), weight))
    assert float(moments.mean) == (7 if weight else 0)
    assert bool(moments.spread.isnan()) is (weight == 0)
