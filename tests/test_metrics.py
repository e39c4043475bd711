from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from equicon.metrics import auc, epe, pck, procrustes_align

GOLDEN = Path(__file__).parent / "data" / "freihand_official_metrics.npz"
MEASURES: list[Callable[..., Tensor]] = [epe, auc, lambda pred, target: pck(pred, target, [0.1])]

seeds = st.integers(0, 2**31 - 1)


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    with np.load(GOLDEN) as data:
        return {name: torch.from_numpy(np.asarray(data[name])) for name in data.files}


def points(seed: int, n: int = 5, count: int = 21, dim: int = 3) -> Tensor:
    return torch.randn(n, count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def orthogonal(seed: int, dim: int, reflect: bool) -> Tensor:
    q: Tensor = torch.linalg.qr(points(seed, 1, dim, dim)[0]).Q
    q[:, 0] *= torch.sign(torch.linalg.det(q)) * (-1 if reflect else 1)
    return q


def reference(pred: NDArray[np.float64], target: NDArray[np.float64], thresholds: NDArray[np.float64]) -> list[float]:
    """Mean, median and area, keypoint by keypoint and distance by distance, as the official program goes about it."""
    means, medians, areas = [], [], []
    for k in range(pred.shape[1]):
        distances = [float(np.sqrt(sum((p - t) ** 2))) for p, t in zip(pred[:, k], target[:, k], strict=True)]
        curve = [sum(d <= t for d in distances) / len(distances) for t in thresholds]
        means.append(np.mean(distances))
        medians.append(np.median(distances))
        steps = range(len(thresholds) - 1)
        area = sum((curve[i] + curve[i + 1]) / 2 * (thresholds[i + 1] - thresholds[i]) for i in steps)
        areas.append(area / (thresholds[-1] - thresholds[0]))
    return [float(np.mean(values)) for values in (means, medians, areas)]


def align_one(pred: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """One sample, normalised first, as the official program goes about it."""
    p, t = pred - pred.mean(0), target - target.mean(0)
    norm_p, norm_t = np.linalg.norm(p) + 1e-8, np.linalg.norm(t) + 1e-8
    u, s, vh = np.linalg.svd((t / norm_t).T @ (p / norm_p))
    return np.asarray((p / norm_p) @ (u @ vh).T * s.sum() * norm_t + target.mean(0))


@pytest.mark.parametrize("prefix", ["", "pa_"])
def test_agrees_with_the_official_evaluation(golden: dict[str, Tensor], prefix: str) -> None:
    pred, target = golden["pred_xyz_m"], golden["gt_xyz_m"]
    if prefix:
        pred = procrustes_align(pred, target)
        torch.testing.assert_close(pred, golden["aligned_xyz_m"], atol=1e-10, rtol=0)
    got = {
        "mean_m": epe(pred, target),
        "median_m": epe(pred, target, reduction="median"),
        "auc": auc(pred, target),
        "pck": pck(pred, target, golden["thresholds_m"]),
    }
    for name, value in got.items():
        torch.testing.assert_close(value, golden[prefix + name], atol=1e-10, rtol=0, msg=name)


def test_float32_agrees_with_the_official_evaluation(golden: dict[str, Tensor]) -> None:
    pred, target = golden["pred_xyz_m"].float(), golden["gt_xyz_m"].float()
    aligned = procrustes_align(pred, target)
    torch.testing.assert_close(aligned, golden["aligned_xyz_m"].float(), atol=1e-6, rtol=0)
    torch.testing.assert_close(epe(aligned, target), golden["pa_mean_m"].float(), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        epe(aligned, target, reduction="median"), golden["pa_median_m"].float(), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(auc(aligned, target), golden["pa_auc"].float(), atol=1e-6, rtol=0)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, n=st.integers(1, 8), count=st.integers(1, 6), dim=st.sampled_from([2, 3]))
def test_agrees_with_a_loop(seed: int, n: int, count: int, dim: int) -> None:
    pred, target = points(seed, n, count, dim), points(seed + 1, n, count, dim)
    thresholds = torch.linspace(0.5, 4, 7, dtype=torch.float64)
    expected = reference(pred.numpy(), target.numpy(), thresholds.numpy())
    got = [epe(pred, target), epe(pred, target, reduction="median"), auc(pred, target, thresholds)]
    assert [float(value) for value in got] == pytest.approx(expected, abs=1e-12)
    aligned = procrustes_align(pred, target)
    for i in range(n):
        np.testing.assert_allclose(aligned[i], align_one(pred[i].numpy(), target[i].numpy()), atol=1e-10)


def test_the_median_is_taken_per_keypoint_and_averages_the_middle_two() -> None:
    distances = torch.tensor([[1.0, 10.0], [2.0, 20.0], [4.0, 70.0], [9.0, 90.0]])
    pred = torch.stack([distances, torch.zeros_like(distances)], dim=-1)
    assert epe(pred, torch.zeros_like(pred), reduction="median") == (3.0 + 45.0) / 2
    assert epe(pred[:3], torch.zeros_like(pred[:3]), reduction="median") == (2.0 + 20.0) / 2


def test_every_distance_on_request() -> None:
    pred, target = points(0), points(1)
    distances = epe(pred, target, reduction="none")
    assert distances.shape == (5, 21)
    assert distances[3, 7] == pytest.approx(float((pred[3, 7] - target[3, 7]).norm()))


def test_a_threshold_counts_what_lies_on_it() -> None:
    pred = torch.tensor([[[3.0, 4.0], [0.0, 1.0]]])
    torch.testing.assert_close(
        pck(pred, torch.zeros_like(pred), [0.5, 1.0, 4.9, 5.0]), torch.tensor([0.0, 0.5, 0.5, 1.0])
    )


def test_nan_is_a_miss_and_shows_in_the_error() -> None:
    pred, target = torch.zeros(4, 3, 3), torch.zeros(4, 3, 3)
    pred[1, 2, 0] = float("nan")
    torch.testing.assert_close(pck(pred, target, [0.01, 1e9]), torch.full((2,), 11 / 12))
    assert epe(pred, target).isnan()
    assert epe(pred, target, reduction="median").isnan()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_never_right(value: float) -> None:
    good, wrong = torch.zeros(4, 3, 3), torch.zeros(4, 3, 3)
    wrong[2, 1, 0] = value
    for pred, target in ((good, wrong), (wrong, good), (wrong, wrong)):
        assert pck(pred, target, [0.0, 3e38]).tolist() == pytest.approx([11 / 12] * 2)
        assert float(auc(pred, target)) == pytest.approx(11 / 12)
        assert not epe(pred, target).isfinite()
        with pytest.raises(ValueError, match=r"(pred|target): expected finite keypoints, got NaN or infinity at .* 2"):
            procrustes_align(pred, target)
    lone = torch.full((1, 1, 2), value)
    assert pck(lone, lone, [1.0]) == 0


@settings(max_examples=40, deadline=None)
@given(seed=seeds, scale=st.floats(0.01, 100), reflect=st.booleans(), dim=st.sampled_from([2, 3]))
def test_alignment_undoes_a_similarity(seed: int, scale: float, reflect: bool, dim: int) -> None:
    target = points(seed, dim=dim)
    pred = scale * target @ orthogonal(seed, dim, reflect) + points(seed + 1, 5, 1, dim)
    torch.testing.assert_close(procrustes_align(pred, target), target, atol=1e-5, rtol=0)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, scale=st.floats(0.01, 100), reflect=st.booleans(), dim=st.sampled_from([2, 3]))
def test_alignment_is_the_best_and_depends_on_the_shape_alone(seed: int, scale: float, reflect: bool, dim: int) -> None:
    pred, target = points(seed, dim=dim), points(seed + 1, dim=dim)
    aligned = procrustes_align(pred, target)
    moved = scale * pred @ orthogonal(seed, dim, reflect) + points(seed + 2, 5, 1, dim)
    torch.testing.assert_close(procrustes_align(moved, target), aligned, atol=1e-5, rtol=0)
    error = (aligned - target).square().sum((-2, -1))
    centre = target.mean(-2, keepdim=True)
    near = torch.linalg.qr(torch.eye(dim, dtype=torch.float64) + 0.05 * points(seed + 3, 1, dim, dim)[0]).Q
    for turn in (torch.eye(dim, dtype=torch.float64), near, orthogonal(seed + 4, dim, reflect)):
        for factor, shift in ((0.9, 0.0), (1.1, 0.0), (1.0, 0.1), (1.0, 0.0)):
            other = factor * (aligned - centre) @ turn + centre + shift
            assert bool(((other - target).square().sum((-2, -1)) >= error - 1e-9).all())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_autocast_does_not_round_an_alignment(dtype: torch.dtype) -> None:
    xyz = 0.1 * torch.rand(8, 21, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = procrustes_align(5 - 2 * xyz, xyz)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = procrustes_align(5 - 2 * xyz, xyz)
    assert found.equal(expected)
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    if dtype != torch.bfloat16:
        assert float(epe(found, xyz)) < 1e-6  # metres; float32 has the similar points to 2e-7


@pytest.mark.parametrize("count", [1, 21])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_points_go_to_the_centre(count: int, dtype: torch.dtype) -> None:
    target = points(0, count=count).to(dtype)
    pred = torch.full_like(target, 0.6)
    centre = target.mean(-2, keepdim=True).expand_as(target)
    torch.testing.assert_close(procrustes_align(pred, target), centre, atol=1e-5, rtol=0)
    torch.testing.assert_close(procrustes_align(target, pred), pred, atol=1e-5, rtol=0)


def test_points_on_a_line_align() -> None:
    target = torch.linspace(-1, 1, 5, dtype=torch.float64)[None, :, None] * torch.tensor([0.0, 0.6, 0.8])
    pred = torch.linspace(3, 9, 5, dtype=torch.float64)[None, :, None] * torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(procrustes_align(pred, target), target, atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    pred, target = points(0).to(dtype), points(1).to(dtype)
    for measure in (*MEASURES, procrustes_align):
        got = measure(pred, target)
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, measure(pred.float(), target.float()))
    assert epe(pred, target.double()).dtype == torch.float64


@pytest.mark.parametrize("measure", [*MEASURES, procrustes_align])
def test_wrong_keypoints_raise(measure: Callable[..., Tensor]) -> None:
    good = torch.zeros(4, 21, 3)
    with pytest.raises(
        ValueError, match=r"pred: expected a tensor of shape \(N, K, 3\) or \(N, K, 2\), got .*\(21, 3\)"
    ):
        measure(good[0], good)
    with pytest.raises(ValueError, match=r"target: expected a tensor of shape .*, got .*\(4, 3, 21\)"):
        measure(good, good.mT)
    with pytest.raises(ValueError, match=r"pred: expected the shape of target, \(4, 21, 3\), got .*\(4, 20, 3\)"):
        measure(good[:, :20], good)
    with pytest.raises(ValueError, match="pred: expected at least one sample and one keypoint"):
        measure(good[:0], good[:0])
    with pytest.raises(TypeError, match=r"pred: expected a tensor .*as_tensor"):
        measure(good.tolist(), good)
    with pytest.raises(TypeError, match="target: expected a floating type"):
        measure(good, good.long())


def test_wrong_options_raise() -> None:
    good = torch.zeros(4, 21, 3)
    with pytest.raises(ValueError, match="reduction: expected 'mean', 'median' or 'none', got str 'sum'"):
        epe(good, good, reduction="sum")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"thresholds: expected distances of shape \(T,\)"):
        pck(good, good, torch.zeros(2, 2))
    for measure in (pck, auc):
        for wrong in ([float("nan")], [0.0, float("inf")], [-0.1, 0.1], [0.0, 1e39]):
            with pytest.raises(ValueError, match=r"thresholds: expected finite distances of at least 0, got \["):
                measure(good, good, wrong)
    for wrong in ([0.1], [0.1, 0.1], [0.2, 0.1]):
        with pytest.raises(ValueError, match="thresholds: expected at least two distances that increase"):
            auc(good, good, wrong)
