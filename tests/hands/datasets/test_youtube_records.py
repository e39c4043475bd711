import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from equicon.data import _json
from equicon.hands._datasets.youtube_records import Frame, read_hands


def save(root: Path, whole: Any) -> Path:
    path = root / "youtube_train.json"
    path.write_text(json.dumps(whole))
    return path


def vertices(xy: Tensor) -> list[Any]:
    """Make a hand whose vertices are the given points, the last again and again."""
    points = torch.cat([xy, xy[-1:].expand(778 - len(xy), 2)])
    return [[x, y, 0.5] for x, y in points.tolist()]


GOOD = vertices(torch.tensor([[20.0, 10], [50, 40]]))


IMAGE = {"id": 7, "name": "youtube/x/video/frames/a.png", "width": 80, "height": 60}


HAND = {"is_left": 0, "image_id": 7, "id": 0, "vertices": GOOD}


def without(record: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != name}


WRONG: dict[str, tuple[Any, str]] = {
    "a list": (
        [1, 2],
        r"youtube_train\.json: expected an object with lists of records, got something that begins with",
    ),
    "no images": ({"annotations": [HAND]}, r"json: expected a list of records 'images', got none"),
    "no hands": ({"images": [IMAGE], "annotations": []}, r"json: expected a list of records 'annotations', got none"),
    "images a number": ({"images": 3, "annotations": [HAND]}, r"json: expected a list of records 'images', got none"),
    "no id": (
        {"images": [without(IMAGE, "id")]},
        r"\(images 0\): expected an object with 'id', got one with name, width",
    ),
    "no object": ({"images": [IMAGE, "a"]}, r"\(images 1\): expected an object, got str 'a'"),
    "twice": ({"images": [IMAGE, IMAGE]}, r"\(images 1\): expected an id that no earlier image has, got int 7"),
    "id": ({"images": [IMAGE | {"id": 1.5}]}, r"\(images 0\): id: expected a whole number or a text, got float 1\.5"),
    "name": ({"images": [IMAGE | {"name": 3}]}, r"\(images 0\): name: expected a path such as youtube/.*, got int 3"),
    "outside": ({"images": [IMAGE | {"name": "youtube/../../a.png"}]}, r"name: expected a path such as .*got str 'you"),
    "absolute": (
        {"images": [IMAGE | {"name": "/etc/a.png"}]},
        r"name: expected a path such as .*, got str '/etc/a\.png'",
    ),
    "width": ({"images": [IMAGE | {"width": 0}]}, r"\(images 0\): width: expected a number of pixels, got int 0"),
    "height": ({"images": [IMAGE | {"height": "60"}]}, r"height: expected a number of pixels, got str '60'"),
    "no vertices": (
        {"annotations": [HAND, without(HAND, "vertices")]},
        r"\(annotations 1\): expected an object with 'v",
    ),
    "few": (
        {"annotations": [HAND | {"vertices": GOOD[:-1]}]},
        r"\(annotations 0\): vertices: expected numbers of shape \(778, 3\), got shape \(777, 3\)",
    ),
    "words": ({"annotations": [HAND | {"vertices": "none"}]}, r"vertices: expected numbers of shape .*got str 'none'"),
    "NaN": ({"annotations": [HAND | {"vertices": [[float("nan")] * 3] * 778}]}, r"vertices: expected finite numbers"),
    "side": (
        {"annotations": [HAND | {"is_left": 2}]},
        r"\(annotations 0\): is_left: expected true, false, 1 or 0, got",
    ),
    "image_id": (
        {"annotations": [HAND | {"image_id": None}]},
        r"image_id: expected a whole number or a text, got None",
    ),
}


@pytest.mark.parametrize(("whole", "message"), WRONG.values(), ids=WRONG)
def test_wrong_records_are_named(tmp_path: Path, whole: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_hands(save(tmp_path, whole))


def test_the_annotations_are_never_in_memory_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = vertices(torch.rand(778, 2) * 1000)
    path = save(tmp_path, {"images": [IMAGE], "annotations": [HAND | {"vertices": made}] * 60})
    monkeypatch.setattr(_json, "_WINDOW", 2**16)
    tracemalloc.start()
    try:
        assert len(read_hands(path).frame_ids) == 60
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 3


def test_of_each_hand_its_frame_its_box_and_its_side_are_kept(tmp_path: Path) -> None:
    points = torch.rand(3, 778, 3, generator=torch.Generator().manual_seed(0)) * 100
    images = [IMAGE, {"id": "b", "name": "b.jpg", "width": 8, "height": 6}]
    hands = [
        {"is_left": left, "image_id": frame_id, "vertices": xyz.tolist()}
        for left, frame_id, xyz in zip((0, True, 1), ("b", 7, "gone"), points, strict=True)
    ]
    for whole in ({"images": images, "annotations": hands}, {"annotations": hands, "more": 1, "images": images}):
        found = read_hands(save(tmp_path, whole))
        assert found.frames == {7: Frame(*list(IMAGE.values())[1:]), "b": Frame("b.jpg", 8, 6)}
        assert found.frame_ids == ["b", 7, "gone"]
        assert list(found.left) == [0, 1, 1]
        boxes = torch.frombuffer(found.boxes, dtype=torch.float32).reshape(-1, 4)
        xy = points[..., :2].double()
        center = xy.mean(1)
        reach = (xy - center[:, None]).norm(dim=-1).amax(1, keepdim=True)
        torch.testing.assert_close(boxes, torch.cat([center - reach, center + reach], -1).float(), atol=0, rtol=1e-6)


@pytest.mark.parametrize("flat", [[[20.0, 10], [50, 10]], [[20.0, 10], [20, 40]], [[20.1, 10.1], [20.1, 10.1]]])
def test_without_extent_on_an_axis_a_box_has_none(tmp_path: Path, flat: list[list[float]]) -> None:
    hands = [HAND | {"vertices": vertices(torch.tensor(flat))}, HAND]
    found = read_hands(save(tmp_path, {"images": [IMAGE], "annotations": hands}))
    empty, whole = torch.frombuffer(found.boxes, dtype=torch.float32).reshape(2, 2, 2)
    assert torch.equal(empty[0], empty[1])
    assert bool((whole[0] < whole[1]).all())
