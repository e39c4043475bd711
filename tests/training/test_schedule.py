import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equicon.training import learning_rate


@given(steps=st.integers(1, 60), warmup=st.floats(0, 1), peak=st.floats(1e-6, 10))
def test_the_rate_rises_linearly_and_falls_as_half_a_cosine(steps, warmup, peak):
    rates = [learning_rate(step, steps, peak=peak, warmup=warmup) for step in range(steps)]
    warm = min(steps, round(steps * warmup))
    assert rates[:warm] == pytest.approx([peak * (step + 1) / warm for step in range(warm)])
    left = steps - warm
    assert rates[warm:] == pytest.approx([peak / 2 * (1 + math.cos(math.pi * k / left)) for k in range(left)])
    assert min(rates) > 0
    assert max(rates) == pytest.approx(peak)
