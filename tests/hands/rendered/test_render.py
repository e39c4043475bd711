import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from equicon.hands._rendered.cones import Cones
from equicon.hands._rendered.render import gather, trace


def make_cones(*cones: list[float], blend: float = 0.0) -> Cones:
    """Put round cones (x, y, depth, radius of the start, then of the end) into one image."""
    rows = torch.tensor(cones)[None]
    pad = torch.tensor([0.0, 0.0, -1.0]).expand(1, len(cones), 3)
    blends = torch.full((1, len(cones)), blend)
    each = len(cones)
    melts, nail, paint = (blend > 0,) * each, (False,) * each, tuple(range(each))
    return Cones(rows[..., :3], rows[..., 4:7], rows[..., 3], rows[..., 7], pad, blends, melts, nail, paint)


def look(cones: Cones, size: int) -> tuple[torch.Tensor, ...]:
    """Take seen, depth and normal at the rays, not at the pixels: (2 · size, 2 · size) each."""
    surface = trace(cones, size)
    across = size // 4
    fields = torch.stack([surface.depth, surface.normal_x, surface.normal_y])
    canvas = torch.zeros(3, across**2, 8, 8)
    canvas[0] = 1e6
    canvas[:, surface.place] = fields.view(3, -1, 8, 8)
    return canvas.view(3, across, across, 8, 8).transpose(2, 3).reshape(3, 2 * size, 2 * size).unbind(0)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), short=st.booleans())
@example(seed=126, short=True)  # seen from the larger end
@example(seed=1961124276, short=True)  # one sphere in the other
def test_a_round_cone_is_the_union_of_its_spheres(seed, short):
    generator = torch.Generator().manual_seed(seed)
    start, end = torch.rand(2, 4, generator=generator, dtype=torch.float64) * 12 + 2
    if short:  # a bone that points to the camera
        end[:2] = start[:2] + (end[:2] - 8) / 6
    start[3], end[3] = 1 + start[3] / 4, 1 + end[3] / 4
    depth, normal_x, normal_y = look(make_cones([*start.tolist(), *end.tolist()]), 16)

    ray = (torch.arange(32, dtype=torch.float64) + 0.5) / 2 - 0.5
    nearest = torch.full((32, 32), 1e6, dtype=torch.float64)
    expected_x, expected_y = torch.zeros_like(nearest), torch.zeros_like(nearest)
    chord = torch.zeros_like(nearest)
    for t in torch.linspace(0, 1, 401, dtype=torch.float64):
        x, y, z, radius = (1 - t) * start + t * end
        dx, dy = ray[None, :] - x, ray[:, None] - y
        square = radius**2 - dx**2 - dy**2
        front = torch.where(square > 0, z - square.clamp(min=0).sqrt(), 1e6)
        closer = front < nearest
        nearest = torch.where(closer, front, nearest)
        expected_x = torch.where(closer, dx / radius, expected_x)
        expected_y = torch.where(closer, dy / radius, expected_y)
        chord = torch.maximum(chord, square)
    inside = chord > 0.3  # off the silhouette, where 401 spheres are not yet a cone
    torch.testing.assert_close(depth[inside].double(), nearest[inside], atol=2e-3, rtol=0)
    torch.testing.assert_close(normal_x[inside].double(), expected_x[inside], atol=0.03, rtol=0)
    torch.testing.assert_close(normal_y[inside].double(), expected_y[inside], atol=0.03, rtol=0)
    assert (depth[chord == 0] == 1e6).float().mean() > 0.99


@given(x=st.floats(6.0, 9.0), y=st.floats(6.0, 9.0))
@settings(max_examples=20, deadline=None)
def test_pixel_centres_are_integers(x, y):
    surface = trace(make_cones([x, y, 0.0, 5.0, x, y, 0.0, 5.0]), 16)
    cover = gather(surface.seen[None], surface, 1, 16)[0, 0]
    where = torch.arange(16.0)
    assert abs((cover.sum(0) * where).sum() / cover.sum() - x) < 0.1
    assert abs((cover.sum(1) * where).sum() / cover.sum() - y) < 0.1
    assert abs(cover.sum() - torch.pi * 25) < 3


def test_the_nearest_surface_is_seen():
    near, far = [8.0, 8.0, 10.0, 3.0, 8.0, 8.0, 10.0, 3.0], [8.0, 8.0, 30.0, 6.0, 8.0, 8.0, 30.0, 6.0]
    for cones in ([near, far], [far, near]):
        depth = look(make_cones(*cones), 16)[0]
        assert depth[16, 16] == pytest.approx(7.0, abs=0.1)
        assert depth[16, 26] > 20


def test_surfaces_melt_where_they_nearly_meet():
    cones = [[6.0, 8.0, 9.0, 4.0, 6.0, 8.0, 9.0, 4.0], [10.0, 8.0, 9.0, 4.0, 10.0, 8.0, 9.0, 4.0]]
    sharp, soft = (look(make_cones(*cones, blend=blend), 16) for blend in (0.0, 2.0))
    middle, away = (16, slice(14, 20)), (16, slice(4, 8))
    assert (soft[0][middle] <= sharp[0][middle]).all()
    assert soft[1][middle].abs().max() < 0.7 * sharp[1][middle].abs().max()
    torch.testing.assert_close(soft[0][away], sharp[0][away])
