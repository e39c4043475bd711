"""Metrics where some keypoints have no label, and where objects have sizes."""

import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from equicon.metrics import auc, epe, nme, oks, pck, procrustes_align, rmse

seeds = st.integers(0, 2**31 - 1)
AT = [0.0, 0.3, 0.9, 2.0]
SIZE = torch.full((6,), 2.0, dtype=torch.float64)
MEASURES: dict[str, Callable[..., Tensor]] = {
    "epe": epe,
    "median": partial(epe, reduction="median"),
    "nme": partial(nme, scale=SIZE),
    "rmse": rmse,
    "pck": partial(pck, thresholds=AT),
    "auc": partial(auc, thresholds=AT),
    "pck of sizes": partial(pck, thresholds=AT, scale=SIZE),
    "auc of sizes": partial(auc, thresholds=AT, scale=SIZE),
    "oks": partial(oks, area=SIZE, sigmas=[0.2, 0.3, 0.4, 0.5]),
}


def points(seed: int, dim: int = 2, n: int = 6, count: int = 4) -> Tensor:
    return torch.randn(n, count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some(seed: int, share: float = 0.6, n: int = 6, count: int = 4) -> Tensor:
    """Which keypoints have a label: at least one of each view and each keypoint."""
    known = torch.rand(n, count, generator=torch.Generator().manual_seed(seed + 7)) < share
    known[torch.arange(n), torch.arange(n) % count] = True
    return known


def sizes(seed: int, n: int = 6) -> Tensor:
    return 0.5 + torch.rand(n, generator=torch.Generator().manual_seed(seed + 8), dtype=torch.float64)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, dim=st.sampled_from([2, 3]))
def test_agrees_with_a_loop(seed: int, dim: int) -> None:
    pred, target, known, size = points(seed, dim), points(seed + 1, dim), some(seed), sizes(seed)
    far, shares, columns = [], [], [[] for _ in range(4)]
    for i in range(6):
        for k in range(4):
            if known[i, k]:
                far.append(math.dist(pred[i, k].tolist(), target[i, k].tolist()))
                shares.append(far[-1] / float(size[i]))
                columns[k].append(far[-1])
    assert float(epe(pred, target, visible=known)) == pytest.approx(sum(far) / len(far))
    assert float(rmse(pred, target, visible=known)) == pytest.approx(math.sqrt(sum(d * d for d in far) / len(far)))
    assert float(nme(pred, target, size, visible=known)) == pytest.approx(sum(shares) / len(shares))
    median = epe(pred, target, visible=known, reduction="median")
    assert float(median) == pytest.approx(np.mean([np.median(column) for column in columns]))
    curve = [sum(d <= t for d in far) / len(far) for t in AT]
    assert pck(pred, target, AT, visible=known).tolist() == pytest.approx(curve)
    curve = [sum(d <= t for d in shares) / len(shares) for t in AT]
    assert pck(pred, target, AT, visible=known, scale=size).tolist() == pytest.approx(curve)
    area = np.trapezoid(curve, AT) / (AT[-1] - AT[0])
    assert float(auc(pred, target, AT, visible=known, scale=size)) == pytest.approx(area)


@pytest.mark.parametrize("name", MEASURES)
@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_what_has_no_label_counts_nowhere(name: str, seed: int) -> None:
    pred, target, known = points(seed), points(seed + 1), some(seed)
    wanted = MEASURES[name](pred, target, visible=known)
    for value in (1e6, float("nan"), float("inf")):
        other = target.masked_fill(~known[..., None], value)
        assert torch.equal(MEASURES[name](pred, other, visible=known), wanted)
        assert torch.equal(MEASURES[name](pred.where(known[..., None], other), other, visible=known), wanted)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64])
def test_with_all_labels_the_mask_makes_no_difference(name: str, dtype: torch.dtype) -> None:
    pred, target, every = points(0), points(1), torch.ones(6, 4, dtype=dtype)
    torch.testing.assert_close(MEASURES[name](pred, target, visible=every), MEASURES[name](pred, target))
    if dtype != torch.bool:  # COCO's 1 is hidden and 2 in sight, both have a label
        coco = some(3).to(dtype) * torch.tensor([1, 2, 1, 2], dtype=dtype)
        assert torch.equal(MEASURES[name](pred, target, visible=coco), MEASURES[name](pred, target, visible=some(3)))


def test_every_distance_and_nan_where_there_is_none() -> None:
    pred, target, known = points(0), points(1), some(0)
    found = epe(pred, target, visible=known, reduction="none")
    assert torch.equal(found.isnan(), ~known)
    assert torch.equal(found[known], epe(pred, target, reduction="none")[known])


def test_nan_in_a_prediction_shows_and_is_a_miss() -> None:
    pred, target, known = points(0), points(0), some(0)
    pred[0, 0] = float("nan")
    assert known[0, 0]
    for measure in (epe, MEASURES["median"], rmse, MEASURES["nme"]):
        assert measure(pred, target, visible=known).isnan()
    assert pck(pred, target, [0.0, 1e9], visible=known).tolist() == pytest.approx(2 * [1 - 1 / int(known.sum())])


def test_a_keypoint_without_any_label_has_no_median() -> None:
    pred, target, known = points(0), points(1), some(0)
    known[:, 2] = False
    wanted = epe(pred[:, [0, 1, 3]], target[:, [0, 1, 3]], visible=known[:, [0, 1, 3]], reduction="median")
    torch.testing.assert_close(epe(pred, target, visible=known, reduction="median"), wanted)


@given(seed=seeds, factor=st.floats(0.01, 100))
@settings(max_examples=20, deadline=None)
def test_errors_have_units_and_shares_have_none(seed: int, factor: float) -> None:
    pred, target, size = points(seed), points(seed + 1), sizes(seed)
    for measure in (epe, rmse):
        torch.testing.assert_close(measure(factor * pred, factor * target), factor * measure(pred, target))
    moved = {"pred": factor * pred, "target": factor * target}
    torch.testing.assert_close(nme(**moved, scale=factor * size), nme(pred, target, size))
    torch.testing.assert_close(oks(**moved, area=factor**2 * size), oks(pred, target, size))
    assert rmse(pred, target) >= epe(pred, target)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, dim=st.sampled_from([2, 3]))
def test_an_alignment_by_the_labelled_ones_alone(seed: int, dim: int) -> None:
    pred, target, known = points(seed, dim, count=6), points(seed + 1, dim, count=6), some(seed, 0.8, count=6)
    found = procrustes_align(pred, target.masked_fill(~known[..., None], float("nan")), visible=known)
    for i in range(6):
        wanted = procrustes_align(pred[i, known[i]][None], target[i, known[i]][None])
        torch.testing.assert_close(found[i, known[i]], wanted[0], atol=1e-6, rtol=0)
    # A similarity is undone everywhere, also where nothing is known, if what is known determines it.
    known[:, : dim + 1] = True
    similar = 3 * target.flip(-1) - 2
    torch.testing.assert_close(procrustes_align(similar, target, visible=known), target, atol=1e-5, rtol=0)


def test_a_view_without_labels_is_aligned_to_something_finite() -> None:
    pred, target, known = points(0), points(1), some(0)
    known[2] = False
    assert bool(procrustes_align(pred, target, visible=known).isfinite().all())


def test_gradients_are_finite_where_labels_are_not() -> None:
    target, known = points(1).masked_fill(~some(0)[..., None], float("nan")), some(0)
    for measure in (epe, rmse, MEASURES["nme"]):
        pred = points(0).requires_grad_()
        measure(pred, target, visible=known).backward()
        assert pred.grad is not None
        assert torch.equal(pred.grad.abs().sum(-1) > 0, known)


@pytest.mark.parametrize("name", MEASURES)
def test_half_precision_is_computed_in_float32(name: str) -> None:
    pred, target, known = points(0).bfloat16(), points(1).bfloat16(), some(0)
    found = MEASURES[name](pred, target, visible=known)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, MEASURES[name](pred.float(), target.float(), visible=known))


@pytest.mark.parametrize("name", [*MEASURES, "align"])
@pytest.mark.parametrize(
    ("visible", "error", "message"),
    [
        (
            torch.ones(6, 3).bool(),
            ValueError,
            "visible: expected a tensor of shape (6, 4), one value for each keypoint",
        ),
        (torch.ones(6, 4), TypeError, "visible: expected a tensor (6, 4) of bool or whole numbers"),
        ([[True]], TypeError, "visible: expected a tensor (6, 4) of bool or whole numbers, got list [[True]]"),
        (torch.zeros(6, 4).int(), ValueError, "visible: expected at least one keypoint with a label, got none"),
    ],
)
def test_refuses_a_mask_that_does_not_fit(name: str, visible: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        (MEASURES | {"align": procrustes_align})[name](points(0), points(1), visible=visible)


@pytest.mark.parametrize(
    ("scale", "error", "message"),
    [
        (torch.ones(5), ValueError, "expected a tensor of shape (6,), got a tensor of shape (5,)"),
        (torch.ones(6).int(), TypeError, "expected a floating type"),
        (2.0, TypeError, "expected a tensor (6,), got float 2.0"),
        (torch.zeros(6), ValueError, "expected finite numbers above 0, got 0 at index 0"),
        (torch.full((6,), float("nan")), ValueError, "expected finite numbers above 0, got nan at index 0"),
    ],
)
def test_refuses_sizes_that_do_not_fit(scale: Any, error: type[Exception], message: str) -> None:
    pred, target = points(0), points(1)
    for run in (
        lambda: nme(pred, target, scale),
        lambda: pck(pred, target, [1.0], scale=scale),
        lambda: auc(pred, target, scale=scale),
    ):
        with pytest.raises(error, match=re.escape(f"scale: {message}")):
            run()
    with pytest.raises(error, match=re.escape(f"area: {message}")):
        oks(pred, target, scale)
