"""Whole groups of views are left out, and drawn, where there are groups."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from equicon.probes import Features, predict_keypoints, probe, probe_table
from equicon.probes import _regressors as _regress
from equicon.probes._ridge import _PENALTIES, predict_ridge

seeds = st.integers(0, 2**31 - 1)


def videos(seed: int, counts: list[int], width: int, noise: float = 0.3) -> tuple[Tensor, list[Tensor], Tensor]:
    """Samples of videos, which differ in their features and targets more than the frames of one video."""
    g = torch.Generator().manual_seed(seed)
    groups = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    x = torch.randn(len(groups), width, generator=g, dtype=torch.float64)
    x = 0.3 * x + torch.randn(len(counts), width, generator=g, dtype=torch.float64)[groups]
    shift = torch.randn(len(counts), 6, generator=g, dtype=torch.float64)[groups]
    y = x @ torch.randn(width, 6, generator=g, dtype=torch.float64) + noise * shift
    targets = [
        (y + noise * torch.randn(y.shape, generator=g, dtype=torch.float64))[:, part] for part in ([0, 1], [2, 3, 4])
    ]
    return x, [y[:, None] for y in targets], groups


def reference(x: Tensor, y: Tensor, groups: Tensor, x_test: Tensor) -> tuple[int, Tensor]:
    """Leave out one group at a time, for one penalty at a time, by the normal equations."""
    x_test = x_test.clamp(2 * x.amin(0) - x.amax(0), 2 * x.amax(0) - x.amin(0))
    mean, std, n = x.mean(0), x.std(0, correction=0), len(x)
    x, x_test = (x - mean) / std, (x_test - mean) / std

    def solve(x: Tensor, y: Tensor, penalty: float, at: Tensor) -> Tensor:
        a, b = x - x.mean(0), y - y.mean(0)
        weights = torch.linalg.solve(a.T @ a + penalty * n * torch.eye(a.shape[1], dtype=a.dtype), a.T @ b)
        return (at - x.mean(0)) @ weights + y.mean(0)

    losses = []
    for penalty in _PENALTIES:
        parts = [(groups != g, groups == g) for g in groups.unique()]
        errors = [solve(x[rest], y[rest], penalty, x[out]) - y[out] for rest, out in parts]
        losses.append(sum(float(error.square().sum()) for error in errors))
    best = losses.index(min(losses))
    return best, solve(x, y, _PENALTIES[best], x_test)


# Equal and unequal groups, those larger than the width of the features, and fewer samples than features.
COUNTS = [[5] * 8, [1, 2, 3, 4, 5, 6, 20], [30, 31, 9], [2] * 10, [1] * 12, [3, 40]]


@pytest.mark.parametrize("counts", COUNTS, ids=str)
@pytest.mark.parametrize("width", [4, 30])
@pytest.mark.parametrize("noise", [0.03, 1.0])
def test_ridge_agrees_with_leaving_groups_out_in_a_loop(counts: list[int], width: int, noise: float) -> None:
    x, targets, groups = videos(3, counts, width, noise)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    x, targets, groups = x[order], [y[order] for y in targets], groups[order]
    x_test = 2 * torch.randn(9, width, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = predict_ridge(x, targets, x_test, groups=groups)
    for one, y in zip(found, targets, strict=True):
        wanted = reference(x, y.flatten(1), groups, x_test)[1]
        torch.testing.assert_close(one.flatten(1), wanted, atol=1e-6, rtol=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, width=st.sampled_from([4, 30]))
def test_groups_of_one_are_single_samples_and_names_of_groups_do_not_matter(seed: int, width: int) -> None:
    x, targets, groups = videos(seed, [4, 5, 6, 7], width)
    single = predict_ridge(x, targets, x)
    alone = predict_ridge(x, targets, x, groups=torch.randperm(22, generator=torch.Generator().manual_seed(seed)))
    renamed = predict_ridge(x, targets, x, groups=7 - 100 * groups)
    for one, other, y, z in zip(single, alone, renamed, predict_ridge(x, targets, x, groups=groups), strict=True):
        torch.testing.assert_close(one, other, atol=1e-8, rtol=0)
        torch.testing.assert_close(y, z, atol=1e-8, rtol=0)


def frames(seed: int = 0, count: int = 12, length: int = 15) -> Features:
    """Videos whose frames are nearly alike, with features that tell the video better than the pose."""
    g = torch.Generator().manual_seed(seed)
    groups = torch.repeat_interleave(torch.arange(count), length)
    pose = torch.randn(count, 4, generator=g)[groups] + 0.05 * torch.randn(count * length, 4, generator=g)
    scene = torch.randn(count, 40, generator=g)[groups]
    weight = torch.randn(4, 40, generator=torch.Generator().manual_seed(9))
    z = 3 * scene + 0.5 * pose @ weight + 0.05 * torch.randn(count * length, 40, generator=g)
    return Features(z, 10 * pose.unflatten(1, (2, 2)), groups=groups)


def test_a_probe_of_videos_is_no_worse_than_the_mean_on_other_videos() -> None:
    by_frame, by_video, mean = [], [], []
    for seed in range(3):
        train, test = frames(seed), frames(100 + seed)
        by_video.append(probe(train, test).px)
        by_frame.append(probe(train._replace(groups=None), test).px)
        mean.append(probe(train, test, kind="mean").px)
    assert sum(by_video) < 1.05 * sum(mean)
    assert sum(by_video) < 0.9 * sum(by_frame)


def test_features_of_a_size_never_seen_do_no_harm() -> None:
    train, test = frames(), frames(1)
    low, high = train.z.amin(0), train.z.amax(0)
    test.z[:, 3] = 1e9
    wanted = predict_keypoints(train, test._replace(z=test.z.clamp(2 * low - high, 2 * high - low)))
    torch.testing.assert_close(predict_keypoints(train, test), wanted)
    assert probe(train, test).px < 3 * probe(train, test, kind="mean").px


@pytest.mark.parametrize("counts", [[50, 50], [5] * 20, [1] * 100, [80, 10, 10], [97, 1, 1, 1]], ids=str)
def test_the_network_holds_out_whole_groups_about_a_fifth(counts: list[int]) -> None:
    groups = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    for seed in range(5):
        held, kept = _regress._hold_out_a_fifth(groups, groups, torch.Generator().manual_seed(seed))
        assert sorted([*held.tolist(), *kept.tolist()]) == list(range(100))
        assert 0 < len(held) < 100
        assert not set(groups[held].tolist()) & set(groups[kept].tolist())
        if max(counts) <= 5:
            assert abs(len(held) - 20) <= 3


def test_the_network_is_told_the_groups_of_its_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_regress, "_STEPS", (0, 3))
    train, test, kept = frames(), frames(1), []
    inner = _regress._train

    def spy(x: Tensor, *rest: Any) -> Any:
        kept.append(len(x))
        return inner(x, *rest)

    monkeypatch.setattr(_regress, "_train", spy)
    for fraction, labels in ((1.0, 180), (0.5, 90)):
        kept.clear()
        probe(train, test, kind="mlp", fraction=fraction)
        assert kept[-1] == labels
        assert 0.6 * labels < kept[0] == kept[1] < 0.95 * labels
    assert probe(train, test, kind="mlp").px != probe(train._replace(groups=None), test, kind="mlp").px


def test_labels_are_drawn_from_all_groups_alike() -> None:
    train, test = frames(), frames(1)
    few, many = (probe_table(train, test, kinds=["linear"], fractions=[f])[0] for f in (0.1, 1.0))
    assert (few.labels, many.labels) == (18, 180)
    assert (
        probe(train, test, kind="mean", fraction=0.1).px
        == probe(train._replace(groups=None), test, kind="mean", fraction=0.1).px
    )


# --- intervals


def test_an_interval_agrees_with_drawing_groups_in_a_loop() -> None:
    train, test = frames(), frames(1)
    found = probe(train, test, kind="mean")
    errors = (test.xy.double() - train.xy.double().mean(0)).norm(dim=-1)
    g, means = torch.Generator().manual_seed(5), []
    for _ in range(4000):
        drawn = torch.randint(12, (12,), generator=g)
        means.append(float(torch.cat([errors[test.groups == k] for k in drawn]).mean()))
    wanted = torch.tensor(means).quantile(torch.tensor([0.025, 0.975])).tolist()
    assert found.px_interval == pytest.approx(wanted, rel=0.03)
    assert found.px_interval[0] < found.px < found.px_interval[1]


@settings(max_examples=8, deadline=None)
@given(seed=seeds)
def test_an_interval_of_groups_is_wider_than_one_of_frames_and_draws_from_the_seed(seed: int) -> None:
    train, test = frames(seed), frames(seed + 1)
    grouped, single = (probe(train, t, kind="mean", seed=3) for t in (test, test._replace(groups=None)))
    assert grouped.px == single.px
    wide, narrow = (high - low for low, high in (grouped.px_interval, single.px_interval))
    assert wide > 2 * narrow  # 15 frames of a video are one observation, so about √15
    assert probe(train, test, kind="mean", seed=3) == grouped
    assert probe(train, test, kind="mean", seed=4).px_interval != grouped.px_interval


@pytest.mark.slow
def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    train = frames(0)
    truth = sum(probe(train, frames(s, count=60, length=2), kind="mean").px for s in range(1000, 1020)) / 20
    hits = 0
    for seed in range(100):
        low, high = probe(train, frames(seed, count=40, length=3), kind="mean").px_interval
        hits += low <= truth <= high
    assert 88 <= hits <= 100


def test_intervals_have_units_and_3d_has_one_too() -> None:
    train, test = (f._replace(xyz=torch.cat([f.xy, f.xy[..., :1]], -1) / 1000) for f in (frames(), frames(1)))
    found = probe(train, test)
    for value, interval in ((found.px, found.px_interval), (found.mm, found.mm_interval)):
        assert interval[0] < value < interval[1]
    scaled = probe(train, test._replace(xy=4 * test.xy), kind="mean")
    assert scaled.px_interval != found.px_interval
    assert probe(train, test._replace(groups=torch.zeros(180, dtype=torch.int32))).px_interval is None
    one = Features(*(None if v is None else v[:1] for v in test))
    assert probe(train, one).px_interval is None
    flat = probe(train._replace(xyz=None), test._replace(xyz=None))
    assert (flat.px_interval, flat.mm_interval) == (found.px_interval, None)


def test_equal_errors_have_an_interval_of_no_width() -> None:
    train = Features(torch.rand(20, 3), torch.zeros(20, 1, 2))
    test = Features(torch.rand(30, 3), torch.tensor([3.0, 4.0]).expand(30, 1, 2), groups=torch.arange(30) // 3)
    low, high = probe(train, test, kind="mean").px_interval
    assert math.isclose(low, 5)
    assert math.isclose(high, 5)


# --- errors


@pytest.mark.parametrize("run", [probe, probe_table])
def test_refuses_labels_of_one_group(run: Any) -> None:
    train, named = frames(), {} if run is probe else {"fractions": [1.0]}
    with pytest.raises(
        ValueError, match=r"train\.groups: expected at least two groups .* one among 180 views\. Frames"
    ):
        run(train._replace(groups=torch.zeros(180, dtype=torch.long)), frames(1), **named)


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        (torch.arange(179), ValueError, "groups: expected a batch of 180, like z, got a batch of 179"),
        (torch.zeros(180), TypeError, r"groups: expected a tensor \(N,\) of whole numbers, got .*float32\. Number the"),
        (torch.zeros(180, 1).int(), ValueError, r"groups: expected a tensor of shape \(N,\)"),
        (torch.tensor(3), ValueError, r"groups: expected a tensor of shape \(N,\)"),
        (["video"] * 180, TypeError, r"groups: expected a tensor \(N,\) of whole numbers, got list \['video', "),
    ],
)
def test_refuses_groups_that_do_not_fit(groups: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=rf"train\.{message}"):
        probe(frames()._replace(groups=groups), frames(1))
    with pytest.raises(error, match=rf"test\.{message}"):
        probe(frames(), frames(1)._replace(groups=groups))
