import json
import os
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
import torch
from kornia.io import write_image
from torch import Tensor
from torch.utils.data import DataLoader

from equicon.data import Boxed, CorruptImage, SkipCorrupt, UnlabelledImages


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
    assert data.groups.tolist() == [0, 1, 1, 0, 2]  # their folders
    assert data.groups.dtype == torch.int64
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


def test_a_name_that_is_no_text_is_read_and_can_be_told(root: Path) -> None:
    pytest.importorskip("PIL", reason="reads such names")
    odd = [root / os.fsdecode(b"caf\xe9.png"), root / os.fsdecode(b"caf\xe9/0.jpg")]
    plain(root / "0.jpg", 40)
    for path in odd:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((root / "0.jpg").read_bytes())
    boxes = save(root / "boxes.json", {str(path.relative_to(root)): [1, 1, 4, 4] for path in odd})
    for data in (UnlabelledImages(root, 6, boxes=boxes), UnlabelledImages(odd[1].parent, 6)):
        assert data.path(-1) in odd
        assert (data[-1].image - 40.0).abs().max() <= 1
        sound = data.path(-1).read_bytes()
        data.path(-1).write_bytes(b"")
        with pytest.raises(CorruptImage, match=r"caf\\udce9.*expected a JPEG image, got this") as caught:
            data[-1]
        str(caught.value).encode()  # as a strict standard output does
        assert caught.value.path in odd
        data.path(-1).write_bytes(sound)
    with pytest.raises(ValueError, match=r"names of images in .*caf\\udce9, got 2") as refused:
        UnlabelledImages(odd[1].parent, 6, boxes=boxes)
    str(refused.value).encode()


# --- the boxes


def test_boxes_are_in_the_upright_picture_unless_it_is_left_as_it_is_stored(root: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="writes the note of the camera")
    exif = image.Exif()
    exif[0x0112] = 6  # its right side is up
    pixels = ramps(40, 60).permute(1, 2, 0).contiguous().numpy()
    image.fromarray(pixels).save(root / "turned.png", exif=exif)
    given = ([29.5, 49.5, 34.5, 54.5], [49.5, 4.5, 54.5, 9.5])
    boxes = [save(root / f"{i}.json", {"turned.png": box}) for i, box in enumerate(given)]
    upright = UnlabelledImages(root, 5, boxes=boxes[0], margin=1)
    stored = UnlabelledImages(root, 5, boxes=boxes[1], margin=1, apply_exif_orientation=False)
    assert torch.equal(upright[0].box, stored[0].box)
    assert torch.equal(upright[0].image, stored[0].image.rot90(-1, (1, 2)))
    assert torch.equal(stored[0].image[0, 0], torch.arange(50, 55, dtype=torch.uint8))
    with pytest.raises(CorruptImage, match="a box in the image of 40 × 60 pixels"):
        UnlabelledImages(root, 5, boxes=boxes[1])[0]
    with pytest.raises(ValueError, match=r"padding_mode: expected .*reflection, got .*black"):
        UnlabelledImages(root, 5, padding_mode="black")  # type: ignore[arg-type]
    for wrong, described in ((1, "int 1"), ("no", "str 'no'")):
        with pytest.raises(TypeError, match=f"apply_exif_orientation: expected True or False, got {described}"):
            UnlabelledImages(root, 5, apply_exif_orientation=wrong)  # type: ignore[arg-type]


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


def test_each_box_is_an_item_and_images_without_one_are_left_out(root: Path) -> None:
    boxes = {"b.PNG": [[0, 0, 4, 4], [1.5, 2, 7, 6]], "a/2.jpg": [2, 2, 5, 5], "a-b.Jpg": []}
    data = UnlabelledImages(root, 6, boxes=save(root / "boxes.json", boxes), margin=1)
    assert [data.path(i).name for i in range(len(data))] == ["2.jpg", "b.PNG", "b.PNG"]
    assert data.groups.tolist() == [0, 1, 1]
    assert data.left_out == 3
    sides = (data[2].box[2:] - data[2].box[:2]).tolist()
    assert sides[0] / sides[1] == pytest.approx(5.5 / 4)


def test_a_folder_without_images_raises(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.gif", "sub/b.txt"):
        (tmp_path / name).write_text("none")
    message = r"root: expected a folder with \.jpg, \.jpeg or \.png images, got .*, which holds none .* 2 other files"
    with pytest.raises(ValueError, match=message):
        UnlabelledImages(tmp_path, 6)
    with pytest.raises(ValueError, match=r"root: expected a folder of images, got .*missing, which is no folder"):
        UnlabelledImages(tmp_path / "missing", 6)


def test_wrong_arguments_raise(root: Path) -> None:
    with pytest.raises(ValueError, match="size: expected a whole number of at least 1, got int 0"):
        UnlabelledImages(root, 0)
    with pytest.raises(TypeError, match="size: expected a whole number, got tuple"):
        UnlabelledImages(root, (6, 6))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="margin: expected a number above 0"):
        UnlabelledImages(root, 6, margin=0)
    with pytest.raises(ValueError, match=r"names of images in .*photographs, got 1 .*first being 'z\.png'.*'a-b\.Jpg'"):
        UnlabelledImages(root, 6, boxes=save(root / "boxes.json", {"z.png": [1, 1, 2, 2]}))
    data = UnlabelledImages(root, 6)
    for index in (5, -6):
        for ask in (data.__getitem__, data.path):
            with pytest.raises(IndexError, match=rf"index: expected a whole number in \[-5, 4\], got {index}"):
                ask(index)
