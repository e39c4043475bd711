from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import equicon as eq
from equicon.data import Boxed, CorruptImage
from equicon.data._cutting import cut_box, cut_middle


def ramps(height: int, width: int) -> Tensor:
    """An image whose red is x, whose green is y, and whose blue is full."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    # In memory as files are read: colours of a pixel side by side.
    return torch.stack([x, y, torch.full_like(x, 255)], -1).to(torch.uint8).permute(2, 0, 1)


def cut(image: Tensor, box: list[float], margin: float, size: int, index: int = 0, clip: bool = True) -> Boxed:
    edges = torch.tensor(box, dtype=torch.float32)
    return cut_box(image, edges, margin, size, path=Path("a.png"), index=index, clip=clip)


@st.composite
def framed(draw: st.DrawFn) -> tuple[tuple[int, int], list[float], float, int]:
    height, width = draw(st.integers(20, 250)), draw(st.integers(20, 250))
    x1, y1 = draw(st.floats(0, width - 10)), draw(st.floats(0, height - 10))
    x2, y2 = draw(st.floats(x1 + 4, width - 1)), draw(st.floats(y1 + 4, height - 1))
    return (height, width), [x1, y1, x2, y2], draw(st.floats(0.5, 3)), draw(st.integers(4, 160))


@given(framed())
def test_image_and_box_are_moved_alike(case: tuple[tuple[int, int], list[float], float, int]) -> None:
    (height, width), given_box, margin, size = case
    image, box = cut(ramps(height, width), given_box, margin, size)
    assert (image.shape, image.dtype, box.dtype) == ((3, size, size), torch.uint8, torch.float32)
    source = torch.tensor(given_box)

    # The square is what the box and the margin say, to half a pixel of the photograph in its middle and in its side:
    # it is cut out of whole ones.
    scale = float((box[2:] - box[:2]).max() / (source[2:] - source[:2]).max())
    frame = eq.Affine.from_boxes(source[None], (height, width), margin)
    exact = frame.boxes(source[None], (height, width), (size, size))[0]
    assert bool(((box - exact).abs() <= 1.001 * scale * (0.5 + 0.25 / margin) + 1e-3).all())

    # The pixels tell where they come from, and it is where the box says, to the rounding of colours. Beyond the
    # photograph there is nothing; within a filter's width of its ends or the square's both are mixed.
    at = torch.arange(size, dtype=torch.float64)
    x, y = (source[k] + (at - box[k]) / scale for k in (0, 1))
    reach, edge = 1 + 1 / scale, max(1.0, scale)
    whole = (at + 0.5 >= edge) & (at + 0.5 <= size - edge)
    inside_x, inside_y = (whole & (v > reach) & (v < end - 1 - reach) for v, end in ((x, width), (y, height)))
    inside = inside_y[:, None] & inside_x
    outside = ((x < -reach) | (x > width - 1 + reach)) | ((y < -reach) | (y > height - 1 + reach))[:, None]
    red, green, blue = image.double()
    assert bool(((red - x).abs()[inside] < 1.1).all())
    assert bool(((green - y[:, None]).abs()[inside] < 1.1).all())
    assert bool((blue[inside] == 255).all())
    assert bool((image[:, outside] == 0).all())


@given(height=st.integers(1, 90), width=st.integers(1, 90), size=st.integers(1, 60))
def test_without_boxes_the_centred_square_is_the_box(height: int, width: int, size: int) -> None:
    image, box = cut_middle(ramps(height, width), size)
    frame = eq.Affine.from_boxes(box[None], (size, size))
    torch.testing.assert_close(frame.matrix, torch.eye(3)[None], atol=1e-5, rtol=0)
    side = min(height, width)
    middle = [(n - 1) / 2 - ((n - side) % 2) / 2 for n in (width, height)]
    found = image.double().mean((1, 2))
    assert found.tolist() == pytest.approx([*middle, 255], abs=1)


def test_what_shrinks_is_low_passed() -> None:
    chequered = (torch.arange(128)[:, None] + torch.arange(128)) % 2 * 255
    image = chequered.to(torch.uint8).expand(3, 128, 128)
    # Read at single points, it would be chequered still, by whole swings.
    inner = cut_middle(image, 37).image[:, 2:-2, 2:-2].float()
    assert float((inner - 127.5).abs().max()) < 12


def test_a_box_is_cut_to_its_image() -> None:
    outside, inside = (cut(ramps(40, 60), box, 2.0, 32) for box in ([-500, -10, 20.5, 1000], [-0.5, -0.5, 20.5, 39.5]))
    assert torch.equal(outside.image, inside.image)
    assert torch.equal(outside.box, inside.box)


@given(framed())
def test_what_lies_in_its_image_is_cut_alike_without_clipping(
    case: tuple[tuple[int, int], list[float], float, int],
) -> None:
    (height, width), box, margin, size = case
    for a, b in zip(*(cut(ramps(height, width), box, margin, size, clip=clip) for clip in (True, False)), strict=True):
        assert torch.equal(a, b)


def test_without_clipping_a_box_stays_where_it_is() -> None:
    box = [-10.5, 9.5, 19.5, 39.5]
    image, found = cut(ramps(40, 60), box, 2.0, 60, clip=False)
    # Of 60 pixels from x = -25 and y = -5 on, nothing is resized.
    assert found.tolist() == [14.5, 14.5, 44.5, 44.5]
    whole = torch.zeros(3, 60, 60, dtype=torch.uint8)
    whole[:, 5:45, 25:] = ramps(40, 60)[:, :, :35]
    assert torch.equal(image, whole)
    frame = eq.Affine.from_boxes(found[None], (60, 60))
    torch.testing.assert_close(frame.linear, 2 * torch.eye(2)[None])


@pytest.mark.parametrize("reach", [30.0, 1e6, 1e30, float("inf")])
def test_a_box_that_would_fill_the_memory_is_named(reach: float) -> None:
    with pytest.raises(CorruptImage, match="expected a box in the image of 11 × 9 pixels"):
        cut(ramps(9, 11), [-reach, -reach, reach, reach], 2.0, 16, clip=False)
    assert cut(ramps(9, 11), [-reach, -reach, reach, reach], 2.0, 16).image.shape == (3, 16, 16)


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("box", [[20.0, 2.0, 30.0, 8.0], [-9.0, 2.0, -1.0, 8.0], [1.0, 9.0, 3.0, 12.0]])
def test_a_box_beside_the_image_is_named(box: list[float], clip: bool) -> None:
    message = r"a\.png \(index 3\): expected a box in the image of 11 × 9 pixels, got x1, y1, x2, y2 = \["
    with pytest.raises(CorruptImage, match=message) as caught:
        cut(ramps(9, 11), box, 2.0, 16, index=3, clip=clip)
    assert caught.value.path == Path("a.png")


def test_a_square_is_of_a_pixel_at_least() -> None:
    image, box = cut(ramps(9, 11), [4.0, 4.0, 4.1, 4.1], 0.5, 8)
    assert image.shape == (3, 8, 8)
    assert bool((image == torch.tensor([4, 4, 255])[:, None, None]).all())
    assert bool(box.isfinite().all())


@given(framed(), st.sampled_from(["border", "reflection"]))
def test_beyond_the_image_comes_its_border_or_its_reflection(case, padding_mode):
    (height, width), box, _, size = case
    image, edges = ramps(height, width), torch.tensor(box)
    plain, filled = (
        cut_box(image, edges, 3.0, size, path=Path("a.png"), index=0, padding_mode=mode)
        for mode in ("zeros", padding_mode)
    )
    assert torch.equal(plain.box, filled.box)
    assert int(filled.image[2].min()) == 255  # no black
    whole = plain.image[2] == 255
    assert bool(((filled.image.int() - plain.image.int()).abs()[:, whole] <= 1).all())

    # Without a resize, neighbours in the square are neighbours in the image, or the same pixel.
    side = round(3.0 * max(box[2] - box[0], box[3] - box[1]))
    x, y, _ = cut_box(image, edges, 3.0, side, path=Path("a.png"), index=0, padding_mode=padding_mode).image.int()
    steps = torch.cat([x.diff(dim=1).abs().unique(), y.diff(dim=0).abs().unique()]).unique().tolist()
    assert set(steps) <= ({1} if padding_mode == "reflection" else {0, 1})
