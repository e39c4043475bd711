from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from equicon.probes import _regressors as _regress
from equicon.probes._regressors import predict_mean, predict_mlp
from equicon.probes._ridge import _PENALTIES, predict_ridge

seeds = st.integers(0, 2**31 - 1)
Predict = Callable[[Tensor, list[Tensor], Tensor], list[Tensor]]
mlp = partial(predict_mlp, seed=0)
SHAPES = [(40, 6), (12, 30)]  # more samples than features, and fewer


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_regress, "_STEPS", (0, 20, 100))


def problem(seed: int, n: int, width: int, noise: float = 0.3) -> tuple[Tensor, list[Tensor], Tensor, list[Tensor]]:
    """Features that see two targets through noise, to learn from and to test with."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(2 * n, width, generator=g, dtype=torch.float64)
    targets = []
    for dim in (2, 3):
        y = x @ torch.randn(width, 4 * dim, generator=g, dtype=torch.float64)
        y = y + noise * y.std() * torch.randn(y.shape, generator=g, dtype=torch.float64) + 5
        targets.append(y.unflatten(1, (4, dim)))
    return x[:n], [y[:n] for y in targets], x[n:], [y[n:] for y in targets]


def error(predicted: list[Tensor], truth: list[Tensor]) -> float:
    return float(torch.stack([(p - t).norm(dim=-1).mean() for p, t in zip(predicted, truth, strict=True)]).mean())


def same(found: list[Tensor], wanted: list[Tensor], tolerance: float = 1e-7) -> None:
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=tolerance, rtol=0)


def reference(x: Tensor, y: Tensor, x_test: Tensor) -> Tensor:
    """Leave out one sample at a time, for one penalty at a time, by the normal equations."""
    mean, std = x.mean(0), x.std(0, correction=0)
    x, x_test, n = (x - mean) / std, (x_test - mean) / std, len(x)

    def solve(x: Tensor, y: Tensor, penalty: float, at: Tensor) -> Tensor:
        a, b = x - x.mean(0), y - y.mean(0)
        weights = torch.linalg.solve(a.T @ a + penalty * torch.eye(a.shape[1], dtype=a.dtype), a.T @ b)
        return (at - x.mean(0)) @ weights + y.mean(0)

    losses = []
    for penalty in _PENALTIES:
        loss = 0.0
        for i in range(n):
            rest = torch.arange(n) != i
            loss += float((solve(x[rest], y[rest], penalty * n, x[i]) - y[i]).square().sum())
        losses.append(loss)
    return solve(x, y, _PENALTIES[losses.index(min(losses))] * n, x_test)


@pytest.mark.parametrize(("n", "width"), SHAPES)
@pytest.mark.parametrize("noise", [0.03, 1.0])
def test_ridge_agrees_with_leaving_samples_out_in_a_loop(n: int, width: int, noise: float) -> None:
    x, targets, x_test, _ = problem(3, n, width, noise)
    wanted = [reference(x, y.flatten(1), x_test).unflatten(1, y.shape[1:]) for y in targets]
    same(predict_ridge(x, targets, x_test), wanted, 1e-6)


@pytest.mark.parametrize(("n", "width"), SHAPES)
@given(seed=seeds)
@settings(max_examples=10)
def test_ridge_does_not_mind_how_features_are_written(n: int, width: int, seed: int) -> None:
    x, targets, x_test, _ = problem(seed, n, width)
    g = torch.Generator().manual_seed(seed)
    scale = torch.randn(width, generator=g, dtype=torch.float64).exp() * torch.randint(0, 2, (width,), generator=g).sub(
        0.5
    )
    shift, order = torch.randn(width, generator=g, dtype=torch.float64), torch.randperm(width, generator=g)
    wanted = predict_ridge(x, targets, x_test)
    same(predict_ridge((x * scale + shift)[:, order], targets, (x_test * scale + shift)[:, order]), wanted)


@pytest.mark.parametrize(("n", "width"), SHAPES)
@given(seed=seeds)
@settings(max_examples=10)
def test_ridge_does_not_mind_the_order_of_samples_nor_the_other_target(n: int, width: int, seed: int) -> None:
    x, targets, x_test, _ = problem(seed, n, width)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    wanted = predict_ridge(x, targets, x_test)
    same(predict_ridge(x[order], [y[order] for y in targets], x_test), wanted)
    same([predict_ridge(x, [y], x_test)[0] for y in targets], wanted)


@pytest.mark.parametrize("predict", [predict_ridge, mlp])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_features_that_are_constant_are_left_out(predict: Predict, value: float) -> None:
    x, targets, x_test, _ = problem(0, 40, 6)
    constant = value * (1 + 1e-9 * torch.rand(40, 2, dtype=x.dtype))  # but for rounding
    x = torch.cat([x, constant], dim=1)
    same(
        predict(x, targets, torch.cat([x_test, constant + 1e3 * torch.rand(40, 2)], dim=1)),
        predict(x, targets, torch.cat([x_test, constant], dim=1)),
        tolerance=0,
    )
    same(predict_ridge(x, targets, x), predict_ridge(x[:, :6], targets, x[:, :6]))
    # With nothing else to go by, ridge gives the mean, and the network what its biases make of the same.
    tolerance = 1e-9 if predict is predict_ridge else 2.0
    same(predict(constant, targets, constant + 1e3), predict_mean(constant, targets, constant), tolerance)


@pytest.mark.parametrize("predict", [predict_mean, predict_ridge, mlp])
def test_a_coordinate_that_is_constant_stays_what_it_is(predict: Predict) -> None:
    x, targets, x_test, _ = problem(0, 40, 6)
    targets[1][:, 0] = torch.tensor([0.0, 0.1, -7.0])
    found = predict(x, targets, x_test)
    assert [y.shape for y in found] == [y.shape for y in targets]
    torch.testing.assert_close(found[1][:, 0], targets[1][:, 0], atol=1e-12, rtol=0)


@pytest.mark.parametrize(("n", "width", "share"), [(40, 6, 1e-4), (60, 50, 1e-3), (40, 60, 0.9)])
def test_ridge_finds_a_linear_function(n: int, width: int, share: float) -> None:
    x, targets, x_test, truth = problem(1, n, width, noise=0.0)
    assert error(predict_ridge(x, targets, x_test), truth) < share * error(predict_mean(x, targets, x_test), truth)


@pytest.mark.parametrize("predict", [predict_ridge, mlp])
@pytest.mark.parametrize(("n", "width"), [(100, 6), (60, 100)])
def test_what_is_not_in_the_features_gives_about_the_mean(predict: Predict, n: int, width: int) -> None:
    _, targets, _, truth = problem(1, n, width)
    x, x_test = torch.randn(2, n, width, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ratio = error(predict(x, targets, x_test), truth) / error(predict_mean(x, targets, x_test), truth)
    assert 0.99 < ratio < 1.1


# --- the network


def test_the_network_beats_the_linear_probe_where_it_is_not_linear() -> None:
    x, targets, x_test, truth = problem(4, 300, 3, noise=0.0)
    targets, truth = ([(y - 5).abs() for y in ys] for ys in (targets, truth))
    linear, found = (error(predict(x, targets, x_test), truth) for predict in (predict_ridge, mlp))
    assert found < 0.7 * linear


def test_the_network_draws_from_its_seed_alone() -> None:
    x, targets, x_test, _ = problem(5, 40, 6)
    state = torch.get_rng_state()
    first = mlp(x, targets, x_test)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(7)
    same(mlp(x, targets, x_test), first, tolerance=0)
    other = predict_mlp(x, targets, x_test, seed=1)
    assert not torch.equal(other[0], first[0])


def test_the_network_learns_in_whatever_mode_the_caller_is() -> None:
    x, targets, x_test, _ = problem(5, 40, 6)
    wanted = mlp(x, targets, x_test)
    with torch.no_grad():
        same(mlp(x, targets, x_test), wanted, tolerance=0)
    with torch.autocast("cpu", torch.bfloat16):
        same(mlp(x, targets, x_test), wanted, tolerance=0)
    with torch.inference_mode():
        same(mlp(x.clone(), [y.clone() for y in targets], x_test.clone()), wanted, tolerance=0)
        same(predict_ridge(x.clone(), targets, x_test), predict_ridge(x, targets, x_test), tolerance=0)


def test_the_network_does_not_look_beyond_what_it_has_seen() -> None:
    x, targets, x_test, _ = problem(5, 40, 6)
    x[1:, 0], x_test[:, 0] = 0.0, 1e9  # a feature that one sample has, and in the test all have it far more
    inside = x_test.clamp(x.amin(dim=0), x.amax(dim=0))
    same(mlp(x, targets, x_test), mlp(x, targets, inside), tolerance=0)


def test_the_network_stops_where_it_does_not_help_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    x, targets, x_test, _ = problem(5, 40, 6)
    losses = {0: 5.0, 3: 6.0, 10: 4.0, 30: 5.0, 100: 4.5, 300: 1.0}
    monkeypatch.setattr(_regress, "_STEPS", tuple(losses))
    trained: list[tuple[int, int]] = []

    def train(
        x: Tensor, y: Tensor, steps: int, generator: torch.Generator, ticks: Iterator[Any]
    ) -> Callable[[Tensor], Tensor]:
        trained.append((len(x), steps))
        return lambda at: losses[steps] * torch.ones(len(at), y.shape[1])

    monkeypatch.setattr(_regress, "_train", train)
    predict_mlp(x, targets, x_test, seed=0)
    assert trained == [(32, 0), (32, 3), (32, 10), (32, 30), (32, 100), (40, 10)]
