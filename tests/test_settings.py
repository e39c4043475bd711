"""What a program sets for all of torch changes nothing: autocast, the precision of products, default type and device."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
import torch
from registry import REPRESENTATIONS, TRANSFORMS
from torch.utils._pytree import tree_leaves

import equicon as eq
from equicon import hands, metrics, probes
from equicon.testing import assert_equivariant, assert_representation, assert_transform

# A matrix product of this width is rounded on CPUs that have the instructions; "meta" is a device that no value is on.
WIDE = 256


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype, device="cpu")


def drawn(transform: eq.EquivariantTransform, count: int, seed: int = 0) -> eq.Affine:
    return transform.sample(count, generator=torch.Generator().manual_seed(seed)).affine


IMAGES = (255 * random(4, 3, 72, 96)).byte()
XY, XYZ = 60 * random(4, 21, 2), random(4, 21, 3) + 2
K = (torch.eye(3) * 100 + torch.eye(3).flip(1)).expand(4, 3, 3).clone()
K[:, 2] = torch.tensor([0.0, 0.0, 1.0])
AFFINE = eq.Compose([eq.RandomAffine(180, 0.2, (0.6, 1.6), 20), eq.RandomHorizontalFlip()])
BOXES = torch.tensor([[8.0, 8.0, 60.0, 62.0]] * 4)
Z = [random(192, WIDE, seed=seed) - 0.5 for seed in range(4)]


def view(transform: eq.EquivariantTransform) -> list[torch.Tensor]:
    """Draw from a generator and from the global one, and make views of bytes and of numbers."""
    torch.default_generator.manual_seed(3)
    generator = torch.Generator().manual_seed(0)
    found = []
    for images, size, source in ((IMAGES, (40, 56), generator), (IMAGES.to(torch.float32) / 255, None, None)):
        frame = eq.Affine.from_boxes(BOXES, (72, 96))
        views, g = transform(images, size=size, frame=frame, anchor=XY[:, 0], generator=source)
        found += [views, g.matrix, g.degrees]
    action = transform.sample(4, generator=generator)
    return [*found, action[[1, 0]].repeat_interleave(2)(IMAGES), action.to("cpu")(IMAGES)]


def with_gradients(loss: Callable[..., torch.Tensor], *given: torch.Tensor) -> list[torch.Tensor]:
    inputs = [z.clone().requires_grad_() for z in given]
    value = loss(*inputs)
    value.backward()
    return [value.detach(), *(z.grad for z in inputs)]


def represent(representation: eq.Representation, width: int) -> list[torch.Tensor]:
    g = drawn(AFFINE, 192)
    moved = [act(g, Z[0][:, :width]) for act in (representation.act, representation.canonicalize)]
    half = representation.act(g, Z[0][:, :width].bfloat16())
    return [*moved, half, *with_gradients(lambda z: representation.canonicalize(g, z).square().sum(), Z[0][:, :width])]


def warp() -> list[torch.Tensor]:
    g, found = drawn(AFFINE, 4), []
    for mode in ("bilinear", "nearest"):
        for padding_mode in ("zeros", "border", "reflection"):
            found.append(g.warp(IMAGES, (30, 30), mode=mode, padding_mode=padding_mode))
    return [*found, *with_gradients(lambda x: g.warp(x, (30, 30)).square().sum(), random(4, 3, 72, 96))]


def affine() -> list[torch.Tensor]:
    g, h, size = drawn(AFFINE, 4), drawn(AFFINE, 4, 1), (72, 96)
    made = [
        eq.Affine(g.matrix), eq.Affine.from_linear(g.linear), eq.Affine.from_linear(g.linear, g.translation),
        eq.Affine.from_pixels(g.pixels(size, (30, 20)), size, (30, 20)), eq.Affine.from_points(XY, size, 1.2),
        eq.Affine.from_boxes(torch.cat([XY[:, 0], XY[:, 0] + 9], -1), size), eq.Affine.identity(4, device="cpu"),
        eq.Affine.cat([g, h]), g @ h, g.inverse(), g.to(dtype=torch.float64), g[1], g[[0, 2]],
    ]  # fmt: skip
    labels = [g.points(XY, size, (30, 20)), g.points(XY), g.boxes(XY.reshape(4, -1, 2)[:, :20].reshape(4, 10, 4), size)]
    return [*(m.matrix for m in made), *labels, g.intrinsics(K, size, (30, 20)), g.pixels(size), g.degrees]


def loss(**options: Any) -> list[torch.Tensor]:
    labels = (4 * random(192)).to(torch.int64)
    extras = {"negatives": Z[3], "labels": labels, "weights": random(192)}
    return with_gradients(lambda a, b: eq.nt_xent(a, b, 0.05, **options, **extras), *Z[:2])


def peclr(representation: eq.Representation) -> list[torch.Tensor]:
    g1, g2 = drawn(AFFINE, 192), drawn(AFFINE, 192, 1)
    criterion = eq.PeCLRLoss(representation=representation)
    return with_gradients(lambda a, b, c: criterion(a, b, g1, g2, more_views=[(c, g1)]), *Z[:3])


def cached() -> list[torch.Tensor]:
    model = eq.GradCache(torch.nn.Flatten(), 50)
    return with_gradients(lambda a, b: eq.nt_xent(model(a), model(b)), *Z[:2])


def probe(kind: str) -> list[Any]:
    xyz = random(192, 5, 3, seed=5)
    train, test = (probes.Features(z + xyz.flatten(1).repeat(1, 18)[:, :WIDE], 50 * xyz[..., :2], xyz) for z in Z[:2])
    return list(probes.probe(train, test, kind=kind, names=list("abcde")))


def measure() -> list[Any]:
    pred, target = random(8, 21, 3), random(8, 21, 3, seed=1)
    similar = 5 - 2 * target
    found = [measured(pred, target) for measured in (metrics.epe, metrics.auc, metrics.procrustes_align)]
    found += [metrics.epe(pred, target, reduction="median"), metrics.pck(pred, target, [0.3, 0.6])]
    return [
        *found,
        metrics.procrustes_align(similar, target),
        list(hands.pose_errors(pred, target, K[:1].expand(8, 3, 3))),
    ]


def pose() -> list[torch.Tensor]:
    xy, depth = hands.project(XYZ, K), XYZ[..., 2] - 2
    root = hands.root_depth(xy, depth, K)
    hand = hands.Hand(IMAGES, XYZ, K)
    frame = hands.pose_crop(hand, 32)
    target = hands.pose_target(hand, frame.warp(IMAGES, (32, 32)), frame)
    found = hands.Pose(xy, depth, root, hands.lift(xy, depth, root, K))
    parts = hands.pose_loss(found, target, (10.0, 1.0, 0.2))
    joints = [found.joints(target.scale), hands.palm_from_wrist(XYZ), hands.bone_length(XYZ)]
    second = hands.predict_two_pass(lambda views, k: found._replace(xy=xy % 32), IMAGES, K, size=32)
    return [*found, *target, *parts.values(), frame.matrix, *joints, second[1].matrix]


def rendered(domain: str) -> list[torch.Tensor]:
    data = hands.SyntheticHands(4, 48, domain=domain)
    return [*data.render(range(4)), *data[1], *next(iter(hands.SyntheticHandStream(2, 48, domain=domain)))]


def asserted() -> list[Any]:
    assert_transform(eq.RandomRotation(45), source=(48, 64))
    assert_representation(eq.Points(), 8)
    assert_equivariant(
        lambda v: v.mean((2, 3))[:, :2], IMAGES.to(torch.float32) / 255, eq.ColorJitter(), eq.Invariant()
    )
    return []


RUNS: dict[str, Callable[[], Any]] = {
    **{f"view, {name}": lambda entry=entry: view(entry.transform) for name, entry in TRANSFORMS.items()},
    **{f"act, {name}": lambda e=law: represent(e.representation, e.width) for name, law in REPRESENTATIONS.items()},
    "warp": warp,
    "affine": affine,
    "loss, dense": lambda: loss(chunk_size=2000),
    "loss, blocks": lambda: loss(chunk_size=256),
    "loss, points": lambda: peclr(eq.Points()),
    "loss, peclr points": lambda: peclr(eq.PeCLRPoints()),
    "loss, cached": cached,
    "probe, mean": lambda: probe("mean"),
    "probe, linear": lambda: probe("linear"),
    "probe, mlp": lambda: probe("mlp"),
    "metrics": measure,
    "pose": pose,
    "rendered, studio": lambda: rendered("studio"),
    "rendered, wild": lambda: rendered("wild"),
    "asserters": asserted,
}


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def rounded_products() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


SETTINGS = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "rounded products": rounded_products,
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "float16": lambda: default_dtype(torch.float16),
    "float64": lambda: default_dtype(torch.float64),
    "device": lambda: default_device("meta"),
}


def assert_same(found: Any, expected: Any) -> None:
    found, expected = tree_leaves(found), tree_leaves(expected)
    assert len(found) == len(expected)
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        if isinstance(b, torch.Tensor):
            assert (a.dtype, a.device) == (b.dtype, b.device), i
            assert torch.equal(a, b), (i, (a.double() - b.double()).abs().max())
        else:
            assert a == b, i


@cache
def expected(name: str) -> Any:
    return RUNS[name]()


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr("equicon.probes._regressors._STEPS", (0, 3))


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", RUNS)
def test_no_setting_changes_anything(name, setting):
    before = expected(name)
    with SETTINGS[setting]():
        found = RUNS[name]()
    assert_same(found, before)
