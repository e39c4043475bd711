import torch

from equicon import draw as _random


def test_draws_are_those_of_the_generator_and_leave_the_global_one_alone():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    draws = [
        (
            _random.uniform(5, (2.0, 3.0), torch.Generator().manual_seed(1)),
            _random.bernoulli(5, 0.5, torch.Generator().manual_seed(1)),
            _random.seed(torch.Generator().manual_seed(1)),
        )
        for _ in range(2)
    ]
    assert draws[0][0].equal(draws[1][0])
    assert draws[0][1].equal(draws[1][1])
    assert draws[0][2] == draws[1][2]
    assert torch.get_rng_state().equal(state)


def test_without_a_generator_the_global_one_is_used():
    values = []
    for _ in range(2):
        torch.manual_seed(3)
        values.append((_random.uniform(5, (0.0, 1.0), None), _random.seed(None)))
    assert values[0][0].equal(values[1][0])
    assert values[0][1] == values[1][1]
    assert _random.seed(None) != values[0][1]


def test_certain_and_impossible():
    assert _random.bernoulli(1000, 1.0, None).all()
    assert not _random.bernoulli(1000, 0.0, None).any()


def test_the_mean_of_uniform_draws():
    draws = _random.uniform(20_000, (-3.0, 5.0), torch.Generator().manual_seed(0))
    assert abs(float(draws.mean()) - 1.0) < 0.05
    assert float(draws.min()) >= -3.0
    assert float(draws.max()) <= 5.0
