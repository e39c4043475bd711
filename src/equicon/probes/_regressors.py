"""Regressors from frozen features to keypoints: the mean, ridge regression and a small network.

Each regressor learns several targets (n, K, d) from features ``x`` (n, D), and predicts them for ``x_test`` (m, D), all
in float64. No regressor sees a target of the test, or knows what the targets are for.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from equicon._devices import without_autocast
from equicon._exact import exact_products

Progress: TypeAlias = Callable[[list[Any]], Iterable[Any]]

_PENALTIES = tuple(10.0 ** (k / 2) for k in range(-12, 9))  # for each sample; a standardised feature has variance 1
_STEPS = (0, 3, 10, 30, 100, 300, 1_000, 3_000)
_HIDDEN = 256
_BATCH = 128
_LEARNING_RATE = 2e-3
_DROPOUT = 0.5


def predict_mean(x: Tensor, targets: Sequence[Tensor], x_test: Tensor) -> list[Tensor]:
    """Predict the mean of each target. The features are ignored."""
    return [y.mean(dim=0).expand(len(x_test), *y.shape[1:]) for y in targets]


def predict_ridge(x: Tensor, targets: Sequence[Tensor], x_test: Tensor) -> list[Tensor]:
    """Predict by ridge regression. The penalty of each target is the best by leave-one-out errors.

    If sample i is left out, its residual becomes ``r_i / (1 - h_i)``, where h is the leverage (Golub, Heath and Wahba,
    Technometrics 1979, section 1). So one decomposition serves all samples and all penalties.
    """
    n, width = x.shape
    mean, std = _moments(x)
    x, x_test = _standardise(x, mean, std), _standardise(x_test, mean, std)
    if n < width:  # the weights lie in the span of the samples, which has at most n dimensions
        basis = torch.linalg.qr(x.T).Q
        x, x_test = x @ basis, x_test @ basis
    energy, axes = torch.linalg.eigh(x.T @ x)
    x, x_test = x @ axes, x_test @ axes
    shrink = 1 / (energy.clamp(min=0)[:, None] + n * x.new_tensor(_PENALTIES))
    freedom = 1 - 1 / n - x.square() @ shrink  # 1 minus the leverages; 1 / n is that of the mean
    predicted = []
    for y in targets:
        center = y.mean(dim=0)
        centered = (y - center).flatten(1)
        moment = x.T @ centered
        losses = [
            ((centered - x @ (moment * s[:, None])) / f[:, None]).square().sum()
            for s, f in zip(shrink.T, freedom.T, strict=True)
        ]
        weights = moment * shrink[:, torch.stack(losses).argmin(), None]
        predicted.append((x_test @ weights).unflatten(1, center.shape) + center)
    return predicted


@torch.inference_mode(False)  # it learns, also where the caller has switched gradients off
def predict_mlp(
    x: Tensor, targets: Sequence[Tensor], x_test: Tensor, *, seed: int, progress: Progress | None = None
) -> list[Tensor]:
    """Predict by a network with one hidden layer. A fifth of the samples chooses how long it trains on all of them.

    Each length of training that is tried has a whole cosine schedule of its own. To stop a longer run early would stop
    it at a high learning rate. A length of 0 predicts the mean.
    """
    generator = torch.Generator(x.device).manual_seed(seed)
    mean, std = _moments(x)
    x, x_test = _standardise(x, mean, std).float(), _standardise(x_test, mean, std).float()
    # A feature that is nearly always zero may be enormous in a test sample, and nothing limits the network there.
    x_test = x_test.clamp(x.amin(dim=0), x.amax(dim=0))
    goal = torch.cat([y.flatten(1) for y in targets], dim=1)
    goal_mean, goal_std = _moments(goal)
    y = _standardise(goal, goal_mean, goal_std).float()
    order = torch.randperm(len(x), generator=generator, device=x.device)
    held, kept = order[: len(x) // 5], order[len(x) // 5 :]
    losses: list[float] = []
    most = [*range(sum(_STEPS) + max(_STEPS))]  # the steps of all lengths, and those of the best one again
    ticks = iter(most if progress is None else progress(most))
    # The optimizer counts its steps on the default device, which may be any: on the CPU it does not wait for them.
    with without_autocast(x.device), exact_products(), torch.device("cpu"):
        for steps in _STEPS:
            losses.append((_train(x[kept], y[kept], steps, generator, ticks)(x[held]) - y[held]).square().mean().item())
            if min(losses[-2:]) > min(losses):  # two longer runs in a row did not help
                break
        best = _STEPS[losses.index(min(losses))]
        found = _train(x, y, best, generator, ticks)(x_test).double() * goal_std + goal_mean
    parts = found.split([target[0].numel() for target in targets], dim=1)
    return [part.unflatten(1, target.shape[1:]) for part, target in zip(parts, targets, strict=True)]


def _train(
    x: Tensor, y: Tensor, steps: int, generator: torch.Generator, ticks: Iterator[Any]
) -> Callable[[Tensor], Tensor]:
    n, batch = len(x), min(_BATCH, len(x))
    first = torch.randn(x.shape[1], _HIDDEN, generator=generator, device=x.device, dtype=x.dtype) * math.sqrt(
        2 / x.shape[1]
    )
    # The last layer starts at zero. So the network starts at the mean of the targets.
    parameters = [first, *(x.new_zeros(shape) for shape in ((_HIDDEN,), (_HIDDEN, y.shape[1]), (y.shape[1],)))]
    for parameter in parameters:
        parameter.requires_grad_()
    w1, b1, w2, b2 = parameters
    optimizer = torch.optim.AdamW(parameters, _LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    passes = 1 + steps * batch // n
    rows = torch.cat([torch.randperm(n, generator=generator, device=x.device) for _ in range(passes)])
    for step in range(steps):
        next(ticks, None)
        chosen = rows[step * batch : (step + 1) * batch]
        hidden = (x[chosen] @ w1 + b1).relu()
        alive = torch.rand(hidden.shape, generator=generator, device=x.device, dtype=x.dtype) >= _DROPOUT
        loss = ((hidden * alive / (1 - _DROPOUT)) @ w2 + b2 - y[chosen]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return lambda x: ((x @ w1 + b1).relu() @ w2 + b2).detach()


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means and standard deviations of the columns. A deviation that is only rounding becomes 0."""
    std = x.std(dim=0, correction=0)
    constant = std <= torch.finfo(torch.float32).eps * x.abs().amax(dim=0)
    return x.mean(dim=0), std.masked_fill(constant, 0.0)


def _standardise(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Bring columns to mean 0 and deviation 1. A column without deviation becomes 0, so that it has no effect."""
    return (x - mean) * torch.where(std > 0, 1 / std, 0.0)
