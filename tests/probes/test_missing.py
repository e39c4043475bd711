"""Keypoints that some views lack."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from equicon.metrics import epe, procrustes_align
from equicon.probes import Features, extract_features, predict_keypoints, probe, probe_table
from equicon.probes import _regressors as _regress

seeds = st.integers(0, 2**31 - 1)
KINDS: list[Any] = ["mean", "linear", "mlp"]
NAN = float("nan")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_regress, "_STEPS", (0, 30))


def some(seed: int, n: int = 60, count: int = 4, spatial: bool = False, share: float = 0.7) -> Features:
    """Keypoints of which some have no label, seen through noise, in groups of five."""
    g = torch.Generator().manual_seed(seed)
    z = torch.randn(n, 6, generator=g)
    weight = torch.randn(6, count * 3, generator=torch.Generator().manual_seed(9))
    seen = (z @ weight + 0.3 * torch.randn(n, count * 3, generator=g)).unflatten(1, (count, 3))
    visible = torch.rand(n, count, generator=g) < share
    visible[torch.arange(n), torch.arange(n) % count] = True
    return Features(z, seen[..., :2], 0.05 * seen if spatial else None, visible, torch.arange(n) // 5)


def filled(features: Features, value: float) -> Features:
    gone = ~(features.visible > 0)[..., None]
    xyz = None if features.xyz is None else features.xyz.masked_fill(gone, value)
    return features._replace(xy=features.xy.masked_fill(gone, value), xyz=xyz)


def alone(features: Features, k: int) -> Features:
    """One keypoint, and the views that have a label of it."""
    rows = features.visible[:, k] > 0
    return Features(
        features.z[rows], features.xy[rows][:, [k]], groups=None if features.groups is None else features.groups[rows]
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spatial", [False, True])
@pytest.mark.parametrize("value", [NAN, math.inf, 1e6])
def test_what_has_no_label_does_not_matter(kind: Any, spatial: bool, value: float) -> None:
    train, test = some(0, spatial=spatial), some(1, spatial=spatial)
    wanted = probe(train, test, kind=kind, names=list("abcd"))
    assert probe(filled(train, value), filled(test, value), kind=kind, names=list("abcd")) == wanted
    coco = [f._replace(visible=2 * f.visible.to(torch.uint8)) for f in (train, test)]
    assert probe(*coco, kind=kind, names=list("abcd")) == wanted


@pytest.mark.parametrize("kind", ["mean", "linear"])
@pytest.mark.parametrize("grouped", [False, True])
@given(seed=seeds)
@settings(max_examples=5)
def test_a_keypoint_is_learned_from_the_views_that_have_it(kind: Any, grouped: bool, seed: int) -> None:
    train, test = some(seed), some(seed + 1)
    if not grouped:
        train = train._replace(groups=None)
    for k in range(4):
        # All others are labelled nowhere near: their labels are the same number, so that none chooses a penalty.
        quiet = train.xy.clone()
        quiet[:, [j for j in range(4) if j != k]] = 7.0
        found, only = predict_keypoints(train._replace(xy=quiet), test, kind=kind), Features(test.z, test.xy[:, [k]])
        torch.testing.assert_close(
            found[:, [k]], predict_keypoints(alone(train, k), only, kind=kind), atol=1e-5, rtol=0
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spatial", [False, True])
def test_with_all_labels_the_mask_makes_no_difference(kind: Any, spatial: bool) -> None:
    train, test = (some(seed, spatial=spatial)._replace(visible=None) for seed in (0, 1))
    masked = [f._replace(visible=torch.ones(60, 4, dtype=torch.int64)) for f in (train, test)]
    assert probe(*masked, kind=kind) == probe(train, test, kind=kind)


def test_errors_are_over_labels_alone_in_a_loop() -> None:
    train, test, root = some(0, spatial=True), some(1, spatial=True), 2
    found = probe(train, test, kind="mean", root=root, names=list("abcd"))
    known, learned = test.visible, train.visible
    mean = torch.stack([train.xy[learned[:, k], k].double().mean(0) for k in range(4)])
    px: list[list[float]] = [
        [float((mean[k] - test.xy[i, k]).norm()) for i in range(60) if known[i, k]] for k in range(4)
    ]
    flat = [value for values in px for value in values]
    assert found.px == pytest.approx(sum(flat) / len(flat))
    assert found.by_name == pytest.approx({name: sum(v) / len(v) for name, v in zip("abcd", px, strict=True)})
    both = [learned[:, k] & learned[:, root] for k in range(4)]
    shape = torch.stack([(train.xyz[b, k] - train.xyz[b, root]).double().mean(0) for k, b in enumerate(both)])
    mm, pa = [], []
    for i in range(60):
        if known[i, root]:
            at = known[i]
            truth = (test.xyz[i] - test.xyz[i, root]).double()[at]
            mm += [1000 * float(value) for value in (shape[at] - truth).norm(dim=-1)]
            aligned = procrustes_align(shape[at][None], truth[None])
            pa += [1000 * float(value) for value in epe(aligned, truth[None], reduction="none")[0]]
    assert (found.mm, found.pa_mm) == pytest.approx((sum(mm) / len(mm), sum(pa) / len(pa)), rel=1e-6)
    assert found.mm_interval[0] < found.mm < found.mm_interval[1]


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_missing_labels_cost_little_and_give_more_than_the_views_that_have_all(kind: Any) -> None:
    train, test = some(0, n=200, share=0.5), some(1, n=200, share=1.0)
    whole = train.visible.all(dim=1)
    few = Features(train.z[whole], train.xy[whole], groups=train.groups[whole])
    found, mean = (probe(train, test, kind=k).px for k in (kind, "mean"))
    assert found < 0.8 * mean
    if kind == "linear":
        assert found < probe(few, test).px


def test_a_keypoint_of_one_group_is_predicted_too() -> None:
    train, test = some(0), some(1)
    train.visible[:, 0] = train.groups == 3
    train.visible[:, 1] = torch.arange(60) == 7
    found = predict_keypoints(train, test)
    assert bool(found.isfinite().all())
    torch.testing.assert_close(found[:, 1], train.xy[7, 1].double().expand(60, 2))
    alone = some(0, count=1)
    alone.visible[:, 0] = alone.groups == 3
    mean = predict_keypoints(alone, some(1, count=1), kind="mean")
    spread = (alone.xy[alone.visible] - mean[0].float()).norm(dim=-1).mean()
    assert (predict_keypoints(alone, some(1, count=1)) - mean).norm(dim=-1).mean() < 0.1 * spread


def test_a_keypoint_that_no_test_view_has_is_nan_and_the_rest_is_measured() -> None:
    train, test = some(0), some(1)
    test.visible[:, 2] = False
    found = probe(train, test, names=list("abcd"))
    assert [math.isnan(value) for value in found.by_name.values()] == [False, False, True, False]
    assert math.isfinite(found.px)
    flat = some(0, spatial=True), some(1, spatial=True)
    flat[1].visible[:, 0] = False  # the root
    assert probe(*flat)[3:6] == (None, None, None)
    assert probe(*flat).px_interval is not None


def test_extraction_keeps_masks_and_groups() -> None:
    g = torch.Generator().manual_seed(0)
    whole = some(0, n=12)
    views = torch.rand(12, 3, 4, 4, generator=g)
    for visible in (whole.visible, whole.visible.to(torch.uint8) * 2):
        batches = [
            (views[i : i + 4], whole.xy[i : i + 4], None, visible[i : i + 4], whole.groups[i : i + 4].to(torch.int16))
            for i in (0, 4, 8)
        ]
        found = extract_features(nn.Flatten(), batches)
        assert (found.visible.dtype, found.groups.dtype, found.xyz) == (torch.bool, torch.int64, None)
        assert torch.equal(found.visible, whole.visible)
        assert torch.equal(found.groups, whole.groups)
        by_name = [Features(v, xy, groups=groups) for v, xy, _, _, groups in batches]
        assert torch.equal(extract_features(nn.Flatten(), by_name).groups, whole.groups)
        assert extract_features(nn.Flatten(), by_name).visible is None


@pytest.mark.parametrize("field", ["visible", "groups"])
def test_refuses_batches_of_which_some_have_no_mask_or_groups(field: str) -> None:
    views, whole = torch.rand(4, 3, 4, 4), some(0, n=4)
    full = Features(views, *whole[1:])
    with pytest.raises(ValueError, match=f"batches: {field}: expected a tensor, as in the first batch, got None"):
        extract_features(nn.Flatten(), [full, full._replace(**{field: None})])
    with pytest.raises(ValueError, match=f"batches: {field}: expected None, as in the first batch, got a tensor"):
        extract_features(nn.Flatten(), [full._replace(**{field: None}), full])


def change(features: Features, visible: Tensor | Any) -> Features:
    return features._replace(visible=visible)


@pytest.mark.parametrize("run", [probe, probe_table])
@pytest.mark.parametrize(
    ("train", "test", "error", "message"),
    [
        (
            change(some(0), torch.ones(60, 4)),
            some(1),
            TypeError,
            r"train\.visible: expected a tensor \(N, 4\) of bool or",
        ),
        (change(some(0), torch.ones(60, 3).int()), some(1), ValueError, r"train\.visible: .* shape \(N, 4\), got"),
        (some(0), change(some(1), torch.ones(9, 4).int()), ValueError, r"test\.visible: expected a batch of 60"),
        (
            some(0),
            change(some(1), torch.zeros(60, 4).int()),
            ValueError,
            r"test\.visible: expected at least one keypoint",
        ),
        (
            change(some(0), torch.tensor([1, 1, 0, 1]).expand(60, 4)),
            some(1),
            ValueError,
            r"train\.visible: expected a label of each keypoint, got none in 2D of keypoint 2 among 60 views",
        ),
        (
            change(some(0, spatial=True), torch.eye(4).int().repeat(15, 1)),
            some(1, spatial=True),
            ValueError,
            r"train\.visible: expected a label of each keypoint, got none in 3D of keypoint 1 among 60 views",
        ),
        (filled(some(0), NAN)._replace(visible=None), some(1), ValueError, r"train\.xy: .* index \d+\. Give visible"),
    ],
)
def test_refuses_masks_that_do_not_fit(
    run: Any, train: Features, test: Features, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(train, test, **({} if run is probe else {"fractions": [1.0]}))
