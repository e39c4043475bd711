"""Numpy's numbers and arrays do what Python's do, wherever a number, a range or a size is asked for."""

import inspect
import re
from collections import UserList
from collections.abc import Callable
from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from registry import TRANSFORMS
from torch.testing import assert_close

import equicon as eq
from equicon import _checks as checks
from equicon import hands, metrics, probes, show, testing

IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
Z = torch.rand(2, 8, generator=torch.Generator().manual_seed(1))
G = eq.Affine.identity(2)
KINDS: dict[str, Callable[[Any], Any]] = {
    "numpy": lambda value: np.array(value) if isinstance(value, tuple) else np.array(value)[()],
    "arrays": np.array,
    "in a list": lambda value: [np.array(v)[()] for v in value] if isinstance(value, tuple) else np.array(value)[()],
    # Configurations read from files have lists of a class of their own.
    "in another list": lambda value: UserList(value) if isinstance(value, tuple) else value,
}


def is_numbers(value: Any) -> bool:
    if isinstance(value, tuple):
        return len(value) > 0 and all(map(is_numbers, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def contains_numpy(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) or (isinstance(value, tuple) and any(map(contains_numpy, value)))


# --- configurations


CONFIGS = {name: entry.transform for name, entry in TRANSFORMS.items()} | {
    "hands": hands.SyntheticHands(2, 16, 3, context=1.5, scenes=2, clip=4),
    "hand stream": hands.SyntheticHandStream(2, 16, context=1.5, scenes=2, clip=4, first=4),
    "normalization": eq.Normalization((0.5, 0.25), (1, 2)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_configurations_keep_pythons_numbers(name, kind):
    config = CONFIGS[name]
    known = {field.name: getattr(config, field.name) for field in fields(config) if field.init}
    given = {key: KINDS[kind](value) for key, value in known.items() if is_numbers(value)}
    made = replace(config, **given)
    assert made == config
    assert hash(made) == hash(config)
    assert repr(made) == repr(config)
    for key in given:
        assert type(getattr(made, key)) is type(known[key])
        assert not contains_numpy(getattr(made, key))
    if isinstance(made, eq.EquivariantTransform):
        one, other = (t.sample(2, generator=torch.Generator().manual_seed(0)) for t in (made, config))
        assert one.affine.matrix.equal(other.affine.matrix)


def test_a_configuration_does_not_follow_its_array():
    given = np.array([0.8, 1.2])
    scale = eq.RandomScale(given)
    given[:] = 5
    assert scale == eq.RandomScale((0.8, 1.2))


def test_the_figures_print_as_they_were_given():
    assert repr(eq.RandomRotation(45)) == "RandomRotation(degrees=45)"
    assert repr(eq.RandomRotation(np.float32(0.5))) == "RandomRotation(degrees=0.5)"
    assert repr(eq.Normalize([0.5], [np.float64(0.25)])) == "Normalize(mean=(0.5,), std=(0.25,))"


# --- calls


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def seeded(call: Callable[[], Any]) -> Any:
    torch.manual_seed(0)
    return call()


POINTS = torch.tensor([[[2.0, 3.0], [9.0, 4.0]]] * 2)
FEATURES = probes.Features(torch.rand(10, 3, generator=generator()), torch.rand(10, 2, 2, generator=generator()))
TARGET = torch.rand(3, 4, 2, generator=generator())


def measure(run: Callable[..., Any], **numbers: Any) -> list[Any]:
    return list(run(FEATURES, FEATURES, **numbers))


class Flat(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :8]


def fit_pose(size: Any, first: Any) -> tuple[Any, ...]:
    K = torch.tensor([[[20.0, 0, 8], [0, 20, 8], [0, 0, 1]]] * 2)
    model = seeded(lambda: hands.Pose25D(Flat(), 8)).eval()
    return tuple(hands.predict_two_pass(model, IMAGES, K, size=size, first=first)[0])


def pose_parts(*weights: Any) -> list[torch.Tensor]:
    hand = hands.SyntheticHands(2, 16).render(range(2))
    target = hands.pose_target(hand, hand.image, G)
    pose = seeded(lambda: hands.Pose25D(Flat(), 8)).eval()(target.images / 255, target.K)
    return list(hands.pose_loss(pose, target, weights).values())


def drawn(size: Any, n: Any, back: Any) -> list[torch.Tensor]:
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    figure = show.views(IMAGES, eq.RandomRotation(9), size=size, n=n, back=back, generator=generator())
    return [torch.as_tensor(axes.images[0].get_array().filled()) for axes in figure.axes]


# What is called with the numbers that follow it. Its result is a tensor, or a tuple or list of tensors and values.
CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "uniform": (lambda *a: eq.draw.uniform(*a, generator()), (3, -1, 0.5)),
    "log_uniform": (lambda *a: eq.draw.log_uniform(*a, generator()), (3, 0.5, 2)),
    "bernoulli": (lambda *a: eq.draw.bernoulli(*a, generator()), (3, 0.5)),
    "integers": (lambda *a: eq.draw.integers(*a, generator()), (3, -4, 9)),
    "sample": (lambda n: eq.RandomRotation(9).sample(n, generator=generator()).affine.matrix, (3,)),
    "identity": (lambda n: eq.Affine.identity(n).matrix, (3,)),
    "from_pixels": (lambda s, v: eq.Affine.from_pixels(G.matrix, s, v).matrix, ((8, 9), (4, 5))),
    "from_boxes": (lambda s, m: eq.Affine.from_boxes(POINTS.flatten(1), s, m).matrix, ((8, 9), 1.5)),
    "from_points": (lambda s, m: eq.Affine.from_points(POINTS, s, m).matrix, ((8, 9), 1.5)),
    "pixels": (G.pixels, ((8, 9), (4, 5))),
    "points": (lambda s, v: G.points(POINTS, s, v), ((8, 9), (4, 5))),
    "boxes": (lambda s, v: G.boxes(POINTS.flatten(1), s, v), ((8, 9), (4, 5))),
    "intrinsics": (lambda s, v: G.intrinsics(G.matrix, s, v), ((8, 9), (4, 5))),
    "warp": (lambda size, fill: G.warp(IMAGES, size, fill=fill), ((4, 5), 0.5)),
    "masks": (lambda size, fill: G.masks(IMAGES > 0.5, size, fill=fill), ((4, 5), 1)),
    "heatmaps": (lambda size: G.heatmaps(IMAGES, size), ((4, 5),)),
    "vectors": (lambda size: G.vectors(IMAGES[:, :2], size), ((4, 5),)),
    "depth": (lambda size, fill: G.depth((9 * IMAGES).int(), size, fill=fill), ((4, 5), 2**30 + 1)),
    "swap_sides": (lambda pairs: eq.swap_sides(POINTS, pairs), (((0, 1),),)),
    "visible": (lambda s, v: G.visible(POINTS, s, v), ((8, 9), (4, 5))),
    "clip_boxes": (lambda s, v: list(G.clip_boxes(POINTS.flatten(1), s, v)), ((8, 9), (4, 5))),
    "footprint": (G.footprint, ((8, 9), (4, 5))),
    "read_box": (G.read_box, ((8, 9), (4, 5))),
    "from_crop": (lambda s: eq.Affine.from_crop(torch.tensor([[1, 2, 5, 6]]), s).matrix, ((8, 9),)),
    "coverage": (G.coverage, ((8, 9), (4, 5))),
    "inside": (lambda s, v: eq.Action(G).inside(s, v).affine.matrix, ((8, 9), (4, 5))),
    "action": (lambda size: eq.RandomRotation((9, 9)).sample(2)(IMAGES, size=size), ((4, 5),)),
    "transform": (lambda size: eq.RandomRotation((9, 9))(IMAGES, size=size)[0], ((4, 5),)),
    "repeat_interleave": (lambda n: eq.RandomRotation((9, 9)).sample(2).repeat_interleave(n).affine.matrix, (3,)),
    "Affine.repeat_interleave": (lambda n: G.repeat_interleave(n).matrix, (3,)),
    "path": (lambda n: eq.RandomRotation((9, 9)).sample(2).path(eq.Action(G), n).affine.matrix, (3,)),
    "Affine.path": (lambda n: G.path(eq.RandomRotation((9, 9)).sample(2).affine, n).matrix, (3,)),
    "peclr": (
        lambda m, d, t, j: [eq.presets.peclr(margin=m, degrees=d, translate=t, jitter=j)],
        ((0.5, 2.0), 30, 0.25, (0.5, 0.5, 0.5, 0.25)),
    ),
    "simclr": (lambda side, strength: [eq.presets.simclr(side, strength)], (64, 0.5)),
    "nt_xent": (lambda t, n: eq.nt_xent(Z, 1 - Z, t, chunk_size=n), (0.5, 2)),
    "NTXentLoss": (lambda t, n: [repr(eq.NTXentLoss(t, chunk_size=n)), eq.NTXentLoss(t)(Z, 1 - Z)], (0.5, 2)),
    "PeCLRLoss": (lambda t, n: eq.PeCLRLoss(t, chunk_size=n)(Z, 1 - Z, G, G), (0.5, 2)),
    "nt_xent_levels": (lambda n, t, v, k: list(eq.nt_xent_levels(n, t, views=v, negatives=k)), (4, 0.5, 3, 2)),
    "GradCache": (lambda n: eq.GradCache(Flat(), n)(IMAGES), (1,)),
    "average_views": (
        lambda n, size: eq.average_views(Flat(), IMAGES, eq.RandomRotation((9, 9)), n, size=size),
        (2, (8, 9)),
    ),
    "DirectSum": (lambda n, m: [repr(eq.DirectSum([(eq.Points(), n), (eq.Invariant(), m)]))], (4, 3)),
    "assert_representation": (lambda n: [testing.assert_representation(eq.Points(), n)], (4,)),
    "assert_transform": (
        lambda s, n: [testing.assert_transform(eq.RandomRotation(9), source=s, batch_size=n)],
        ((32, 40), 3),
    ),
    "find_leaks": (
        lambda s, n, b, k: [testing.find_leaks(eq.RandomRotation(9), source=s, steps=n, batch_size=b, seed=k)],
        ((8, 9), 1, 512, 3),
    ),
    "views": (drawn, ((4, 5), 2, 1)),
    "pck": (lambda at: metrics.pck(TARGET, TARGET + 0.1, at), ((0.1, 0.2),)),
    "auc": (lambda at: metrics.auc(TARGET, TARGET + 0.1, at), ((0.1, 0.2),)),
    "probe": (lambda f, s, r: measure(probes.probe, kind="mean", fraction=f, seed=s, root=r), (0.5, 3, 1)),
    "predict_keypoints": (
        lambda f, s: probes.predict_keypoints(FEATURES, FEATURES, kind="mean", fraction=f, seed=s),
        (0.5, 3),
    ),
    "probe_table": (lambda f, s: measure(probes.probe_table, kinds=["mean"], fractions=f, seed=s), ((0.5, 1.0), 3)),
    "pose_frame": (lambda s, v, f: hands.pose_frame(POINTS.flatten(1), s, v, f).matrix, ((8, 9), (4, 5), 0.5)),
    "pose_crop": (lambda n: hands.pose_crop(hands.SyntheticHands(2, 16).render(range(2)), n).matrix, (8,)),
    "pose_loss": (pose_parts, (10, 1.0, 0.25)),
    "predict_two_pass": (fit_pose, (16, 0.5)),
    "Pose25D": (lambda w, h: [seeded(lambda: hands.Pose25D(Flat(), w, h)).refine[0].weight], (8, 16)),
}


def alike(one: Any, other: Any) -> None:
    if isinstance(one, tuple | list):
        for a, b in zip(one, other, strict=True):
            alike(a, b)
    elif isinstance(one, torch.Tensor):
        assert_close(one, other, rtol=0, atol=0)
    else:
        assert one == other


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CALLS)
def test_calls_take_numpys_numbers(name, kind):
    call, numbers = CALLS[name]
    alike(call(*map(KINDS[kind], numbers)), call(*numbers))


@pytest.mark.parametrize(
    "size", [[4, 5], torch.Size([4, 5]), (np.int32(4), np.uint8(5)), np.array([4, 5], np.int16)], ids=str
)
def test_sizes_are_any_two_whole_numbers(size):
    assert G.warp(IMAGES, size).shape[-2:] == (4, 5)


def test_every_public_argument_that_is_a_number_stands_in_a_table():
    """A new function with numbers must be added to ``CALLS``, a new configuration to ``CONFIGS``."""
    listed = set(CALLS) | {type(config).__name__ for config in CONFIGS.values()}
    # These want files, or check their numbers as the others do; and a tolerance is only compared.
    listed |= {"assert_equivariant", "save_pretrained", "FreiHAND", "YouTube3DHands", "write_freihand", "write_youtube"}
    for module in (eq, eq.draw, eq.presets, metrics, hands, probes, show, testing):
        for name in module.__all__:
            value = getattr(module, name)
            if not callable(value) or name in listed or (inspect.isclass(value) and issubclass(value, tuple)):
                continue  # a named tuple holds results
            for parameter in inspect.signature(value).parameters.values():
                kinds = str(parameter.annotation)
                asks = re.search(r"\b(int|float)\b", kinds) and not re.search(r"Sequence|tuple", kinds)
                assert not asks, f"{module.__name__}.{name}({parameter})"


# --- the checks


FLOATS = (0.5, np.float16(0.5), np.float32(0.5), np.float64(0.5), np.longdouble(0.5), np.array(0.5), Fraction(1, 2))


@pytest.mark.parametrize("number", FLOATS, ids=repr)
def test_numbers_of_any_kind_are_floats(number):
    found = checks.check_number("p", number)
    assert type(found) is float
    assert found == 0.5
    assert type(checks.check_positive("p", number)) is type(checks.check_probability("p", number)) is float


@pytest.mark.parametrize("number", [3, np.int8(3), np.uint64(3), np.array(3)], ids=repr)
def test_whole_numbers_of_any_kind_are_ints(number):
    assert type(checks.check_int("n", number, low=0)) is int
    assert checks.check_int("n", number, low=3) == 3
    assert checks.check_number("p", number) == 3.0


@pytest.mark.parametrize(
    "bad", [True, np.True_, np.array(True), np.array([0.5]), np.array("1"), "1", None, 1j, torch.tensor(1.0)], ids=repr
)
def test_what_is_no_number_is_refused(bad):
    with pytest.raises(TypeError, match="p: expected a number, got"):
        checks.check_number("p", bad)
    with pytest.raises(TypeError, match="n: expected a whole number, got"):
        checks.check_int("n", bad, low=0)
    with pytest.raises(TypeError, match="r: expected"):
        checks.check_range("r", (0.0, bad))


@pytest.mark.parametrize("bad", [1.0, np.float32(1), np.array(1.0)], ids=repr)
def test_floats_are_no_whole_numbers(bad):
    with pytest.raises(TypeError, match="n: expected a whole number, got"):
        checks.check_int("n", bad, low=0)


@pytest.mark.parametrize("bad", [np.float32("nan"), np.array(np.inf), 10**400, np.float64("-inf")], ids=str)
def test_numbers_that_no_float_holds_are_refused(bad):
    with pytest.raises(ValueError, match="p: expected a number that is finite"):
        checks.check_number("p", bad)
