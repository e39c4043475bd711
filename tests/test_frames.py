import pytest
import torch
from torch.testing import assert_close

from equicon import _frames


@pytest.mark.parametrize("size", [(4, 4), (5, 9), (48, 64)])
def test_the_unit_frame_is_as_the_design_says(size):
    height, width = size
    xy = torch.tensor([[0.0, 0.0], [width - 1, height - 1], [(width - 1) / 2, (height - 1) / 2]])
    unit = (2 * xy + 1 - torch.tensor([width, height])) / min(size)
    assert_close(_frames.unit_points(xy, size), unit)
    assert_close(_frames.pixel_points(unit, size), xy)
    assert_close(unit[2], torch.zeros(2))


@pytest.mark.parametrize(("size", "out"), [((4, 4), (2, 2)), ((5, 9), (7, 4)), ((480, 640), (128, 128))])
def test_the_identity_lays_the_shorter_sides_on_each_other(size, out):
    matrix = _frames.pixel_matrix(torch.eye(3)[None], size, out)[0]
    ratio = min(out) / min(size)
    assert_close(matrix[:2, :2], ratio * torch.eye(2))
    center = torch.tensor([(size[1] - 1) / 2, (size[0] - 1) / 2, 1.0])
    assert_close((matrix @ center)[:2], torch.tensor([(out[1] - 1) / 2, (out[0] - 1) / 2]))


def test_a_resized_source_keeps_its_extent():
    whole = _frames.pixel_matrix(torch.eye(3)[None], (10, 20), (10, 20), resized=(5, 7))[0]
    for corner, where in (((-0.5, -0.5), (-0.5, -0.5)), ((6.5, 4.5), (19.5, 9.5))):
        assert_close((whole @ torch.tensor([*corner, 1.0]))[:2], torch.tensor(where))
