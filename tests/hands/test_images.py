import json
import os
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kornia.io import write_image
from torch import Tensor
from torch.utils.data import DataLoader

import equicon as eq
from equicon.hands import Boxed, CorruptImage, SkipCorrupt, UnlabelledImages


def ramps(height: int, width: int) -> Tensor:
    """An image whose red is x, whose green is y, and whose blue is full."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y, torch.full_like(x, 255)]).to(torch.uint8)


def plain(path: Path, value: int = 100, size: tuple[int, int] = (8, 10)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, torch.full((3, *size), value, dtype=torch.uint8))


def save(path: Path, boxes: Any) -> Path:
    path.write_text(json.dumps(boxes))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    for i, name in enumerate(["b.PNG", "a/2.jpg", "a/10.jpeg", "a-b.Jpg", "é/deep/er/c.png"]):
        plain(folder / name, 20 * (i + 1), (8 + i, 12 - i))
    (folder / "a" / "notes.txt").write_text("none")
    (folder / "jpg").write_text("none")
    return folder


NAMES = ["a-b.Jpg", "a/10.jpeg", "a/2.jpg", "b.PNG", "é/deep/er/c.png"]
VALUES = [80, 60, 40, 20, 100]


# --- the folder


def test_every_image_under_the_folder_is_there_in_order_of_its_path(root: Path) -> None:
    data = UnlabelledImages(str(root), 6)
    assert len(data) == 5
    assert [data.path(i).relative_to(root).as_posix() for i in range(5)] == NAMES
    assert data.path(-1) == data.path(4)
    assert [round(float(data[i].image.float().mean())) for i in range(5)] == pytest.approx(VALUES, abs=1)
    assert data.left_out == 0


def test_linked_folders_are_looked_into(root: Path, tmp_path: Path) -> None:
    plain(tmp_path / "elsewhere" / "0.jpg")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    data = UnlabelledImages(root, 6)
    assert (len(data), data.path(4)) == (6, root / "link" / "0.jpg")


def test_opening_reads_no_image(root: Path) -> None:
    for name in NAMES:
        (root / name).write_bytes(b"damaged")
    data = UnlabelledImages(root, 6, boxes=save(root / "boxes.json", {name: [1, 1, 2, 2] for name in NAMES}))
    with pytest.raises(CorruptImage, match=r"10\.jpeg \(index 1\): expected a JPEG image, got this: ") as caught:
        data[1]
    assert caught.value.path == root / "a/10.jpeg"


def test_workers_share_the_list(tmp_path: Path) -> None:
    plain(tmp_path / "a.png")
    boxes = save(tmp_path / "boxes.json", {"a.png": [[1, 1, 4, 4]] * 20_000})
    data = UnlabelledImages(tmp_path, 6, boxes=boxes)
    assert len(data) == 20_000
    assert len(ForkingPickler.dumps(data)) < 3_000  # the boxes alone take 320 kB


def test_batches_are_collated_and_workers_give_the_same(root: Path) -> None:
    data = UnlabelledImages(root, 6)
    batch = next(iter(DataLoader(data, 5, num_workers=1, multiprocessing_context="fork")))
    assert isinstance(batch, Boxed)
    assert (batch.image.shape, batch.image.dtype) == ((5, 3, 6, 6), torch.uint8)
    assert (batch.box.shape, batch.box.dtype) == ((5, 4), torch.float32)
    for i in range(5):
        assert torch.equal(batch.image[i], data[i].image)
        assert torch.equal(batch.box[i], data[i].box)


# --- the square


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("photograph")


@st.composite
def framed(draw: st.DrawFn) -> tuple[tuple[int, int], list[float], float, int]:
    height, width = draw(st.integers(20, 250)), draw(st.integers(20, 250))
    x1, y1 = draw(st.floats(0, width - 10)), draw(st.floats(0, height - 10))
    x2, y2 = draw(st.floats(x1 + 4, width - 1)), draw(st.floats(y1 + 4, height - 1))
    return (height, width), [x1, y1, x2, y2], draw(st.floats(0.5, 3)), draw(st.integers(4, 160))


@given(framed())
def test_image_and_box_are_moved_alike(photograph: Path, case: tuple[tuple[int, int], list[float], float, int]) -> None:
    (height, width), given_box, margin, size = case
    write_image(photograph / "a.png", ramps(height, width))
    data = UnlabelledImages(
        photograph, size, boxes=save(photograph / "boxes.json", {"a.png": given_box}), margin=margin
    )
    image, box = data[0]
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
def test_without_boxes_the_centred_square_is_the_box(photograph: Path, height: int, width: int, size: int) -> None:
    folder = photograph / "whole"
    folder.mkdir(exist_ok=True)
    write_image(folder / "a.png", ramps(height, width))
    image, box = UnlabelledImages(folder, size)[0]
    frame = eq.Affine.from_boxes(box[None], (size, size))
    torch.testing.assert_close(frame.matrix, torch.eye(3)[None], atol=1e-5, rtol=0)
    side = min(height, width)
    middle = [(n - 1) / 2 - ((n - side) % 2) / 2 for n in (width, height)]
    found = image.double().mean((1, 2))
    assert found.tolist() == pytest.approx([*middle, 255], abs=1)


def test_what_shrinks_is_low_passed(tmp_path: Path) -> None:
    chequered = (torch.arange(128)[:, None] + torch.arange(128)) % 2 * 255
    write_image(tmp_path / "a.png", chequered.to(torch.uint8).expand(3, 128, 128).contiguous())
    # Read at single points, it would be chequered still, by whole swings.
    inner = UnlabelledImages(tmp_path, 37)[0].image[:, 2:-2, 2:-2].float()
    assert float((inner - 127.5).abs().max()) < 12


def test_a_box_is_cut_to_its_image(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", ramps(40, 60))
    given_boxes = [[-500, -10, 20.5, 1000], [-0.5, -0.5, 20.5, 39.5]]
    data = UnlabelledImages(tmp_path, 32, boxes=save(tmp_path / "boxes.json", {"a.png": given_boxes}))
    assert torch.equal(data[0].image, data[1].image)
    assert torch.equal(data[0].box, data[1].box)


def test_a_box_beside_its_image_is_named_and_can_be_skipped(root: Path) -> None:
    boxes = {name: [[1, 1, 4, 4]] for name in NAMES}
    boxes["a/2.jpg"] += [[20, 2, 30, 8]]
    data = UnlabelledImages(root, 6, boxes=save(root / "boxes.json", boxes))
    message = r"2\.jpg \(index 3\): expected a box in the image of 11 × 9 pixels, got x1, y1, x2, y2 = \[20\.0, 2\.0,"
    with pytest.raises(CorruptImage, match=message):
        data[3]
    rest = SkipCorrupt(data)
    assert torch.equal(rest[3].image, data[4].image)
    assert rest.skipped == [root / "a/2.jpg"]


# --- the boxes


def test_each_box_is_an_item_and_images_without_one_are_left_out(root: Path) -> None:
    boxes = {"b.PNG": [[0, 0, 4, 4], [1.5, 2, 7, 6]], "a/2.jpg": [2, 2, 5, 5], "a-b.Jpg": []}
    data = UnlabelledImages(root, 6, boxes=save(root / "boxes.json", boxes), margin=1)
    assert [data.path(i).name for i in range(len(data))] == ["2.jpg", "b.PNG", "b.PNG"]
    assert data.left_out == 3
    sides = (data[2].box[2:] - data[2].box[:2]).tolist()
    assert sides[0] / sides[1] == pytest.approx(5.5 / 4)


WRONG: dict[str, tuple[Any, str]] = {
    "a list": ([[1, 2, 3, 4]], r"boxes\.json: expected a dictionary of boxes by image, got list \[\[1, 2, 3, 4\]\]"),
    "no boxes": ({}, r"boxes\.json: expected at least one box, got none"),
    "empty lists": ({"b.PNG": []}, r"boxes\.json: expected at least one box, got none"),
    "strange names": (
        {"b.PNG": [1, 1, 2, 2], "z.png": [1, 1, 2, 2], "b.png": [1, 1, 2, 2]},
        r"expected names of images in .*photographs, got 2 that are not there, the first being 'b\.png'\. .*'a-b\.Jpg'",
    ),
    "three numbers": ({"b.PNG": [1, 1, 2]}, r"boxes\.json \(b\.PNG\): expected x1, y1, x2, y2 or a list of such boxes"),
    "words": ({"b.PNG": ["1", "1", "2", "2"]}, r"\(b\.PNG\): expected x1, y1, x2, y2 or .*, got list \['1', '1'"),
    "null": ({"b.PNG": None}, r"\(b\.PNG\): expected x1, y1, x2, y2 or .*, got NoneType None"),
    "ragged": ({"b.PNG": [[1, 1, 2, 2], [1]]}, r"\(b\.PNG\): expected x1, y1, x2, y2 or .*, got list \[\[1, 1, 2, 2\]"),
    "deep": ({"b.PNG": [[[1, 1, 2, 2]]]}, r"\(b\.PNG\): expected x1, y1, x2, y2 or a list of such boxes"),
    "NaN": ({"b.PNG": [1, float("nan"), 2, 2]}, r"\(b\.PNG\): expected finite boxes with x1 < x2 and y1 < y2"),
    "infinite": ({"b.PNG": [1, 1, float("inf"), 2]}, r"\(b\.PNG\): expected finite boxes with x1 < x2 and y1 < y2"),
    "no area": ({"b.PNG": [[1, 1, 2, 2], [3, 1, 3, 2]]}, r"\(b\.PNG\): expected finite boxes .*width and height, add"),
}


@pytest.mark.parametrize(("boxes", "message"), WRONG.values(), ids=WRONG)
def test_wrong_boxes_are_named(root: Path, boxes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UnlabelledImages(root, 6, boxes=save(root / "boxes.json", boxes))


def test_a_file_of_boxes_that_is_none_raises(root: Path) -> None:
    (root / "boxes.json").write_text('{"b.PNG": [1, 1')
    with pytest.raises(ValueError, match=r"boxes: .*boxes\.json: expected JSON, got this: .*line 1"):
        UnlabelledImages(root, 6, boxes=root / "boxes.json")
    with pytest.raises(
        ValueError, match=r"boxes: expected a JSON file, got .*none\.json, which cannot be read: .*No such"
    ):
        UnlabelledImages(root, 6, boxes=root / "none.json")


def test_a_folder_without_images_raises(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.gif", "sub/b.txt"):
        (tmp_path / name).write_text("none")
    message = r"root: expected a folder with \.jpg, \.jpeg or \.png images, got .*, which holds none .* 2 other files"
    with pytest.raises(ValueError, match=message):
        UnlabelledImages(tmp_path, 6)
    with pytest.raises(ValueError, match=r"root: expected a folder of images, got .*missing, which is no folder"):
        UnlabelledImages(tmp_path / "missing", 6)


def test_a_folder_that_may_not_be_read_raises(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("deep"):
            raise PermissionError(f"may not read {path}")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match=r"may not read .*deep"):
        UnlabelledImages(root, 6)


def test_wrong_arguments_raise(root: Path) -> None:
    with pytest.raises(ValueError, match="size: expected a whole number of at least 1, got int 0"):
        UnlabelledImages(root, 0)
    with pytest.raises(TypeError, match="size: expected a whole number, got tuple"):
        UnlabelledImages(root, (6, 6))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="margin: expected a number above 0"):
        UnlabelledImages(root, 6, margin=0)
    data = UnlabelledImages(root, 6)
    for index in (5, -6):
        for ask in (data.__getitem__, data.path):
            with pytest.raises(IndexError, match=rf"index: expected a whole number in \[-5, 4\], got {index}"):
                ask(index)
