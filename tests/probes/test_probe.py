import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from equicon.metrics import epe, procrustes_align
from equicon.probes import Features, ProbeResult, _probe, predict_keypoints, probe, probe_table
from equicon.probes import _regressors as _regress

seeds = st.integers(0, 2**31 - 1)
KINDS: list[Any] = ["mean", "linear", "mlp"]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_regress, "_STEPS", (0, 20, 100))


def hands(n: int, seed: int = 0, noise: float = 0.3) -> Features:
    """Hands of one shape that turn, with features that are a linear function of their joints and noise."""
    g = torch.Generator().manual_seed(seed)
    shape = 0.05 * torch.randn(21, 3, generator=torch.Generator().manual_seed(99))
    turn = torch.linalg.qr(torch.eye(3) + 0.3 * torch.randn(n, 3, 3, generator=g)).Q
    xyz = shape @ turn + torch.tensor([0.0, 0.0, 0.7]) + 0.1 * torch.randn(n, 1, 3, generator=g)
    xy = 32 + 400 * (xyz - xyz.mean(dim=1, keepdim=True))[..., :2]
    seen = torch.cat([xy.flatten(1) / 20, (xyz - xyz[:, :1]).flatten(1) / 0.05], dim=1)
    z = seen @ torch.randn(105, 12, generator=torch.Generator().manual_seed(98)) / 10
    return Features(z + noise * torch.randn(z.shape, generator=g), xy, xyz)


def rows(features: Features, index: Any) -> Features:
    return Features(*(None if value is None else value[index] for value in features))  # type: ignore[arg-type]


def close(found: ProbeResult, wanted: ProbeResult, tolerance: float = 1e-6) -> None:
    assert found[:2] == wanted[:2]
    assert found[2:6] == pytest.approx(wanted[2:6], rel=tolerance, abs=tolerance)
    assert found.by_name == wanted.by_name


TRAIN, TEST = hands(120, 0), hands(30, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_keypoints_are_where_the_probe_measures_them(kind: Any) -> None:
    for fraction in (0.5, 1.0):
        found = predict_keypoints(TRAIN, TEST, kind=kind, fraction=fraction, seed=3)
        errors = probe(TRAIN, TEST, kind=kind, fraction=fraction, seed=3)
        assert epe(found, TEST.xy.double()).item() == pytest.approx(errors.px)
    flat = [features._replace(xyz=None) for features in (TRAIN, TEST)]
    assert predict_keypoints(*flat, kind=kind).shape == TEST.xy.shape
    with pytest.raises(ValueError, match=r"fraction: expected at least 5 labels"):
        predict_keypoints(TRAIN, TEST, kind=kind, fraction=0.01)
    with pytest.raises(ValueError, match=r"kind: expected"):
        predict_keypoints(TRAIN, TEST, kind="forest")  # type: ignore[arg-type]


def test_the_mean_in_a_loop() -> None:
    xy, xyz = TRAIN.xy.double().mean(0), (TRAIN.xyz - TRAIN.xyz[:, :1]).double().mean(0)
    px, mm, pa = [], [], []
    for i in range(len(TEST.z)):
        true = TEST.xyz[i].double() - TEST.xyz[i, 0].double()
        aligned = procrustes_align(xyz[None], true[None])[0]
        for joint in range(21):
            px.append(float((xy[joint] - TEST.xy[i, joint]).norm()))
            mm.append(1000 * float((xyz[joint] - true[joint]).norm()))
            pa.append(1000 * float((aligned[joint] - true[joint]).norm()))
    shares = [sum(miss <= 50 * k / 99 for miss in pa) / len(pa) for k in range(100)]
    area = sum((one + two) / 2 for one, two in itertools.pairwise(shares)) / 99
    wanted = ProbeResult("mean", 120, *(sum(values) / len(values) for values in (px, mm, pa)), area)
    close(probe(TRAIN, TEST, kind="mean"), wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_units_and_the_root(kind: Any) -> None:
    # One joint of 21 is 5 pixels off and 50 mm off. Where the hands are in space does not matter.
    z, xy, xyz = rows(TRAIN, [0]).z, TRAIN.xy[:1], TRAIN.xyz[:1]
    train = Features(z.expand(20, -1), xy.expand(20, -1, -1), xyz + torch.rand(20, 1, 3))
    moved_xy, moved_xyz = xy.clone(), xyz.clone()
    moved_xy[:, 7] += torch.tensor([3.0, 4.0])
    moved_xyz[:, 7] += torch.tensor([0.03, 0.0, 0.04])
    found = probe(train, Features(z, moved_xy, moved_xyz - 2), kind=kind)
    assert found.px == pytest.approx(5 / 21, abs=1e-4)
    assert found.mm == pytest.approx(50 / 21, abs=1e-3)
    assert 0 < found.pa_mm < 2 * found.mm


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds)
@settings(max_examples=3)
def test_a_test_hand_is_measured_by_itself(kind: Any, seed: int) -> None:
    # So nothing of the test reaches the fit: neither its features nor its joints, whatever they are.
    other = hands(10, seed)
    other = Features(1e3 * other.z, -50 * other.xy, 9 * other.xyz.flip(1))
    both = Features(*(torch.cat(pair) for pair in zip(TEST[:3], other[:3], strict=True)))
    parts = [probe(TRAIN, part, kind=kind) for part in (TEST, other)]
    mixed = [0.75 * one + 0.25 * two for one, two in zip(parts[0][2:6], parts[1][2:6], strict=True)]
    close(probe(TRAIN, both, kind=kind), ProbeResult(kind, 120, *mixed), 1e-5)


def test_what_the_features_show_is_found() -> None:
    train, test = hands(200, 2, noise=0.0), hands(50, 3, noise=0.0)
    shown = [
        Features(torch.cat([f.xy.flatten(1), (f.xyz - f.xyz[:, :1]).flatten(1)], 1), f.xy, f.xyz) for f in (train, test)
    ]
    mean, exact = probe(*shown, kind="mean"), probe(*shown)
    assert all(one < 1e-2 * other for one, other in zip(exact[2:5], mean[2:5], strict=True))
    assert mean.pa_auc < exact.pa_auc
    for kind in ("linear", "mlp"):
        found = probe(TRAIN, TEST, kind=kind)
        assert all(
            one < 0.8 * other for one, other in zip(found[2:4], probe(TRAIN, TEST, kind="mean")[2:4], strict=True)
        )


def test_labels_of_a_smaller_fraction_are_among_those_of_a_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[set[float]] = []

    def spy(x: Tensor, targets: Sequence[Tensor], x_test: Tensor, groups: None) -> list[Tensor]:
        used.append(set(x[:, 0].tolist()))
        return _regress.predict_mean(x, targets, x_test)

    monkeypatch.setattr(_probe, "predict_ridge", spy)
    results = [probe(TRAIN, TEST, fraction=fraction, seed=seed) for seed in (0, 1) for fraction in (0.046, 0.1, 1.0)]
    assert [len(labels) for labels in used] == [row.labels for row in results] == 2 * [6, 12, 120]
    assert used[0] < used[1] < used[2] == used[5]
    assert used[3] < used[4] < used[5]
    assert used[0] != used[3]


def test_all_labels_give_the_same_linear_probe_whatever_their_order() -> None:
    order = torch.randperm(120, generator=torch.Generator().manual_seed(5))
    close(probe(rows(TRAIN, order), TEST, seed=3), probe(TRAIN, TEST))


@pytest.mark.parametrize("kind", KINDS)
def test_draws_from_its_seed_alone(kind: Any) -> None:
    state = torch.get_rng_state()
    first = probe(TRAIN, TEST, kind=kind, fraction=0.5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert probe(TRAIN, TEST, kind=kind, fraction=0.5) == first
    assert probe(TRAIN, TEST, kind=kind, fraction=0.5, seed=1) != first


def test_the_network_has_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []

    def spy(
        x: Tensor, targets: Sequence[Tensor], x_test: Tensor, *, seed: int, groups: None, progress: None
    ) -> list[Tensor]:
        given.append(seed)
        return _regress.predict_mean(x, targets, x_test)

    monkeypatch.setattr(_probe, "predict_mlp", spy)
    probe(TRAIN, TEST, kind="mlp", seed=7)
    assert given == [7]


@pytest.mark.parametrize("kind", KINDS)
def test_the_fewest_labels_and_poses_without_extent(kind: Any) -> None:
    flat = Features(TRAIN.z[:5], torch.ones(5, 21, 2), torch.rand(5, 1, 3).expand(-1, 21, -1))
    found = probe(flat, TEST, kind=kind)
    assert found.labels == 5
    radius = epe(TEST.xyz.mean(dim=1, keepdim=True).expand_as(TEST.xyz), TEST.xyz)  # all joints on the centre
    assert found.pa_mm == pytest.approx(1000 * float(radius), rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_features_of_other_types(dtype: torch.dtype) -> None:
    train, test = (f._replace(z=f.z.to(dtype)) for f in (TRAIN, TEST))
    close(probe(train, test), probe(TRAIN, TEST), 2e-2 if dtype == torch.float16 else 1e-9)


def test_progress_goes_round_the_steps_of_training() -> None:
    calls, ticks = [], []

    def progress(wrapped: list[Any]) -> Iterable[Any]:
        calls.append(len(wrapped))
        for step in wrapped:
            ticks.append(step)
            yield step

    assert probe(TRAIN, TEST, kind="mlp", progress=progress) == probe(TRAIN, TEST, kind="mlp")
    assert calls == [0 + 20 + 100 + 100]  # at most: of all lengths, and of the best of them once more
    assert 120 <= len(ticks) <= 220
    assert len(ticks) - 120 in (0, 20, 100)


# --- errors


def broken(features: Features, field: str, value: float) -> Features:
    changed = getattr(features, field).clone()
    changed.flatten()[-1] = value
    return features._replace(**{field: changed})


@pytest.mark.parametrize("field", ["z", "xy", "xyz"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("run", [probe, probe_table])
def test_refuses_numbers_that_are_not_finite(run: Any, field: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"train\.{field}: expected finite numbers, got NaN or infinity at index 119"):
        run(broken(TRAIN, field, value), TEST)
    with pytest.raises(ValueError, match=rf"test\.{field}: expected finite numbers, got NaN or infinity at index 29"):
        run(TRAIN, broken(TEST, field, value))


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (TRAIN._replace(z=TRAIN.z[:7]), TEST, "train.xy: expected a batch of 7, like z, got a batch of 120"),
        (TRAIN, TEST._replace(xyz=TEST.xyz[:7]), "test.xyz: expected a batch of 30, like z, got a batch of 7"),
        (TRAIN, TEST._replace(z=TEST.z[:, :7]), "test.z: expected 12 features, as in train"),
        (TRAIN._replace(z=TRAIN.z[:, :0]), TEST, "train.z: expected features of shape (N, D)"),
        (TRAIN, rows(TEST, []), "test.z: expected at least one view"),
        (TRAIN, TEST._replace(xy=TEST.xyz), "test.xy: expected a tensor of shape (N, K, 2)"),
        (TRAIN, TEST._replace(xy=TEST.xy[:, 1:], xyz=None), "test.xy: expected 21 keypoints, as in train, got"),
        (TRAIN, TEST._replace(xyz=None), "test.xyz: expected keypoints in 3D, as in train, got None"),
        (TRAIN._replace(xyz=None), TEST, "test.xyz: expected None, as in train, got a tensor of shape (30, 21, 3)"),
        (TRAIN, TEST._replace(xyz=TEST.xyz[:, 1:]), "test.xyz: expected a tensor of shape (N, 21, 3)"),
        (TRAIN._replace(xy=TRAIN.xy[:, :0]), TEST, "train.xy: expected at least one keypoint"),
        (rows(TRAIN, [0, 1, 2, 3]), TEST, "at least 5 labels, got 1 of 4, which is 4"),
    ],
)
def test_refuses_features_that_do_not_fit(train: Features, test: Features, message: str) -> None:
    for run, named in ((probe, {}), (probe_table, {"fractions": [1.0]})):
        with pytest.raises(ValueError, match=re.escape(message)):
            run(train, test, **named)


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        ({"kind": "knn"}, ValueError, "kind: expected one of mean, linear, mlp"),
        ({"fraction": 0.01}, ValueError, "fraction: expected at least 5 labels, got 0.01 of 120, which is 1"),
        ({"fraction": 1.5}, ValueError, "fraction: expected a number in [0, 1]"),
        ({"fraction": "all"}, TypeError, "fraction: expected a number"),
        ({"seed": -1}, ValueError, "seed: expected a whole number of at least 0"),
        ({"root": 21}, ValueError, "root: expected one of 21 keypoints, in [0, 20], got int 21"),
        ({"root": -1}, ValueError, "root: expected a whole number of at least 0"),
        ({"root": "wrist"}, TypeError, "root: expected a whole number"),
        ({"names": ["wrist"]}, ValueError, "names: expected 21, one for each keypoint, got 1"),
        ({"names": [str(k % 20) for k in range(21)]}, ValueError, "names: expected a name of its own for each"),
        ({"names": "abcdefghijklmnopqrstu"}, TypeError, "names: expected a list of texts, got str 'abc"),
        ({"names": list(range(21))}, TypeError, "names: expected a list of texts, got list [0, 1"),
        ({"progress": True}, TypeError, "progress: expected a callable such as tqdm"),
    ],
)
def test_refuses_options_that_it_does_not_know(named: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        probe(TRAIN, TEST, **named)
    several = {{"kind": "kinds", "fraction": "fractions"}.get(name, name): value for name, value in named.items()}
    several = {name: [value] if name in ("kinds", "fractions") else value for name, value in several.items()}
    with pytest.raises(error):
        probe_table(TRAIN, TEST, **{"fractions": [1.0], **several})
