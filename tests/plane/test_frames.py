import pytest
import torch
from torch.testing import assert_close

from equicon._plane import frames as _frames


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


def line(length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Places of the extent on a line in and around ``length`` pixels, and where they are in pixels."""
    pixels = torch.linspace(-length, 2 * length, 61, dtype=torch.float64)
    return (2 * pixels + 1) / length - 1, pixels


@pytest.mark.parametrize(("size", "out"), [((4, 4), (2, 2)), ((5, 9), (7, 4)), ((48, 64), (12, 20))])
def test_the_grid_is_the_inverse_pixel_matrix_in_the_extent(size, out):
    matrix = torch.tensor([[[1.2, 0.3, 0.1], [-0.2, 0.9, -0.3], [0, 0, 1]]], dtype=torch.float64)
    places = _frames.grid(_frames.extent_matrix(matrix, size, out), out)
    inverse = _frames.pixel_matrix(matrix, size, out)[0].inverse()
    for row in range(out[0]):
        for column in range(out[1]):
            source = inverse @ torch.tensor([column, row, 1.0], dtype=torch.float64)
            expected = (2 * source[:2] + 1) / torch.tensor([size[1], size[0]]) - 1
            assert_close(places[0, row, column], expected)


@pytest.mark.parametrize("size", [(1, 5), (2, 1), (7, 4)])
def test_covered_is_what_ones_give_with_zeros_around(size):
    (y, rows), (x, columns) = line(size[0]), line(size[1])
    places = torch.stack([x.expand(61, 61), y[:, None].expand(61, 61)], -1)[None]
    across, down = (
        (pixels + 1).clamp(0, 1) * (n - pixels).clamp(0, 1) for pixels, n in ((columns, size[1]), (rows, size[0]))
    )
    assert_close(_frames.covered(places, size)[0], down[:, None] * across)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_reflected_folds_at_the_outermost_centres(length):
    extent, pixels = line(length)
    places = torch.stack([extent, torch.zeros(61, dtype=torch.float64)], -1)[None, None]
    folded = ((_frames.reflected(places, (1, length))[0, 0, :, 0] + 1) * length - 1) / 2
    for place, expected in zip(folded, pixels.tolist(), strict=True):
        while not 0 <= expected <= length - 1:
            expected = 0.0 if length == 1 else -expected if expected < 0 else 2 * (length - 1) - expected
        assert float(place) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("length", "stride"), [(8, 1), (8, 2), (9, 2), (13, 4)])
def test_between_pixels_is_the_extent_of_the_places_between_the_pixels_of_a_level(length, stride):
    extent, pixels = line(length)
    axes, count = _frames.between_pixels((length + 3, length), stride), -(-length // stride) - 1
    assert _frames.between_pixels((length, length + 3), stride) == (*axes[1::-1], *axes[:1:-1])
    # Pixel j of the level has its centre at stride · j + (stride − 1) / 2, place i lies between pixels i and i + 1.
    place = (pixels - (stride - 1) / 2) / stride - 0.5
    assert_close(extent * axes.scale_x + axes.offset_x, (2 * place + 1) / count - 1)
    level = _frames.pixel_from_level(stride)
    index = torch.arange(3.0)[:, None] + torch.tensor([0.0, 7.0])
    assert_close(_frames.apply(level, index), stride * (index + 0.5) + (stride - 1) / 2)
    matrix = torch.tensor([[[0.5, 0.1, 0.2], [-0.3, 0.8, 0.1], [0, 0, 1]]], dtype=torch.float64)
    xy = torch.rand(1, 5, 2, dtype=torch.float64)
    assert_close(
        _frames.map_points(_frames.before(matrix, axes), xy), _frames.map_points(matrix, _frames.apply(axes, xy))
    )
    assert_close(
        _frames.map_points(_frames.after(axes, matrix), xy), _frames.apply(axes, _frames.map_points(matrix, xy))
    )


def test_a_picture_ends_half_a_pixel_beyond_its_outermost_centres():
    size, nan = (4, 6), torch.nan
    left, top, right, bottom = _frames.edges(size)
    assert _frames.unit_points(torch.tensor([[left, top], [right, bottom]]), size).tolist() == [[-1.5, -1], [1.5, 1]]
    inside = torch.tensor([[left, top], [right, bottom], [left, bottom], [5.0, 3.0]])
    beside = torch.tensor([[-0.6, 0.0], [5.6, 0.0], [0.0, -0.6], [0.0, 3.6], [4.0, 5.0], [nan, 1.0], [1.0, nan]])
    assert _frames.within(inside, size).all()
    assert not _frames.within(beside, size).any()
