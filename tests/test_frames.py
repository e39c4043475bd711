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


def places(length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Places of the extent in and around ``length`` pixels, and where they are in pixels."""
    pixels = torch.linspace(-length, 2 * length, 61, dtype=torch.float64)
    return (2 * pixels + 1) / length - 1, pixels


@pytest.mark.parametrize(("size", "out"), [((4, 4), (2, 2)), ((5, 9), (7, 4)), ((48, 64), (12, 20))])
def test_the_grid_is_the_inverse_pixel_matrix_in_the_extent(size, out):
    matrix = torch.tensor([[[1.2, 0.3, 0.1], [-0.2, 0.9, -0.3], [0, 0, 1]]], dtype=torch.float64)
    x, y = _frames.extent_grid(_frames.extent_matrix(matrix, size, out), out)
    inverse = _frames.pixel_matrix(matrix, size, out)[0].inverse()
    for row in range(out[0]):
        for column in range(out[1]):
            source = inverse @ torch.tensor([column, row, 1.0], dtype=torch.float64)
            assert_close(x[0, row, column], (2 * source[0] + 1) / size[1] - 1)
            assert_close(y[0, row, column], (2 * source[1] + 1) / size[0] - 1)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_covered_is_what_a_row_of_ones_gives_with_zeros_around(length):
    extent, pixels = places(length)
    expected = (pixels + 1).clamp(0, 1) * (length - pixels).clamp(0, 1)
    assert_close(_frames.covered(extent, length), expected)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_reflected_folds_at_the_outermost_centres(length):
    extent, pixels = places(length)
    folded = ((_frames.reflected(extent, length) + 1) * length - 1) / 2
    for place, expected in zip(folded, pixels.tolist(), strict=True):
        while not 0 <= expected <= length - 1:
            expected = -expected if expected < 0 else 2 * (length - 1) - expected
            if length == 1:
                expected = 0.0
        assert float(place) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("length", "stride"), [(8, 1), (8, 2), (9, 2), (13, 4)])
def test_between_pixels_is_the_extent_of_the_places_between_a_level_s_pixels(length, stride):
    extent, pixels = places(length)
    count = -(-length // stride) - 1
    # Pixel j of the level has its centre at stride · j + (stride − 1) / 2, place i lies between pixels i and i + 1.
    place = (pixels - (stride - 1) / 2) / stride - 0.5
    assert_close(_frames.between_pixels(extent, length, stride), (2 * place + 1) / count - 1)
