import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equicon.data._boxes import read_boxes

NAMES = ["a-b.Jpg", "a/2.jpg", "b.PNG"]


def save(path: Path, boxes: Any) -> Path:
    path.write_text(json.dumps(boxes))
    return path


def test_one_box_or_several_for_each_image_that_has_any_in_the_order_of_names(tmp_path: Path) -> None:
    written = {"b.PNG": [[0, 0, 4, 4], [1.5, 2, 7, 6]], "a/2.jpg": [2, 2, 5, 5], "a-b.Jpg": []}
    found = read_boxes(save(tmp_path / "boxes.json", written), tmp_path, NAMES)
    assert list(found) == ["a/2.jpg", "b.PNG"]
    assert {boxes.dtype for boxes in found.values()} == {np.dtype(np.float32)}
    assert [boxes.tolist() for boxes in found.values()] == [[[2, 2, 5, 5]], [[0, 0, 4, 4], [1.5, 2, 7, 6]]]


WRONG: dict[str, tuple[Any, str]] = {
    "a list": ([[1, 2, 3, 4]], r"boxes\.json: expected a dictionary of boxes by image, got list \[\[1, 2, 3, 4\]\]"),
    "no boxes": ({}, r"boxes\.json: expected at least one box, got none"),
    "empty lists": ({"b.PNG": []}, r"boxes\.json: expected at least one box, got none"),
    "strange names": (
        {"b.PNG": [1, 1, 2, 2], "z.png": [1, 1, 2, 2], "b.png": [1, 1, 2, 2]},
        r"expected names of images in .*, got 2 that are not there, the first being 'b\.png'\. .*'a-b\.Jpg'",
    ),
    "three numbers": ({"b.PNG": [1, 1, 2]}, r"boxes\.json \(b\.PNG\): expected x1, y1, x2, y2 or a list of such boxes"),
    "words": ({"b.PNG": ["1", "1", "2", "2"]}, r"\(b\.PNG\): expected x1, y1, x2, y2 or .*, got list \['1', '1'"),
    "null": ({"b.PNG": None}, r"\(b\.PNG\): expected x1, y1, x2, y2 or .*, got NoneType None"),
    "ragged": ({"b.PNG": [[1, 1, 2, 2], [1]]}, r"\(b\.PNG\): expected x1, y1, x2, y2 or .*, got list \[\[1, 1, 2, 2\]"),
    "deep": ({"b.PNG": [[[1, 1, 2, 2]]]}, r"\(b\.PNG\): expected x1, y1, x2, y2 or a list of such boxes"),
    "NaN": ({"b.PNG": [1, float("nan"), 2, 2]}, r"\(b\.PNG\): expected finite boxes with x1 < x2 and y1 < y2"),
    "infinite": ({"b.PNG": [1, 1, float("inf"), 2]}, r"\(b\.PNG\): expected finite boxes with x1 < x2 and y1 < y2"),
    "beyond float32": ({"b.PNG": [1, 1, 1e39, 2]}, r"\(b\.PNG\): expected finite boxes with x1 < x2 and y1 < y2"),
    "flat in float32": ({"b.PNG": [1e9, 1, 1e9 + 1, 2]}, r"\(b\.PNG\): expected finite boxes with x1 < x2 and y1 < y2"),
    "no area": ({"b.PNG": [[1, 1, 2, 2], [3, 1, 3, 2]]}, r"\(b\.PNG\): expected finite boxes .*width and height, add"),
}


@pytest.mark.parametrize(("boxes", "message"), WRONG.values(), ids=WRONG)
def test_wrong_boxes_are_named(tmp_path: Path, boxes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_boxes(save(tmp_path / "boxes.json", boxes), tmp_path, NAMES)


def test_an_image_that_is_named_twice_is_told(tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    path.write_text('{"b.PNG": [1, 1, 2, 2], "a/2.jpg": [1, 1, 2, 2], "b.PNG": [3, 3, 4, 4]}')  # JSON keeps the last
    message = r"boxes\.json: expected each image once, got 'b\.PNG' several times\. Give all boxes of an image in one"
    with pytest.raises(ValueError, match=message):
        read_boxes(path, tmp_path, NAMES)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_byte_order_mark_is_read_past(tmp_path: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    (tmp_path / "boxes.json").write_bytes((mark + '{"b.PNG": [1, 1, 2, 2]}').encode(encoding))
    assert read_boxes(tmp_path / "boxes.json", tmp_path, NAMES)["b.PNG"].tolist() == [[1, 1, 2, 2]]


def test_another_encoding_is_told_from_a_file_cut_short(tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_bytes('{"é.png": [1, 1, 2, 2]}'.encode("latin-1"))
    with pytest.raises(
        ValueError, match=r"boxes\.json: expected JSON, got this: .*It is in another encoding than UTF-8"
    ):
        read_boxes(tmp_path / "boxes.json", tmp_path, NAMES)


def test_names_in_another_normalisation_are_told(tmp_path: Path) -> None:
    apart, composed = "sub/cafe\u0301.jpg", "sub/caf\xe9.jpg"
    boxes = save(tmp_path / "boxes.json", {"0.jpg": [1, 1, 2, 2], composed: [1, 1, 2, 2]})
    message = (
        rf"got 2 that are not there, the first being '0\.jpg'\. '{apart}' is there, which differs in its Unicode "
        r"normalisation alone: it is written 'sub/cafe\\u0301\.jpg', but you asked for 'sub/caf\\xe9\.jpg'\. "
        r"Write names as the folder has them: unicodedata\.normalize\('NFD', name\)\."
    )
    with pytest.raises(ValueError, match=message):
        read_boxes(boxes, tmp_path, [*NAMES, apart])
    save(tmp_path / "e\u0301.json", {})
    with pytest.raises(ValueError, match=r"expected a JSON file, .* is there, .*'e\\u0301\.json', .*'\\xe9\.json'"):
        read_boxes(tmp_path / "\xe9.json", tmp_path, NAMES)


def test_a_file_of_boxes_that_is_none_raises(tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_text('{"b.PNG": [1, 1')
    with pytest.raises(ValueError, match=r"boxes: .*boxes\.json: expected JSON, got this: .*line 1"):
        read_boxes(tmp_path / "boxes.json", tmp_path, NAMES)
    with pytest.raises(
        ValueError, match=r"boxes: expected a JSON file, got .*none\.json, which cannot be read: .*No such"
    ):
        read_boxes(tmp_path / "none.json", tmp_path, NAMES)
