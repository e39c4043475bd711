"""Views that show nothing outside their source, by the least magnification."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st
from registry import random_affine, smooth_images
from torch.testing import assert_close

import equicon as eq
from equicon.testing import assert_transform

seeds = st.integers(0, 2**31)
sizes = st.tuples(st.integers(2, 70), st.integers(2, 70))
views = st.tuples(st.integers(1, 70), st.integers(1, 70)).filter(lambda view: view != (1, 1))
law = settings(max_examples=30)
WIDE = eq.Compose([eq.RandomAffine(180, 0.6, (0.3, 2.5), 30), eq.RandomHorizontalFlip()])
COUNT = 6


def drawn(seed: int, source: tuple[int, int], framed: bool) -> tuple[eq.Affine, eq.Affine | None, eq.Affine]:
    """Draw elements, a frame or none, and what both do together."""
    g = random_affine(seed, COUNT, WIDE)
    if not framed:
        return g, None, g
    corner = torch.rand(COUNT, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    corner = corner * torch.tensor([source[1], source[0]])
    frame = eq.Affine.from_boxes(torch.cat([corner - 3, corner + 0.4 * min(source)], -1), source)
    return g, frame, g @ frame


@dataclass(frozen=True)
class Shown:
    """What a view shows of its source, in plain numbers: its centre's point, and where each corner lies from there."""

    center: tuple[float, float]
    corners: tuple[tuple[float, float], ...]
    last: tuple[float, float]  # of the source, from its middle

    @classmethod
    def of(cls, total: eq.Affine, source: tuple[int, int], view: tuple[int, int]) -> "Shown":
        """Look at a single element."""
        ((ia, ib, ic), (ja, jb, jc), _) = total.inverse().matrix[0].tolist()
        right, bottom = ((n - 1) / min(view) for n in reversed(view))
        corners = tuple((ia * x + ib * y, ja * x + jb * y) for x in (-right, right) for y in (-bottom, bottom))
        return cls((ic, jc), corners, tuple((n - 1) / min(source) for n in reversed(source)))

    def at(self, x: float, y: float) -> "Shown":
        return replace(self, center=(x, y))

    def lies_inside(self, factor: float) -> bool:
        """Whether nothing outside is shown, once the view is magnified."""
        for corner in self.corners:
            for c, e, last in zip(self.center, corner, self.last, strict=True):
                if abs(c + e / factor) > last * (1 + 1e-12):
                    return False
        return True

    def least_factor(self) -> float:
        return bisect(self.lies_inside, 1.0, 1e7)


def bisect(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Find from where on something holds, which it does at high."""
    if holds(low):
        return low
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def reference(total: eq.Affine, source: tuple[int, int], view: tuple[int, int]) -> eq.Affine:
    """By trial: the least factor; but where it is more than twice that in the middle, that, and the view pulled in."""
    shown = Shown.of(total, source, view)
    twice = 2 * shown.at(0, 0).least_factor()
    if shown.lies_inside(twice):
        factor = shown.least_factor()
        return eq.Affine.from_linear(factor * total.linear, factor * total.translation)
    x, y = shown.center
    x *= 1 - bisect(lambda share: shown.at((1 - share) * x, 0).lies_inside(twice), 0.0, 1.0)
    y *= 1 - bisect(lambda share: shown.at(0, (1 - share) * y).lies_inside(twice), 0.0, 1.0)
    linear = twice * total.linear
    return eq.Affine.from_linear(linear, -(linear @ torch.tensor([x, y], dtype=torch.float64)))


@law
@given(seeds, sizes, views, st.booleans())
def test_nothing_outside_is_left_by_the_least_factor_that_trial_finds(seed, source, view, framed):
    g, frame, total = drawn(seed, source, framed)
    found = g.inside(source, view, frame)
    shown = found if frame is None else found @ frame
    assert float(shown.coverage(source, view).min()) > 1 - 1e-9
    for i in range(COUNT):
        expected = reference(total[i], source, view)
        assert_close(shown[i].matrix, expected.matrix, atol=1e-6, rtol=1e-6)


@law
@given(seeds, sizes, views, st.booleans())
def test_a_smaller_factor_would_leave_something_outside_and_another_time_changes_nothing(seed, source, view, framed):
    g, frame, _ = drawn(seed, source, framed)
    found = g.inside(source, view, frame)
    shown = found if frame is None else found @ frame
    factor = (found.linear.det() / g.linear.det()).sqrt()
    smaller = 1 - 1e-3 * (1 - 1 / factor)
    less = eq.Affine.from_linear(shown.linear * smaller[:, None, None], shown.translation * smaller[:, None])
    lowest = less.coverage(source, view).amin((1, 2, 3))
    assert bool((lowest[factor > 1.01] < 1).all())
    assert bool((factor >= 1).all())
    assert found.inside(source, view, frame).matrix.equal(found.matrix)


@law
@given(seeds, sizes, views)
def test_in_float32_too(seed, source, view):
    g = random_affine(seed, 20, WIDE).to(dtype=torch.float32)
    found = g.inside(source, view)
    assert found.dtype == torch.float32
    assert float(found.coverage(source, view).min()) >= 1 - 1e-4
    assert_close(found.inside(source, view).matrix, found.matrix)


@law
@given(seeds, sizes, views)
def test_what_shows_nothing_outside_comes_back_bit_for_bit(seed, source, view):
    magnified = eq.RandomAffine(180, 0.1, (0.8, 4.0), 20)
    g = random_affine(seed, 20, magnified).to(dtype=torch.float32)
    kept = [i for i in range(20) if Shown.of(g[i].to(dtype=torch.float64), source, view).lies_inside(1 - 1e-5)]
    found = g.inside(source, view)
    assert found.matrix[kept].equal(g.matrix[kept])
    event(f"inside: {len(kept) > 0}")


def test_a_view_of_one_pixel_sees_a_point_which_is_moved_to_the_border_and_not_magnified():
    away = eq.Affine.from_linear(torch.eye(2)[None], torch.tensor([[-3.0, 0.25]]))
    found = away.inside((5, 9), (1, 1))
    assert found.matrix[0].equal(torch.tensor([[1.0, 0.0, -8 / 5], [0.0, 1.0, 0.25], [0.0, 0.0, 1.0]]))
    assert float(found.coverage((5, 9), (1, 1))) > 1 - 1e-6


def test_a_view_that_ends_where_its_source_ends_is_inside():
    for transform in (eq.RandomVerticalFlip(1.0), eq.RandomHorizontalFlip(1.0), eq.RandomScale((1.0, 1.0))):
        g = transform.sample(3).affine
        assert g.inside((20, 31)).matrix.equal(g.matrix)


@pytest.mark.parametrize(("source", "view"), [((40, 56), (20, 24)), ((90, 70), (16, 20)), ((224, 224), (128, 128))])
def test_all_paddings_show_the_same(source, view):
    images = (smooth_images(0, COUNT, source) * 255).byte()
    frame = eq.Affine.from_boxes(torch.tensor([[3.0, 5.0, 30.0, 30.0]] * COUNT), source)
    for at in (None, frame):
        action = eq.Compose([WIDE, eq.ColorJitter(0.2), eq.RandomGaussianBlur(3), eq.Normalize((0.5,) * 3, (1.0,) * 3)])
        drawn = action.sample(COUNT, generator=torch.Generator().manual_seed(0))
        inside = drawn.inside(source, view, at)
        before, zeros, border, reflection = (
            one(images, size=view, frame=at, padding_mode=padding_mode)
            for one, padding_mode in ((drawn, "border"), (inside, "zeros"), (inside, "border"), (inside, "reflection"))
        )
        assert_close(border, zeros, atol=1e-3, rtol=0)
        assert_close(reflection, zeros, atol=1e-3, rtol=0)
        assert float((before - zeros).abs().max()) > 0.05


def test_an_action_keeps_all_but_its_geometry():
    action = eq.Compose([WIDE, eq.presets.simclr(16), eq.Normalize((0.5,) * 3, (0.2,) * 3)]).sample(3)
    frame = eq.Affine.from_boxes(torch.tensor([[2.0, 2.0, 20.0, 20.0]] * 3), (24, 32))
    inside = action.inside((24, 32), (16, 18), frame)
    assert inside.affine.matrix.equal(action.affine.inside((24, 32), (16, 18), frame).matrix)
    for part in ("color", "filters", "normalization"):
        assert getattr(inside, part) == getattr(action, part)


@dataclass(frozen=True)
class Inside(eq.EquivariantTransform):
    """What a user may write who wants no border from any call."""

    source: tuple[int, int]
    view: tuple[int, int]

    def _draw(self, batch_size: int, generator: torch.Generator | None) -> eq.Action:
        wide = eq.RandomAffine(180, 0.4, (0.5, 1.5), 20)
        return wide.sample(batch_size, generator=generator).inside(self.source, self.view)


def test_points_move_where_pixels_move():
    assert_transform(Inside((90, 120), (70, 60)), source=(90, 120), view=(70, 60), batch_size=24)


def test_gradients_are_those_of_small_changes_and_finite_at_the_kinks():
    matrix = random_affine(0, 8, WIDE).matrix.requires_grad_()
    frame = random_affine(1, 8)
    assert torch.autograd.gradcheck(lambda m: eq.Affine._of(m).inside((20, 30), (12, 11), frame).matrix, (matrix,))
    for view in ((20, 30), (1, 1), (1, 40)):
        leaf = torch.eye(3).repeat(2, 1, 1).requires_grad_()
        eq.Affine._of(leaf).inside((20, 30), view).matrix.sum().backward()
        assert leaf.grad.isfinite().all()


def test_what_cannot_be():
    g = eq.Affine.identity(2)
    for source in ((1, 9), (9, 1)):
        with pytest.raises(
            ValueError, match=f"source: expected at least 2 × 2 pixels, .* got {source[0]} × {source[1]}"
        ):
            g.inside(source)
    with pytest.raises(ValueError, match="frame: expected a batch of 2, like the map, got a batch of 3"):
        g.inside((8, 8), frame=eq.Affine.identity(3))
    with pytest.raises(TypeError, match=r"frame: expected an equicon.Affine"):
        g.inside((8, 8), frame=torch.eye(3))
    with pytest.raises(ValueError, match="view: expected a whole number of at least 1"):
        eq.Action(g).inside((8, 8), (0, 8))
