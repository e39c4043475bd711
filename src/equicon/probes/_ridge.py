"""Ridge regression whose penalty is the best for samples, or for whole groups of samples, that are left out."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from equicon.probes._moments import labelled, moments, standardise

_PENALTIES = tuple(10.0 ** (k / 2) for k in range(-12, 9))  # for each sample; a standardised feature has variance 1


def predict_ridge(
    x: Tensor, targets: Sequence[Tensor], x_test: Tensor, *, groups: Tensor | None = None
) -> list[Tensor]:
    """Predict by ridge regression. The penalty of each target is the best for what is left out: a sample, or a group.

    If sample i is left out, its residual becomes ``r_i / (1 - h_i)``, where h is the leverage (Golub, Heath and Wahba,
    Technometrics 1979, section 1). If a group is left out, its residuals become ``(I - H)⁻¹ r``, where H is its block
    of the hat matrix. So one decomposition serves all samples and all penalties. It also serves all keypoints that have
    labels on the same samples. The keypoints of a target share their penalty.

    Features of the test are clamped to three times the range of the samples, about its middle. A feature that is nearly
    always zero may be enormous in another video: on TI1K, such features alone make the error larger than the mean's.
    """
    losses = x.new_zeros(len(targets), len(_PENALTIES))
    fits = []
    for rows, columns in _patterns(targets):
        n = int(rows.sum())
        rotated, energy, rotate = _rotate(x[rows])
        shrink = 1 / (energy.clamp(min=0)[:, None] + n * x.new_tensor(_PENALTIES))
        known = [y[rows][:, which] for y, which in zip(targets, columns, strict=True)]
        centers = [y.mean(dim=0) for y in known]
        centered = [(y - center).flatten(1) for y, center in zip(known, centers, strict=True)]
        weights = [rotated.T @ y for y in centered]
        errors = _left_out(
            rotated, shrink, torch.cat(centered, 1), torch.cat(weights, 1), None if groups is None else groups[rows]
        )
        losses += torch.stack([part.sum(dim=1) for part in errors.split([y.shape[1] for y in centered], dim=1)])
        fits.append((rotate, shrink, list(zip(columns, centers, weights, strict=True))))
    # The strongest of equal ones: if nothing can be left out, that is about the mean.
    best = len(_PENALTIES) - 1 - losses.flip(1).argmin(dim=1)
    predicted = [x_test.new_zeros(len(x_test), *y.shape[1:]) for y in targets]
    for rotate, shrink, learned in fits:
        at = rotate(x_test)
        for out, penalty, (which, center, moment) in zip(predicted, best, learned, strict=True):
            out[:, which] = (at @ (moment * shrink[:, penalty, None])).unflatten(1, center.shape) + center
    return predicted


def _patterns(targets: Sequence[Tensor]) -> Iterator[tuple[Tensor, tuple[Tensor, ...]]]:
    """Yield samples (n,), and which keypoints (K,) of each target have a label on just these."""
    known = [labelled(y) for y in targets]
    patterns, index = torch.cat(known, dim=1).to(torch.uint8).unique(dim=1, return_inverse=True)
    for k, rows in enumerate(patterns.bool().T):
        yield rows, (index == k).split([mask.shape[1] for mask in known])


def _rotate(x: Tensor) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]:
    """Standardise samples and turn them to their principal axes. Return the energies, and what does so to others."""
    mean, std = moments(x)
    low, high = x.amin(dim=0), x.amax(dim=0)
    low, high = 2 * low - high, 2 * high - low
    x = standardise(x, mean, std)
    basis = None
    if len(x) < x.shape[1]:  # the weights lie in the span of the samples, which has at most n dimensions
        basis = torch.linalg.qr(x.T).Q
        x = x @ basis
    energy, axes = torch.linalg.eigh(x.T @ x)

    def rotate(other: Tensor) -> Tensor:
        other = standardise(other.clamp(low, high), mean, std)
        rotated: Tensor = (other if basis is None else other @ basis) @ axes
        return rotated

    return x @ axes, energy, rotate


def _left_out(x: Tensor, shrink: Tensor, y: Tensor, moment: Tensor, groups: Tensor | None) -> Tensor:
    """Sum the squared errors (P, C) of what is left out, with each of P penalties, for each of C coordinates.

    They are zero if nothing would be left to learn from.
    """
    if groups is not None:
        return _groups_left_out(x, shrink, y, moment, groups)
    n = len(x)
    if n < 2:
        return y.new_zeros(shrink.shape[1], y.shape[1])
    freedom = 1 - 1 / n - x.square() @ shrink  # 1 minus the leverages; 1 / n is that of the mean
    errors = [
        ((y - x @ (moment * s[:, None])) / f[:, None]).square().sum(dim=0)
        for s, f in zip(shrink.T, freedom.T, strict=True)
    ]
    return torch.stack(errors)


def _groups_left_out(x: Tensor, shrink: Tensor, y: Tensor, moment: Tensor, groups: Tensor) -> Tensor:
    n, errors = len(x), y.new_zeros(shrink.shape[1], y.shape[1])
    _, index, counts = groups.unique(return_inverse=True, return_counts=True)
    if len(counts) < 2:
        return errors
    # The mean is one more feature, without a penalty.
    x, shrink = torch.cat([x, x.new_ones(n, 1)], dim=1), torch.cat([shrink, shrink.new_full((1, len(errors)), 1 / n)])
    moment = torch.cat([moment, moment.new_zeros(1, y.shape[1])])
    order, first = index.argsort(), counts.cumsum(0) - counts
    for size in counts.unique().tolist():  # all groups of one size at once
        rows = order[first[counts == size, None] + torch.arange(size, device=x.device)]
        part, truth = x[rows], y[rows]
        gram = part.mT @ part if size > x.shape[1] else None
        for error, s in zip(errors, shrink.T, strict=True):
            residual = truth - part @ (moment * s[:, None])
            if gram is None:
                freedom = torch.eye(size, dtype=x.dtype, device=x.device) - part * s @ part.mT
                residual = torch.linalg.solve(freedom, residual)
            else:  # the same by the matrix inversion lemma, whose matrix has the width of the features
                residual = residual + part @ torch.linalg.solve((1 / s).diag() - gram, part.mT @ residual)
            error += residual.square().sum(dim=(0, 1))
    return errors
