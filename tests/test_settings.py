"""Nothing that a program sets for all of torch changes a result: autocast, products, default type and device."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from registry import REPRESENTATIONS, TRANSFORMS
from torch.utils._pytree import tree_leaves

import equicon as eq
from equicon import data, hands, metrics, probes
from equicon.testing import assert_equivariant, assert_representation, assert_transform, find_leaks
from equicon.training import Batches, Shares

# Wide enough for a product to be rounded, where a CPU has the instructions.
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
    g = drawn(AFFINE, 4)
    kinds = product(("bilinear", "nearest"), ("zeros", "border", "reflection"))
    found = [g.warp(IMAGES, (30, 30), mode=mode, padding_mode=padding_mode) for mode, padding_mode in kinds]
    found += [g.coverage((72, 96), (30, 30)), g.inside((72, 96), (30, 30), drawn(AFFINE, 4, 1)).matrix]
    return [*found, *with_gradients(lambda x: g.warp(x, (30, 30)).square().sum(), random(4, 3, 72, 96))]


def affine() -> list[torch.Tensor]:
    g, h, size = drawn(AFFINE, 4), drawn(AFFINE, 4, 1), (72, 96)
    made = [
        eq.Affine(g.matrix), eq.Affine.from_linear(g.linear), eq.Affine.from_linear(g.linear, g.translation),
        eq.Affine.from_pixels(g.pixels(size, (30, 20)), size, (30, 20)), eq.Affine.from_points(XY, size, 1.2),
        eq.Affine.from_boxes(torch.cat([XY[:, 0], XY[:, 0] + 9], -1), size), eq.Affine.identity(4, device="cpu"),
        eq.Affine.cat([g, h]), g @ h, g.inverse(), g.to(dtype=torch.float64), g[1], g[[0, 2]],
    ]  # fmt: skip
    labels = [g.points(XY, size, (30, 20)), g.points(XY), g.boxes(torch.cat([XY, XY + 9], -1), size)]
    return [*(m.matrix for m in made), *labels, g.intrinsics(K, size, (30, 20)), g.pixels(size), g.degrees]


def loss(**options: Any) -> list[torch.Tensor]:
    labels = (4 * random(192)).to(torch.int64)
    extras = {"negatives": Z[3], "labels": labels, "weights": random(192)}
    levels = eq.nt_xent_levels(192, 0.05, negatives=192, labels=labels, weights=extras["weights"])
    return [*with_gradients(lambda a, b: eq.nt_xent(a, b, 0.05, **options, **extras), *Z[:2]), *levels]


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
    more = {"domain": domain, "context": 1.5, "scenes": 2, "clip": 2, "side": "right"}
    wide = hands.SyntheticHands(4, 24, **more)
    stream = hands.SyntheticHandStream(2, 24, **more)
    found = [*data.render(range(4)), *data[1], *next(iter(hands.SyntheticHandStream(2, 48, domain=domain)))]
    return [*found, *wide[1], wide.groups, wide.frame(2).matrix, *next(iter(stream)), stream.frame(2).matrix]


def files() -> list[Any]:
    """Write sets and read them."""
    with TemporaryDirectory() as name:
        root = Path(name)
        hands.write_freihand(root / "freihand", 4, size=24)
        train, held = hands.FreiHAND(root / "freihand").holdout(0.5)
        found = [*train[1], *held[2], train.scale, held.select([1]).K, train.samples, held.xyz]
        hands.write_youtube(root / "youtube", 3, size=24)
        youtube = hands.YouTube3DHands(root / "youtube", size=16)
        folder = data.UnlabelledImages(root / "youtube", 16)
        found += [*youtube[0], *data.SkipCorrupt(folder)[0], len(youtube), len(folder)]
        hands.write_leaderboard(root / "pred.zip", XYZ)
        torch.save({"conv1.weight": XYZ}, root / "encoder.pt")
        return [*found, *hands.read_encoder(root / "encoder.pt").values()]


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
    "files": files,
    "batches": lambda: [
        list(Batches(20, 4, 0, 0, 6, shares=Shares((15, 5), (1, 1)))),
        list(data.GroupedBatchSampler(torch.tensor([0, 1, 2, 0] * 5, device="cpu"), 4, 2)),
    ],
    "asserters": asserted,
    "leaks": lambda: list(find_leaks(AFFINE, source=(12, 16), steps=2, batch_size=512)),
}


@contextmanager
def changed(read: Callable[[], Any], change: Callable[[Any], None], value: Any) -> Iterator[None]:
    before = read()
    change(value)
    try:
        yield
    finally:
        change(before)


def default_type(dtype: torch.dtype) -> AbstractContextManager[None]:
    return changed(torch.get_default_dtype, torch.set_default_dtype, dtype)


# What was made without a device is on the meta device then, where no number is, and so it is an error to use it.
SETTINGS = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "rounded products": lambda: changed(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"
    ),
    "bfloat16": lambda: default_type(torch.bfloat16),
    "float16": lambda: default_type(torch.float16),
    "float64": lambda: default_type(torch.float64),
    "device": lambda: changed(lambda: None, torch.set_default_device, "meta"),
}


def assert_same(found: Any, expected: Any) -> None:
    found, expected = tree_leaves(found), tree_leaves(expected)
    assert len(found) == len(expected)
    for place, (value, before) in enumerate(zip(found, expected, strict=True)):
        if isinstance(before, torch.Tensor):
            assert (value.dtype, value.device) == (before.dtype, before.device), place
            assert torch.equal(value, before), (place, (value.double() - before.double()).abs().max())
        else:
            assert value == before, place


@cache
def without(name: str) -> Any:
    return RUNS[name]()


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr("equicon.probes._regressors._STEPS", (0, 3))


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", RUNS)
def test_no_setting_changes_anything(name, setting):
    expected = without(name)
    with SETTINGS[setting]():
        found = RUNS[name]()
    assert_same(found, expected)


@pytest.mark.parametrize("setting", [name for name in SETTINGS if name != "rounded products"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_nor_does_one_change_the_reference(name, setting, monkeypatch):
    """Kornia's views, which are not made where products are rounded."""
    monkeypatch.setenv("EQUICON_BACKEND", "kornia")
    expected = view(TRANSFORMS[name].transform)
    with SETTINGS[setting]():
        found = view(TRANSFORMS[name].transform)
    assert_same(found, expected)


@pytest.mark.slow
def test_they_may_be_set_before_the_import():
    code = (
        "import torch; torch.set_default_dtype(torch.float16); torch.set_default_device('meta')\n"
        "import equicon as eq, equicon.hands, equicon.probes, equicon.training\n"
        "images = torch.full((2, 3, 24, 24), 100, dtype=torch.uint8, device='cpu')\n"
        "views, g = eq.presets.simclr(24)(images)\n"
        "hand = equicon.hands.SyntheticHands(2, 24).render(range(2))\n"
        "print(views.dtype, g.dtype, views.device, *(part.device for part in hand))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["torch.float32"] * 2 + ["cpu"] * 4


MAKERS = {"tensor", "as_tensor", "zeros", "ones", "full", "empty", "eye", "arange", "linspace"}
MAKERS |= {"rand", "randn", "randint", "randperm"}


def test_whatever_makes_a_tensor_says_where():
    """The runs above do not go everywhere."""
    silent = []
    for path in (Path(__file__).parents[1] / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MAKERS:
                of_torch = isinstance(node.func.value, ast.Name) and node.func.value.id == "torch"
                if of_torch and not {"device", "out"} & {keyword.arg for keyword in node.keywords}:
                    silent.append(f"{path.name}:{node.lineno}")
    assert not silent
