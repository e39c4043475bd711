"""Laws of probes for any keypoints: few and many, with and without 3D, by name and from any root."""

from typing import Any

import pytest
import torch
from torch import Tensor

from equicon.probes import Features, probe
from equicon.probes import _regressors as _regress

KINDS: list[Any] = ["mean", "linear", "mlp"]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_regress, "_STEPS", (0, 20, 100))


def some(count: int, spatial: bool = True, n: int = 60, seed: int = 0) -> Features:
    """Any keypoints, with features that are seen through noise."""
    g = torch.Generator().manual_seed(seed)
    z, xy, xyz = (torch.rand(n, *shape, generator=g) for shape in ((8,), (count, 2), (count, 3)))
    weight = torch.rand(8, count, 3, generator=torch.Generator().manual_seed(9))
    seen = torch.einsum("nd,dkc->nkc", z, weight)
    return Features(z, 30 * seen[..., :2] + 10 * xy, 0.05 * seen + 0.02 * xyz if spatial else None)


def permuted(features: Features, order: Tensor) -> Features:
    return features._replace(xy=features.xy[:, order], xyz=None if features.xyz is None else features.xyz[:, order])


# As they were before there were others than the 21 of a hand.
WRITTEN: dict[tuple[Any, float], tuple[float, ...]] = {
    ("mean", 0.2): (22.328312266627872, 28.73929941655983, 18.3767429735672, 0.6323953823953823),
    ("mean", 1.0): (18.007197742800347, 26.60258619352226, 17.412424341367107, 0.6518759018759018),
    ("linear", 0.2): (6.33795339946894, 17.449331020029515, 13.154971872208705, 0.7368446368446369),
    ("linear", 1.0): (4.092141827061106, 12.665414679509324, 9.637868291202253, 0.8072390572390572),
}


@pytest.mark.parametrize(("kind", "fraction"), WRITTEN)
def test_hands_are_measured_as_ever(kind: Any, fraction: float) -> None:
    found = probe(some(21), some(21, n=20, seed=1), kind=kind, fraction=fraction, seed=3)
    assert found[2:6] == pytest.approx(WRITTEN[kind, fraction], rel=1e-7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 17, 21])
def test_2d_alone_is_measured_alone_and_by_name(kind: Any, count: int) -> None:
    train, test = some(count, spatial=False), some(count, spatial=False, n=20, seed=1)
    names = [f"point {k}" for k in range(count)]
    found = probe(train, test, kind=kind, names=names)
    assert found[3:6] == (None, None, None)
    assert probe(train, test, kind=kind) == found._replace(by_name=None)
    assert found.by_name is not None
    assert list(found.by_name) == names
    assert sum(found.by_name.values()) / count == pytest.approx(found.px, rel=1e-12)


@pytest.mark.parametrize("kind", ["mean", "linear"])  # the network learns all targets at once
def test_2d_does_not_mind_3d(kind: Any) -> None:
    flat, full = (
        probe(some(17, spatial), some(17, spatial, n=20, seed=1), kind=kind, names=[f"{k}" for k in range(17)])
        for spatial in (False, True)
    )
    assert (full.px, full.by_name) == (flat.px, flat.by_name)
    assert full.mm is not None


def test_the_mean_by_name_and_from_a_root_in_a_loop() -> None:
    train, test, names, root = some(4), some(4, n=20, seed=1), ["a", "b", "c", "d"], 2
    assert train.xyz is not None
    assert test.xyz is not None
    mean_xy, mean_xyz = train.xy.double().mean(0), (train.xyz - train.xyz[:, [root]]).double().mean(0)
    px: dict[str, list[float]] = {name: [] for name in names}
    mm = []
    for xy, xyz in zip(test.xy.double(), test.xyz.double(), strict=True):
        for k, name in enumerate(names):
            px[name].append(float((mean_xy[k] - xy[k]).norm()))
            mm.append(1000 * float((mean_xyz[k] - (xyz[k] - xyz[root])).norm()))
    found = probe(train, test, kind="mean", root=root, names=names)
    assert found.by_name == pytest.approx({name: sum(values) / 20 for name, values in px.items()}, rel=1e-6)
    assert found.mm == pytest.approx(sum(mm) / len(mm), rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("root", [0, 4])
def test_permuting_keypoints_permutes_results(kind: Any, root: int) -> None:
    order = torch.tensor([3, 0, 4, 1, 2])
    train, test, names = some(5), some(5, n=20, seed=1), list("abcde")
    wanted = probe(train, test, kind=kind, root=root, names=names)
    moved = (permuted(features, order) for features in (train, test))
    found = probe(*moved, kind=kind, root=order.tolist().index(root), names=[names[k] for k in order])
    tolerance = 1e-2 if kind == "mlp" else 1e-9  # in float32, and sums are taken in another order
    assert found[2:6] == pytest.approx(wanted[2:6], rel=tolerance)
    assert found.by_name == pytest.approx(wanted.by_name, rel=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_errors_have_the_units_of_their_keypoints(kind: Any) -> None:
    train, test, names = some(5), some(5, n=20, seed=1), list("abcde")
    one = probe(train, test, kind=kind, names=names)
    scaled = (f._replace(xy=4 * f.xy, xyz=2 * f.xyz) for f in (train, test) if f.xyz is not None)
    other = probe(*scaled, kind=kind, names=names)
    assert other.px == pytest.approx(4 * one.px, rel=1e-5)
    assert (other.mm, other.pa_mm) == pytest.approx((2 * one.mm, 2 * one.pa_mm), rel=1e-5)  # type: ignore[operator]
    assert one.by_name is not None
    assert other.by_name == pytest.approx({name: 4 * px for name, px in one.by_name.items()}, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_one_keypoint_is_its_own_root_and_two_are_brought_onto_any_two(kind: Any) -> None:
    alone, pair = (probe(some(count), some(count, n=20, seed=1), kind=kind) for count in (1, 2))
    assert alone[3:6] == pytest.approx((0, 0, 1), abs=1e-9)
    assert pair.px > 1
    assert pair.mm is not None
    assert pair.mm > 1
    assert pair[4:6] == pytest.approx((0, 1), abs=1e-2)
