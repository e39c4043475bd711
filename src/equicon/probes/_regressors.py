"""Regressors from frozen features to keypoints: the mean and a small network. ``_ridge`` has ridge regression.

Each regressor learns several targets (n, K, d) from features ``x`` (n, D), and predicts them for ``x_test`` (m, D), all
in float64. A keypoint without a label is NaN; each has one somewhere. What must be tried on samples that were left out
is tried on whole ``groups`` (n,) of them. No regressor sees a target of the test, or knows what the targets are for.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from equicon._devices import without_autocast
from equicon._exact import exact_products
from equicon.probes._moments import mean_of, moments, standardise

Progress: TypeAlias = Callable[[list[Any]], Iterable[Any]]

_STEPS = (0, 3, 10, 30, 100, 300, 1_000, 3_000)
_HIDDEN = 256
_BATCH = 128
_LEARNING_RATE = 2e-3
_DROPOUT = 0.5


def predict_mean(x: Tensor, targets: Sequence[Tensor], x_test: Tensor) -> list[Tensor]:
    """Predict the mean of each target. The features are ignored."""
    return [mean_of(y).expand(len(x_test), *y.shape[1:]) for y in targets]


@torch.inference_mode(False)  # it learns, also where the caller has switched gradients off
def predict_mlp(
    x: Tensor,
    targets: Sequence[Tensor],
    x_test: Tensor,
    *,
    seed: int,
    groups: Tensor | None = None,
    progress: Progress | None = None,
) -> list[Tensor]:
    """Predict by a network with one hidden layer. A fifth of the samples chooses how long it trains on all of them.

    Each length of training that is tried has a whole cosine schedule of its own. To stop a longer run early would stop
    it at a high learning rate. A length of 0 predicts the mean.
    """
    generator = torch.Generator(x.device).manual_seed(seed)
    mean, std = moments(x)
    x, x_test = standardise(x, mean, std).float(), standardise(x_test, mean, std).float()
    # A feature that is nearly always zero may be enormous in a test sample, and nothing limits the network there.
    x_test = x_test.clamp(x.amin(dim=0), x.amax(dim=0))
    goal = torch.cat([y.flatten(1) for y in targets], dim=1)
    goal_mean, goal_std = moments(goal)
    y = standardise(goal, goal_mean, goal_std).float()
    held, kept = _hold_out_a_fifth(x, groups, generator)
    losses: list[float] = []
    most = [*range(sum(_STEPS) + max(_STEPS))]  # the steps of all lengths, and those of the best one again
    ticks = iter(most if progress is None else progress(most))
    # The optimizer counts its steps on the default device, which may be any: on the CPU it does not wait for them.
    with without_autocast(x.device), exact_products(), torch.device("cpu"):
        for steps in _STEPS:
            losses.append(_loss(_train(x[kept], y[kept], steps, generator, ticks)(x[held]), y[held]).item())
            if min(losses[-2:]) > min(losses):  # two longer runs in a row did not help
                break
        best = _STEPS[losses.index(min(losses))]
        found = _train(x, y, best, generator, ticks)(x_test).double() * goal_std + goal_mean
    parts = found.split([target[0].numel() for target in targets], dim=1)
    return [part.unflatten(1, target.shape[1:]) for part, target in zip(parts, targets, strict=True)]


def _hold_out_a_fifth(x: Tensor, groups: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw about a fifth of the samples, or as many whole groups as are nearest to that, and return both parts."""
    n = len(x)
    if groups is None:
        order = torch.randperm(n, generator=generator, device=x.device)
        return order[: n // 5], order[n // 5 :]
    _, index, counts = groups.unique(return_inverse=True, return_counts=True)
    order = torch.randperm(len(counts), generator=generator, device=x.device)
    most = (counts[order].cumsum(0)[:-1] - n / 5).abs().argmin() + 1  # not all of them
    held = torch.isin(index, order[:most])
    return held.nonzero()[:, 0], (~held).nonzero()[:, 0]


def _loss(found: Tensor, y: Tensor) -> Tensor:
    """Average the squared errors over what has a label."""
    known = ~y.isnan()
    return (found - y).where(known, 0.0).square().sum() / known.sum().clamp(min=1)


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
        loss = _loss((hidden * alive / (1 - _DROPOUT)) @ w2 + b2, y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return lambda x: ((x @ w1 + b1).relu() @ w2 + b2).detach()
