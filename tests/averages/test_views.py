"""Averages over views: laws over the registry, with models that are equivariant exactly."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from registry import TRANSFORMS, smooth_images
from test_device import Copies, fake
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing import assert_close

import equicon as eq

seeds = st.integers(0, 2**31)
few = settings(max_examples=6)
GEOMETRIC = [name for name, entry in TRANSFORMS.items() if entry.geometric]
MILD = eq.RandomAffine(15, 0.05, (0.9, 1.1))
SIZE = (96, 128)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@dataclass(frozen=True)
class Geometry(eq.EquivariantTransform):
    """The geometry of a transform, without its colours and filters."""

    transform: eq.EquivariantTransform

    def _draw(self, batch_size, generator):
        return eq.Action(self.transform._draw(batch_size, generator).affine)


def places(size: tuple[int, int]) -> Tensor:
    """The unit-frame place (2, h, w) of each pixel."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in size), indexing="ij")
    return torch.stack([2 * x + 1 - size[1], 2 * y + 1 - size[0]]) / min(size)


def ramps(count: int) -> Tensor:
    """Pictures whose pixels say where they are, and whether they are far from the border: what is linear is read
    without an error.
    """
    at = places(SIZE)
    inner = (at[0].abs() < 0.8 * SIZE[1] / SIZE[0]) & (at[1].abs() < 0.8)
    return torch.cat([at, inner[None]]).expand(count, -1, -1, -1)


class Knows(nn.Module):
    """Finds out how a view of ``ramps`` was made, and puts its points there: it is equivariant."""

    def __init__(self, points: Tensor) -> None:
        super().__init__()
        self.points = points

    def forward(self, views: Tensor) -> Tensor:
        at = places((views.shape[-2], views.shape[-1])).flatten(1)
        found = []
        for view in views.flatten(2):
            inner = view[2] > 0.9999
            read, here = view[:2, inner].T, at[:, inner].T
            assert len(read) > 20
            ones = torch.ones(len(read), 1, dtype=torch.float64)
            matrix = torch.linalg.lstsq(torch.cat([read, ones], 1), here).solution
            found.append(torch.cat([self.points, torch.ones(len(self.points), 1, dtype=torch.float64)], 1) @ matrix)
        return torch.stack(found).flatten(1)


class Linear(nn.Module):
    """No model of anything: its predictions depend on the view."""

    def __init__(self, width: int = 10) -> None:
        super().__init__()
        self.layer = nn.Linear(48, width, bias=False, dtype=torch.float64)
        nn.init.normal_(self.layer.weight, generator=generator(3))

    def forward(self, views: Tensor) -> Tensor:
        return self.layer(nn.functional.adaptive_avg_pool2d(views, 4).flatten(1))


def pictures(count: int = 3) -> Tensor:
    return smooth_images(0, count, (24, 32))


# --- laws


@pytest.mark.parametrize("name", GEOMETRIC)
@few
@given(seed=seeds)
def test_an_equivariant_model_has_no_spread_and_the_mean_is_its_prediction(name, seed):
    points = torch.randn(5, 2, dtype=torch.float64, generator=generator(seed))
    model, augment = Knows(points), Geometry(TRANSFORMS[name].transform)
    for size in (None, (72, 60)):
        mean, spread = eq.average_views(model, ramps(3), augment, 3, size=size, generator=generator(seed))
        assert_close(mean, points.flatten().expand(3, -1), atol=1e-5, rtol=0)
        assert float(spread.max()) < 1e-5


@few
@given(seed=seeds)
def test_with_a_frame_the_mean_is_in_the_frame(seed):
    points = torch.randn(5, 2, dtype=torch.float64, generator=generator(seed))
    frame = eq.Affine.from_boxes(torch.tensor([[20.0, 20.0, 80.0, 70.0], [40.0, 10.0, 100.0, 60.0]]).double(), SIZE)
    mean, spread = eq.average_views(
        Knows(points), ramps(2), MILD, 3, size=(64, 64), frame=frame, generator=generator(seed)
    )
    assert_close(mean, frame.points(points.expand(2, -1, -1)).flatten(1), atol=1e-5, rtol=0)
    assert float(spread.max()) < 1e-5


def test_mirrored_views_have_left_and_right_swapped_back():
    points = torch.tensor([[-0.4, 0.2], [0.4, 0.2], [0.0, -0.3]], dtype=torch.float64)  # left, right, middle

    class Sided(Knows):
        """Calls left what is left in the view, as a network does which was never told that it is mirrored."""

        def forward(self, views):
            found = super().forward(views).unflatten(1, (-1, 2))
            order = found[:, :2, 0].argsort(1)
            return torch.cat([found.take_along_dim(order[..., None], 1), found[:, 2:]], 1).flatten(1)

    augment = eq.Compose([eq.RandomHorizontalFlip(0.5), MILD])
    assert augment.sample(6, generator=generator()).affine.reflects.unique().tolist() == [False, True]
    for pairs in ([(0, 1)], torch.tensor([1, 0, 2])):
        mean, spread = eq.average_views(Sided(points), ramps(6), augment, 4, pairs=pairs, generator=generator())
        assert_close(mean, points.flatten().expand(6, -1), atol=1e-5, rtol=0)
        assert float(spread.max()) < 1e-5
    assert float(eq.average_views(Sided(points), ramps(6), augment, 4, generator=generator()).spread.max()) > 0.2


@pytest.mark.parametrize(
    ("representation", "width"),
    [
        (eq.Points(), 10),
        (eq.Invariant(), 7),
        (eq.PeCLRPoints(), 10),
        (eq.DirectSum([(eq.Points(), 6), (eq.Invariant(), 5)]), 11),
    ],
    ids=["points", "invariant", "peclr", "sum"],
)
@pytest.mark.parametrize("n", [1, 2, 5])
def test_it_is_what_a_loop_gives_that_keeps_all_predictions(representation, width, n):
    images, model, loop = pictures(), Linear(width), generator(4)
    home = []
    for _ in range(n):
        views, g = MILD(images, size=(20, 20), padding_mode="border", generator=loop)
        home.append(representation.canonicalize(g, model(views)).detach())
    stacked = torch.stack(home)
    mean, spread = eq.average_views(
        model, images, MILD, n, representation, size=(20, 20), padding_mode="border", generator=generator(4)
    )
    assert_close(mean, stacked.mean(0))
    assert_close(spread, stacked.std(0, correction=0), atol=1e-9, rtol=1e-7)
    assert (n == 1) == bool((spread == 0).all())


def test_an_invariant_model_has_its_own_prediction_as_the_mean():
    found = eq.average_views(lambda views: views.new_ones(3), pictures(), MILD, 4, eq.Invariant())
    assert_close(found.mean, torch.ones(3, dtype=torch.float64), atol=0, rtol=0)
    assert float(found.spread.max()) == 0


# --- maps


def as_maps(views: Tensor) -> Tensor:
    """Predict two maps, pixel by pixel: it is equivariant."""
    return torch.stack([views[:, 0] - views[:, 1], views.mean(1)], 1)


@pytest.mark.parametrize("name", GEOMETRIC)
@few
@given(seed=seeds)
def test_maps_are_averaged_over_the_views_that_saw_a_pixel(name, seed):
    images, augment = smooth_images(seed, 3, (48, 56)), Geometry(TRANSFORMS[name].transform)
    drawn = generator(seed)
    total, weights = torch.zeros(3, 2, 48, 56).double(), torch.zeros(3, 1, 48, 56).double()
    home, shares = [], []
    for _ in range(4):
        views, g = augment(images, generator=drawn)
        g = g.to(dtype=torch.float64)
        shares.append(g.inverse().warp(torch.ones(3, 1, 48, 56).double(), antialias=False))
        home.append(g.inverse().warp(as_maps(views), antialias=False))
        total, weights = total + home[-1], weights + shares[-1]
    mean, spread = eq.average_views(as_maps, images, augment, 4, eq.Heatmaps(), generator=generator(seed))
    sure, never = (weights > 0.05).expand_as(mean), (weights == 0).expand_as(mean)
    expected = total / weights.clamp(min=1e-9)
    assert_close(mean[sure], expected[sure], atol=2e-2 if name == "scale down" else 1e-2, rtol=0)
    assert (mean[never] == 0).all()
    assert spread[never].isnan().all()
    squares = sum(w * (x / w.clamp(min=1e-9) - expected).square() for x, w in zip(home, shares, strict=True))
    std = (squares / weights.clamp(min=1e-9)).sqrt()
    assert_close(spread[sure], std[sure], atol=1e-2, rtol=0)


def test_pixels_that_some_views_did_not_see_are_as_bright_as_the_others():
    images, augment = torch.ones(8, 3, 64, 64), eq.Compose([eq.RandomRotation(90), eq.RandomTranslate((0.2, 0.4))])
    frame = eq.Affine.from_linear(3 * torch.eye(2).expand(8, 2, 2))  # the views do not show the border
    mean, spread = eq.average_views(
        as_maps, images, augment, 3, eq.Heatmaps(), size=(32, 32), frame=frame, generator=generator()
    )
    seen = ~spread.isnan()
    assert 0.7 < float(seen.float().mean()) < 1
    assert_close(mean[:, 1], seen[:, 1].float(), atol=1e-3, rtol=0)
    assert float(spread[seen].max()) < 1e-2


def test_mirrored_views_have_the_maps_of_left_and_right_swapped_back():
    images = smooth_images(0, 6, (48, 48))

    def sided(views: Tensor) -> Tensor:
        """Finds what is bright in the left and in the right half of a view, whatever the view shows there."""
        left = places((48, 48))[0] < 0
        return torch.stack([views[:, 0] * left, views[:, 0] * ~left], 1)

    given = {"n": 4, "representation": eq.Heatmaps()}
    flip = eq.RandomHorizontalFlip(0.5)
    found = eq.average_views(sided, images, flip, pairs=[(0, 1)], generator=generator(), **given)
    assert_close(found.mean, sided(images), atol=1e-5, rtol=0)
    assert float(found.spread.max()) < 1e-5
    assert float(eq.average_views(sided, images, flip, generator=generator(), **given).spread.max()) > 0.2


# --- what a caller relies on


def test_a_generator_gives_the_same_again_and_leaves_the_global_one_alone():
    model, state = Linear(), torch.get_rng_state()
    one, two = (eq.average_views(model, pictures(), MILD, 3, generator=generator(5)) for _ in range(2))
    assert one.mean.equal(two.mean)
    assert one.spread.equal(two.spread)
    assert torch.get_rng_state().equal(state)
    torch.manual_seed(5)
    assert_close(eq.average_views(model, pictures(), MILD, 3).mean, one.mean, atol=0, rtol=0)
    assert not torch.get_rng_state().equal(state)


class Moody(nn.Module):
    """Has parts in several modes, and says in which mode it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.layer, self.modes, self.fails = nn.BatchNorm2d(3).double(), Linear(), [], False
        self.norm.eval()

    def forward(self, views: Tensor) -> Tensor:
        self.modes.append((self.training, self.layer.training, torch.is_grad_enabled(), len(views)))
        if self.fails:
            raise RuntimeError("broken")
        found: Tensor = self.layer(self.norm(views))
        return found


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_evaluates_meanwhile_and_is_back_in_its_modes_afterwards(fails):
    model = Moody()
    model.fails = fails
    if fails:
        with pytest.raises(RuntimeError, match="broken"):
            eq.average_views(model, pictures(), MILD, 3)
    else:
        found = eq.average_views(model, pictures(), MILD, 3)
        assert not any(value.requires_grad for value in found)
    assert model.modes == [(False, False, False, 3)] * (1 if fails else 3)  # one view of each picture at a time
    assert (model.training, model.norm.training, model.layer.training) == (True, False, True)
    assert torch.is_grad_enabled()


def test_a_function_is_called_as_it_is_and_a_bar_sees_each_view():
    model, seen = Moody(), []

    def bar(steps):
        for step in steps:
            seen.append(step)
            yield step

    eq.average_views(lambda views: model(views), pictures(), MILD, 3, progress=bar)
    assert model.modes == [(True, True, False, 3)] * 3
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_types(dtype):
    images = (255 * pictures()).to(dtype) if dtype == torch.uint8 else pictures().to(dtype)
    kept = images.clone()
    mean, spread = eq.average_views(lambda views: views.mean((2, 3))[:, :2], images, MILD, 2)
    assert mean.dtype == spread.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert images.equal(kept)


def test_a_prediction_that_is_nan_in_one_view_is_nan():
    calls = []

    def model(views: Tensor) -> Tensor:
        calls.append(1)
        found = views.mean((2, 3))[:, [0, 1, 0, 2]]
        return found.index_fill(1, torch.tensor([3]), torch.nan) if len(calls) == 2 else found

    mean, spread = eq.average_views(model, pictures(), eq.RandomTranslate(0.1), 3)
    for value in (mean, spread):
        assert value.isnan().all(0).tolist() == [False, False, True, True]  # x and y of a point turn into each other
        assert not value[:, :2].isnan().any()


@pytest.mark.skipif(not torch.backends.cuda.is_built(), reason="fakes CUDA tensors, which a CPU build has not")
@pytest.mark.parametrize("representation", [eq.Points(), eq.Heatmaps()], ids=repr)
def test_nothing_waits_for_the_device(representation):
    model = as_maps if isinstance(representation, eq.Heatmaps) else lambda views: views[:, :2, 0, :2].flatten(1)
    augment = eq.Compose([MILD, eq.RandomHorizontalFlip()])
    with FakeTensorMode(allow_non_fake_inputs=True), Copies() as copies:
        images, frame = fake(4, 3, 32, 40), eq.Affine.from_boxes(fake(4, 4), (32, 40))
        given = {"size": (24, 24), "frame": frame, "pairs": [(0, 1)]}
        found = eq.average_views(model, images, augment, 3, representation, **given)
        assert {value.device.type for value in found} == {"cuda"}
        assert not copies.waiting, copies.waiting[0]


def test_they_have_their_shape_on_the_meta_device():
    images = torch.empty(4, 3, 24, 32, device="meta")
    found = eq.average_views(as_maps, images, MILD, 2, eq.Heatmaps(), pairs=[(0, 1)])
    assert all(value.is_meta and value.shape == (4, 2, 24, 32) for value in found)


# --- errors


def call(**changes):
    given = {"model": Linear(), "images": pictures(), "augment": MILD, "n": 2} | changes
    return eq.average_views(**given)


SHAPES = iter(range(2, 99, 2))


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"model": "resnet"}, TypeError, r"model: expected a torch.nn.Module or a function .*, got str 'resnet'"),
        ({"model": Linear}, TypeError, r"model: expected a torch.nn.Module or a function"),
        ({"images": pictures()[0]}, ValueError, r"images: expected a batch of shape \(B, C, H, W\)"),
        ({"augment": lambda x: x}, TypeError, r"augment: expected an EquivariantTransform"),
        ({"n": 0}, ValueError, r"n: expected a whole number of at least 1, got int 0"),
        ({"n": 2.0}, TypeError, r"n: expected a whole number, got float 2.0"),
        ({"representation": eq.Points}, TypeError, r"representation: expected an equicon.Representation.*Points\(\)"),
        ({"generator": 3}, TypeError, r"generator: expected a torch.Generator or None"),
        ({"progress": 3}, TypeError, r"progress: expected a callable such as tqdm"),
        ({"progress": lambda steps: []}, ValueError, r"progress: expected a callable that yields each of the views"),
        ({"size": 3}, TypeError, r"size: expected a pair"),
        ({"frame": eq.Affine.identity(2)}, ValueError, r"frame: expected a batch of 3, like images"),
        ({"padding_mode": "black"}, ValueError, r"padding_mode: expected one of zeros, border, reflection"),
        (
            {"pairs": [(0, 1)], "representation": eq.Invariant()},
            ValueError,
            r"pairs: expected None, since the representation is neither Points nor Heatmaps, got some with Invariant",
        ),
        (
            {"model": lambda views: (views, views)},
            TypeError,
            r"model\(views\): expected a floating tensor \(B, ...\) of predictions, got tuple .*Wrap the model.*\[0\]",
        ),
        ({"model": lambda views: {"xy": views}}, TypeError, r"model\(views\): expected .*, got dict .*Wrap"),
        (
            {"model": lambda views: torch.ones(3, 4).long()},
            TypeError,
            r"model\(views\): expected a floating tensor .*, got a tensor of shape \(3, 4\) and type torch.int64",
        ),
        (
            {"model": lambda views: torch.rand(2, 4)},
            ValueError,
            r"model\(views\): expected 3 predictions, one for each view, got a tensor of shape \(2, 4\)",
        ),
        ({"model": lambda views: views.sum()}, ValueError, r"model\(views\): expected 3 predictions"),
        (
            {"model": lambda views: torch.rand(3, 17, 2)},
            ValueError,
            r"model\(views\): expected embeddings of shape \(B, 2m\), .*got one of shape \(17, 2\) for each image",
        ),
        ({"model": lambda views: torch.rand(3, 5)}, ValueError, r"model\(views\): expected an even width"),
        (
            {"model": lambda views: torch.rand(3, 5), "representation": eq.Heatmaps()},
            ValueError,
            r"model\(views\): expected maps of shape \(B, K, h, w\)",
        ),
        (
            {"model": lambda views: torch.rand(3, next(SHAPES))},
            ValueError,
            r"model\(views\): expected the shape \(3, \d+\), as for the first view, got a tensor of shape \(3, \d+\)",
        ),
    ],
)
def test_what_does_not_fit_is_named(changes, error, match):
    with pytest.raises(error, match=match):
        call(**changes)
