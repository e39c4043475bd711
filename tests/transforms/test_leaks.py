"""find_leaks tells what a view says of the transform that made it."""

import math
import pickle

import pytest
import torch
import torch.nn.functional as F
from kornia.augmentation import RandomRotation

import equicon as eq
from equicon._transforms import leak_network, leaks
from equicon._transforms.leak_network import random_pictures
from equicon.testing import Leak, Leaks, find_leaks

GEOMETRY = eq.Compose([eq.RandomRotation(45), eq.RandomScale((0.7, 1.1)), eq.RandomTranslate(0.1)])
TOY = {"source": (16, 16), "batch_size": 32, "steps": 40}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """A quarter of the views that R² is measured on, and that tell what varies."""
    monkeypatch.setattr(leaks, "_HELD_OUT", 512)
    monkeypatch.setattr(leaks, "_FIRST", 64)


def draw(images: torch.Tensor) -> eq.Affine:
    return GEOMETRY.sample(len(images)).affine


def painted(images, told):
    """Show nothing of the picture but a colour, which is what is told."""
    g = draw(images)
    return told(g)[:, :, None, None].expand(-1, -1, 16, 16), g


PAINTS = {
    "angle": lambda g: g.degrees[:, None] / 45,
    "log_scale": lambda g: g.linear.det().log()[:, None],
    "shift": lambda g: g.translation,
}


@pytest.mark.parametrize("name", PAINTS)
def test_a_view_that_is_painted_with_one_quantity_tells_it_and_nothing_else(name):
    found = find_leaks(lambda images: painted(images, PAINTS[name]), **TOY)
    assert found.found == (name,)
    for other, leak in found._asdict().items():
        assert leak.low <= leak.r2 <= leak.high
        assert leak.r2 >= 0.5 if other == name else leak.r2 <= 0.05
    lines = str(found).splitlines()
    assert [line.endswith("  a leak") for line in lines] == [False, *(other == name for other in PAINTS)]


def test_views_of_noise_tell_nothing():
    found = find_leaks(lambda images: (torch.randn(len(images), 1, 8, 8), draw(images)), **TOY | {"steps": 10})
    assert found.found == ()
    assert all(-0.1 <= leak.low <= leak.r2 <= 0.05 for leak in found)


@pytest.mark.slow
def test_black_corners_tell_the_angle_of_another_librarys_rotation_and_what_does_not_vary_is_no_leak():
    turn = RandomRotation(45.0, p=1.0)

    def views(images):
        turned = turn(images)
        return turned, eq.Affine.from_pixels(turn.transform_matrix, (24, 24))

    found = find_leaks(views, source=(24, 24), steps=60, batch_size=32)
    assert found.found == ("angle",)
    assert found.log_scale is found.shift is None
    assert str(found).count("does not vary") == 2


def test_half_turns_either_way_are_one_angle():
    """A network that says 180 where it was −180 is right."""
    turn = eq.RandomRotation((170, 190))

    def views(images):
        g = turn.sample(len(images)).affine
        angle = torch.deg2rad(g.degrees)
        return torch.stack([angle.cos(), angle.sin()], 1)[:, :, None, None].expand(-1, -1, 16, 16), g

    assert find_leaks(views, **TOY).angle.r2 > 0.5


def test_where_nothing_varies_nothing_is_trained():
    assert find_leaks(eq.RandomGrayscale(0.5), **TOY, progress=iter) == Leaks(None, None, None)


def test_the_same_seed_finds_the_same_and_nothing_outside_is_changed():
    seen = []
    torch.manual_seed(7)
    state = torch.get_rng_state()

    def bar(jobs):
        seen.append(len(jobs))
        return jobs

    short = TOY | {"steps": 3}
    with torch.no_grad():  # learning asks for gradients, whatever the caller has set
        first = find_leaks(GEOMETRY, **short, progress=bar)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(8)
    assert find_leaks(GEOMETRY, **short) == first
    assert find_leaks(GEOMETRY, **short, seed=1) != first
    assert seen == [64 // 32 + 3 + 512 // 32]
    assert pickle.loads(pickle.dumps(first)) == first


def test_views_may_be_bytes_of_any_channels():
    def views(images):
        views, g = GEOMETRY(images)
        return (255 * views[:, :1]).byte(), g

    assert all(math.isfinite(number) for leak in find_leaks(views, **TOY | {"steps": 2}) for number in leak)


def test_the_interval_is_that_of_resampled_views():
    generator = torch.Generator().manual_seed(0)
    wanted = torch.randn(2000, 2, generator=generator, dtype=torch.float64)
    found = 0.6 * wanted + 0.3 * torch.randn(2000, 2, generator=generator, dtype=torch.float64)
    told = leaks._told(found, wanted)
    left = (found - wanted).square().sum() / (wanted - wanted.mean(0)).square().sum()
    assert told.r2 == pytest.approx(1 - float(left))
    again = []
    for _ in range(400):
        rows = torch.randint(2000, (2000,), generator=generator)
        p, y = found[rows], wanted[rows]
        again.append(1 - float((p - y).square().sum() / (y - y.mean(0)).square().sum()))
    low, high = torch.tensor(again).quantile(torch.tensor([0.025, 0.975])).tolist()
    assert told.r2 == pytest.approx(
        1 - float((found - wanted).square().sum() / (wanted - wanted.mean(0)).square().sum())
    )
    assert (told.low, told.high) == pytest.approx((low, high), abs=0.004)
    assert (told.high - told.low) == pytest.approx(high - low, rel=0.15)


@pytest.mark.parametrize("size", [(32, 32), (24, 40), (15, 21)])
def test_the_power_of_pictures_falls_to_all_sides_alike(size, monkeypatch):
    """Power times f² is the same everywhere, but for waves that are longer than the picture."""
    monkeypatch.setattr(leak_network, "_slow_waves", lambda size: (torch.zeros(1, size[0] * size[1]), torch.zeros(1)))
    torch.manual_seed(0)
    pictures = random_pictures(800, size) - 0.5
    power = torch.fft.fft2(pictures.double()).abs().square().mean((0, 1))
    rows, columns = (torch.fft.fftfreq(n, dtype=torch.float64) for n in size)
    even = (power * (rows[:, None].square() + columns.square())).flatten()[1:]  # without the mean
    assert even.std() / even.mean() < 0.04  # of 2,400 draws of an exponential distribution: 0.02
    assert pictures.std() == pytest.approx(0.18, abs=0.005)


def test_pictures_have_no_scale():
    """The means of neighbouring squares differ alike, however large the squares are, up to half of the picture."""
    torch.manual_seed(0)
    pictures = random_pictures(600, (64, 64)) - 0.5
    differences = []
    for side in (4, 8, 16, 32):
        means = F.avg_pool2d(pictures, side)
        differences += [(means[..., 1:] - means[..., :-1]).square().mean()]
        differences += [(means[:, :, 1:] - means[:, :, :-1]).square().mean()]
    assert max(differences) < 1.35 * min(differences)
    assert pictures.std() == pytest.approx(0.18, abs=0.005)
    assert pictures.mean() == pytest.approx(0, abs=0.01)


def test_a_picture_may_be_one_pixel():
    pictures = random_pictures(400, (1, 1))
    assert pictures.shape == (400, 3, 1, 1)
    assert pictures.std() == pytest.approx(0.18, abs=0.02)


def test_what_is_wrong_is_said():
    identity = eq.Affine.identity(32)
    wrong = [
        ({"source": 16}, TypeError, r"source: expected a pair \(height, width\), got int 16"),
        ({"steps": 0}, ValueError, "steps: expected a whole number of at least 1, got int 0"),
        ({"batch_size": 1}, ValueError, "batch_size: expected a whole number of at least 2, got int 1"),
        ({"seed": -1}, ValueError, "seed: expected a whole number of at least 0, got int -1"),
        ({"progress": 3}, TypeError, "progress: expected a callable such as tqdm, got int 3"),
    ]
    for options, error, match in wrong:
        with pytest.raises(error, match=match):
            find_leaks(GEOMETRY, **TOY | options)
    with pytest.raises(TypeError, match="make_views: expected something to call with a batch of images, got str"):
        find_leaks("augment", **TOY)
    made = [
        (lambda x: x, TypeError, r"make_views: expected something that returns \(views, g\), got a tensor of shape"),
        (lambda x: (x, 3), TypeError, "g of make_views: expected an equicon.Affine, got int 3"),
        (lambda x: (x, identity.matrix), TypeError, "g of make_views: expected an equicon.Affine, got a tensor"),
        (lambda x: (x[0], identity), ValueError, r"images: expected a batch of shape \(B, C, H, W\)"),
        (
            lambda x: (x[1:], identity),
            ValueError,
            "views: expected a batch of 32, like the images, got a batch of 31",
        ),
        (lambda x: (x, identity[[0]]), ValueError, "g of make_views: expected a batch of 32"),
        (lambda x: (x / 0, draw(x)), ValueError, "make_views: expected finite views and matrices, got NaN or infinity"),
    ]
    for views, error, match in made:
        with pytest.raises(error, match=match):
            find_leaks(views, **TOY)


def test_a_leak_reads_as_its_figures():
    assert str(Leak(0.001, -0.004, 0.996)) == "0.00 (0.00 to 1.00)"
