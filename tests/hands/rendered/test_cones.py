import torch

from equicon.hands._camera import project
from equicon.hands._rendered.cones import Cones, join, to_pixels


def cones(count: int, paint: int, blend: float) -> Cones:
    centre, radius = torch.rand(2, count, 3), torch.rand(2, count)
    blends = torch.full((2, count), blend)
    return Cones(
        centre, centre, radius, radius, centre, blends, (blend > 0,) * count, (False,) * count, (paint,) * count
    )


def test_join_puts_all_cones_into_each_image():
    first, second = cones(3, 0, 0.0), cones(2, 1, 1.0)
    both = join(first, second)
    assert torch.equal(both.start, torch.cat([first.start, second.start], dim=1))
    assert torch.equal(both.end_radius, torch.cat([first.end_radius, second.end_radius], dim=1))
    assert both.melts == (False, False, False, True, True)
    assert both.paint == (0, 0, 0, 1, 1)
    assert len(both.nail) == 5


def test_to_pixels_is_the_camera_and_keeps_a_small_sphere_round():
    K = torch.tensor([[[200.0, 0.0, 40.0], [0.0, 200.0, 30.0], [0.0, 0.0, 1.0]]]).double()
    centre = torch.tensor([[[0.02, -0.01, 0.5]]]).double()
    step, radius = 0.001, torch.tensor([[0.001]]).double()
    at, size = to_pixels(centre, radius, K)
    torch.testing.assert_close(at[..., :2], project(centre, K))
    for axis in range(3):
        moved = centre.clone()
        moved[..., axis] += step
        away = (to_pixels(moved, radius, K)[0] - at).norm(dim=-1)
        torch.testing.assert_close(away, size, rtol=0.01, atol=0)
