import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import pad

from equicon.hands._rendered.shade import Lit, Look
from equicon.hands._rendered.shadow import blur, cast_shadow, compose, crevices, self_shadow, shift

SIZE = 64


def make_look(batch: int, angle: float = 0.0, shadow: float = 0.5) -> Look:
    light = torch.tensor([[0.8, 0.0, -0.6]]).expand(batch, 3) if angle == 0.0 else None
    if light is None:
        turn = torch.tensor(angle)
        light = torch.stack([0.8 * turn.cos(), 0.8 * turn.sin(), torch.tensor(-0.6)]).expand(batch, 3)
    full = torch.full((batch,), shadow)
    return Look(
        torch.zeros(batch, 4, 3), torch.zeros(batch, 4), light, torch.zeros(batch), full, torch.full((batch,), 0.2)
    )


def bar(height: float) -> torch.Tensor:
    """A plane 100 pixels away with an upright bar that many pixels before it."""
    depth = torch.full((1, 1, SIZE, SIZE), 100.0)
    depth[..., 30:34] -= height
    return depth


@given(seed=st.integers(0, 2**32), angle=st.floats(-3.0, 3.0))
def test_shadows_only_darken(seed, angle):
    generator = torch.Generator().manual_seed(seed)
    cover = (torch.rand(2, 1, SIZE, SIZE, generator=generator) > 0.5).float()
    depth = cover * (50 + 20 * torch.rand(2, 1, SIZE, SIZE, generator=generator))
    direct = cover * torch.rand(2, 1, SIZE, SIZE, generator=generator)
    lit = Lit(cover * torch.rand(2, 3, SIZE, SIZE, generator=generator), cover, depth, direct)
    background = torch.rand(2, 3, SIZE, SIZE, generator=generator)
    shadowed = compose(lit, background, make_look(2, angle), SIZE)
    assert (shadowed >= 0).all()
    assert (shadowed <= lit.color + background * (1 - cover)).all()
    assert (shadowed < lit.color + background * (1 - cover)).any()


def test_a_bar_throws_its_shadow_away_from_the_light():
    cover = torch.ones(1, 1, SIZE, SIZE)
    shadow = self_shadow(bar(4.0), cover, make_look(1).light, SIZE)[0, 0, 32]
    assert shadow[34:].max() == 0  # the light comes from the right
    assert shadow[24:30].max() > 0.8
    assert shadow[:10].max() == 0
    flat = self_shadow(bar(0.0), cover, make_look(1).light, SIZE)
    assert flat.max() == 0


def test_the_light_passes_behind_what_is_far_before():
    shadow = self_shadow(bar(30.0), torch.ones(1, 1, SIZE, SIZE), make_look(1).light, SIZE)
    assert shadow.max() == 0


def test_the_silhouette_falls_away_from_the_light():
    cover = torch.zeros(1, 1, SIZE, SIZE)
    cover[..., 28:36, 28:36] = 1
    shadow = cast_shadow(cover, make_look(1), SIZE)[0, 0]
    x = torch.arange(SIZE)
    centre = [(shadow.sum(axis) * x).sum() / shadow.sum() for axis in (0, 1)]
    assert abs(centre[0] - (31.5 - 0.8 * 0.2 * SIZE)) < 0.6
    assert abs(centre[1] - 31.5) < 0.6
    assert 0.1 < shadow.max() <= 0.5
    assert cast_shadow(cover, make_look(1, shadow=0.0), SIZE).max() == 0


def test_crevices_are_dark_and_planes_are_not():
    cover = torch.ones(1, 1, SIZE, SIZE)
    assert crevices(bar(0.0), cover, SIZE).min() == 1
    groove = crevices(bar(-8.0), cover, SIZE)[0, 0, 32]
    assert groove[31:33].max() < 0.8
    assert groove[:20].min() == 1
    assert groove.min() >= 0.6


@given(seed=st.integers(0, 2**32), dx=st.integers(-3, 3), dy=st.integers(-3, 3))
def test_shift_looks_up_each_image_at_its_own_offset(seed, dx, dy):
    image = torch.rand(2, 2, 10, 12, generator=torch.Generator().manual_seed(seed))
    offset = torch.tensor([[dx + 0.3, dy - 0.3], [0.0, 0.0]])
    moved = shift(pad(image, (3, 3, 3, 3)), offset, 3)
    expected = torch.zeros_like(image)
    for y in range(10):
        for x in range(12):
            if 0 <= y + dy < 10 and 0 <= x + dx < 12:
                expected[0, :, y, x] = image[0, :, y + dy, x + dx]
    expected[1] = image[1]
    assert torch.equal(moved, expected)


def test_blur_keeps_what_is_even_and_smooths_the_rest():
    assert torch.allclose(blur(torch.full((1, 2, 9, 9), 0.3), 2, 1), torch.tensor(0.3))
    point = torch.zeros(1, 1, 17, 17)
    point[..., 8, 8] = 1
    spread = blur(point, 2, 1)
    assert abs(spread.sum() - 1) < 1e-6
    assert torch.equal(spread, spread.transpose(2, 3))
    assert spread.max() < 0.2
