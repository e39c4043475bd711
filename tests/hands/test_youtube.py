import json
import tracemalloc
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.io import ImageLoadType, load_image, write_image
from torch import Tensor
from torch.utils.data import DataLoader

from equicon.hands import (
    BONES,
    Boxed,
    CorruptImage,
    SkipCorrupt,
    SyntheticHands,
    YouTube3DHands,
    YouTubeSummary,
    _json,
    _kinematics,
    write_youtube,
)
from equicon.hands._youtube import mirror
from equicon.hands._youtube_records import read_hands

IMAGES, SIZE = 10, 48


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("youtube") / "new"
    write_youtube(folder, IMAGES, size=SIZE, seed=3)
    return folder


def annotations(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "youtube_train.json").read_text())
    return found


def vertices(xy: Tensor) -> list[Any]:
    """Make a hand whose vertices are the given points, the last again and again."""
    points = torch.cat([xy, xy[-1:].expand(778 - len(xy), 2)])
    return [[x, y, 0.5] for x, y in points.tolist()]


def save(root: Path, hands: list[dict[str, Any]], images: list[dict[str, Any]] | None = None) -> Path:
    """Write annotations of the image a.png, 80 × 60 pixels, unless told otherwise."""
    root.mkdir(exist_ok=True)
    plain = {"is_left": 0, "image_id": 7, "id": 0, "vertices": vertices(torch.tensor([[20.0, 10], [50, 40]]))}
    image = [{"id": 7, "name": "youtube/x/video/frames/a.png", "width": 80, "height": 60}]
    whole = {"images": image if images is None else images, "annotations": [plain | hand for hand in hands]}
    (root / "youtube_train.json").write_text(json.dumps(whole))
    return root


def frame(root: Path, image: Tensor, name: str = "youtube/x/video/frames/a.jpg") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    write_image(root / name, image, **({"quality": 95} if name.endswith(".jpg") else {}))


def smooth(height: int, width: int) -> Tensor:
    y, x = torch.meshgrid((torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
    return (255 * torch.stack([x, y, (x + y) / 2])).round().to(torch.uint8)


# --- what is written


def test_the_files_are_those_of_the_data_set(root: Path) -> None:
    written = annotations(root)
    assert written.keys() == {"images", "annotations"}
    recorded = {image["name"]: image for image in written["images"]}
    assert len(recorded) == IMAGES + 3  # those of a missing video
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} - {"youtube_train.json"}
    assert {name.replace(".jpg", ".png") for name in files} == {name for name in recorded if "missing" not in name}
    assert all(name.endswith(".jpg") and name.startswith("youtube/video") for name in files)
    hands_of = [sum(hand["image_id"] == i for hand in written["annotations"]) for i in range(IMAGES)]
    assert hands_of == [1, 2] * (IMAGES // 2)
    for name in files:
        height, width = load_image(root / name, ImageLoadType.RGB8).shape[1:]
        image = recorded[name.replace(".jpg", ".png")]
        scale = 2 if image["id"] % 3 == 1 else 1
        assert (image["width"], image["height"]) == (scale * width, scale * height)
        assert width == SIZE * (1 + image["id"] % 2)
    assert {hand["is_left"] for hand in written["annotations"]} == {0, 1}


def test_vertices_reach_as_far_as_the_joints(root: Path) -> None:
    hands = SyntheticHands(40, size=SIZE, seed=3)
    for hand in annotations(root)["annotations"]:
        found = torch.tensor(hand["vertices"])
        assert found.shape == (778, 3)
        image = hand["image_id"]
        second = image % 2 == 1 and annotations(root)["annotations"][hand["id"] - 1]["image_id"] == image
        joints = hands[2 * image + second].xy + torch.tensor([SIZE * second, 0])
        scale = 2 if image % 3 == 1 else 1
        joints = (joints + 0.5) * scale - 0.5
        torch.testing.assert_close(found[:21, :2], joints)
        torch.testing.assert_close(torch.stack(found[:, :2].aminmax(dim=0)), torch.stack(joints.aminmax(dim=0)))
        # The others lie between the ends of their bone.
        parent, child = (joints[[bone[k] for bone in BONES]] for k in (0, 1))
        others = found[21:41, :2]
        detour = (others - parent).norm(dim=-1) + (child - others).norm(dim=-1) - (child - parent).norm(dim=-1)
        assert float(detour.abs().max()) < 1e-3


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_left_hands_are_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: float) -> None:
    factors = torch.tensor([side, 1.0, 1.0], dtype=torch.float64)
    monkeypatch.setattr(_kinematics, "_mirror", lambda draws: factors.expand(len(draws.chance(0.5)), 3))
    write_youtube(tmp_path, 12, size=8)
    assert {hand["is_left"] for hand in annotations(tmp_path)["annotations"]} == {int(side < 0)}


def test_a_set_is_whole_and_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("equicon.hands._write.write_image", fail)
        with pytest.raises(OSError, match="no space left"):
            write_youtube(tmp_path, 2, size=8)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    with pytest.raises(
        ValueError, match=r"root: expected a folder without a YouTube3DHands set, got .*holds youtube\. "
    ):
        write_youtube(tmp_path, 2, size=8)
    for wrong in ({"num_images": 0}, {"num_images": 1, "size": 7}, {"num_images": 1, "seed": -1}):
        with pytest.raises(ValueError, match=f"{list(wrong)[-1]}: expected a whole number of at least"):
            write_youtube(tmp_path / "other", **wrong)


# --- the hands


def test_each_hand_is_an_item_and_its_box_encloses_it(root: Path) -> None:
    data = YouTube3DHands(root, size=64, margin=1.5, mirror_left=False)
    assert len(data) == IMAGES * 3 // 2
    hands = SyntheticHands(40, size=SIZE, seed=3)
    samples = [2 * i + k for i in range(IMAGES) for k in range(1 + i % 2)]
    for index, sample in enumerate(samples):
        assert data.path(index).name == f"{sample // 2:08d}.jpg"
        image, box = data[index]
        assert (image.shape, image.dtype, box.dtype) == ((3, 64, 64), torch.uint8, torch.float32)
        joints = hands[sample].xy
        low, high = joints.aminmax(dim=0)
        scale = (box[2:] - box[:2]) / (high - low)
        assert float(scale[0]) == pytest.approx(float(scale[1]), rel=1e-4)
        # Where the item shows a joint, the rendered hand's own image has the same colours.
        inside = (joints - low) * scale + box[:2]
        assert bool((inside >= box[:2] - 1e-3).all() and (inside <= box[2:] + 1e-3).all())
        places = [(points + 0.5) / size * 2 - 1 for points, size in ((joints, SIZE), (inside, 64))]
        images = (hands[sample].image, image)
        blurred = [F.avg_pool2d(im.float()[None], k, 1, k // 2) for im, k in zip(images, (3, 5), strict=True)]
        colours = [
            F.grid_sample(im, at[None, None], align_corners=False)[0, :, 0]
            for im, at in zip(blurred, places, strict=True)
        ]
        assert float((colours[0] - colours[1]).abs().mean()) < 14  # of 255: blurs and the JPEG differ


def test_left_hands_are_mirrored_and_right_ones_are_not(root: Path) -> None:
    plain, mirrored = (YouTube3DHands(root, size=32, mirror_left=m) for m in (False, True))
    lefts = [hand["is_left"] for hand in annotations(root)["annotations"]]
    assert 3 < sum(lefts[: len(plain)]) < len(plain) - 3
    for index, left in zip(range(len(plain)), lefts, strict=False):
        a, b = plain[index], mirrored[index]
        assert torch.equal(b.image, a.image.flip(-1) if left else a.image)
        x1, y1, x2, y2 = a.box.tolist()
        assert b.box.tolist() == pytest.approx([31 - x2, y1, 31 - x1, y2] if left else [x1, y1, x2, y2], abs=1e-5)


@given(st.integers(1, 40), st.lists(st.floats(-50, 90, width=32), min_size=4, max_size=4))
def test_mirrored_twice_is_itself_and_the_box_stays_on_its_content(side: int, numbers: list[float]) -> None:
    item = Boxed(torch.arange(3 * side * side).reshape(3, side, side).to(torch.uint8), torch.tensor(numbers))
    twice = mirror(mirror(item))
    assert torch.equal(twice.image, item.image)
    torch.testing.assert_close(twice.box, item.box, atol=2e-5, rtol=1e-6)
    pixel = Boxed(item.image, torch.tensor([0.0, 0, 0, side - 1]))  # the first column
    assert torch.equal(mirror(pixel).image[..., int(mirror(pixel).box[0])], item.image[..., 0])


@settings(max_examples=20)
@given(
    wide=st.integers(1, 5), high=st.integers(1, 5), x=st.floats(4, 30), y=st.floats(4, 20), margin=st.floats(1.0, 2.5)
)
def test_a_frame_of_another_size_shows_the_same_hand(
    tmp_path_factory: pytest.TempPathFactory, wide: int, high: int, x: float, y: float, margin: float
) -> None:
    """Recorded with (40 · ``wide``) × (30 · ``high``) pixels, on disk always with 120 × 90."""
    box = torch.tensor([[x, y], [x + 8, y + 9]])  # in edges of 40 × 30
    folder = tmp_path_factory.mktemp("sizes")
    frame(folder, smooth(90, 120), "youtube/x/video/frames/a.png")
    for across, down in ((1, 1), (wide, high), (3, 3)):
        recorded = box * torch.tensor([across, down]) - 0.5
        size = {"id": 7, "name": "youtube/x/video/frames/a.png", "width": 40 * across, "height": 30 * down}
        save(folder, [{"vertices": vertices(recorded)}], [size])
        item = YouTube3DHands(folder, size=32, margin=margin)[0]
        # The colours tell where the box is in the frame: red is x, green is y, both up to 255 at its ends. (Where the
        # square ends is rounded to whole pixels of the frame, so the boxes in the items may differ, and not by little.)
        for share in (0.2, 0.8):
            at = ((1 - share) * item.box[:2] + share * item.box[2:] + 0.5) / 16 - 1
            found = F.grid_sample(item.image[None].float(), at[None, None, None], align_corners=False)[0, :2, 0, 0]
            where = (1 - share) * box[0] + share * box[1]
            torch.testing.assert_close(found, where / torch.tensor([40, 30]) * 255, atol=1.2, rtol=0)


def test_a_hand_beside_its_frame_and_a_corrupt_one_can_be_skipped(tmp_path: Path) -> None:
    images = [
        {"id": name, "name": f"youtube/x/video/frames/{name}.png", "width": 80, "height": 60} for name in ("a", "b")
    ]
    beside = vertices(torch.tensor([[90.0, 10], [99, 20]]))
    hands = [{"image_id": "a", "vertices": beside}, {"image_id": "b"}, {"image_id": "a"}]
    frame(save(tmp_path, hands, images), smooth(60, 80))
    (tmp_path / "youtube/x/video/frames/b.jpg").write_bytes(b"")
    data = YouTube3DHands(tmp_path, size=16)
    with pytest.raises(
        CorruptImage, match=r"a\.jpg \(index 0\): expected a box in the image of 80 × 60 pixels, got x1"
    ):
        data[0]
    with pytest.raises(CorruptImage, match=r"b\.jpg \(index 1\): expected a JPEG image"):
        data[1]
    rest = SkipCorrupt(data)
    assert all(torch.equal(rest[i].image, data[2].image) for i in range(3))
    assert rest.skipped == [data.path(0), data.path(1)]


def test_batches_are_collated_and_workers_give_the_same(root: Path) -> None:
    data = YouTube3DHands(root, size=24)
    batches = list(DataLoader(data, 5, num_workers=2, multiprocessing_context="fork"))
    assert isinstance(batches[0], Boxed)
    image, box = (torch.cat(values) for values in zip(*batches, strict=True))
    assert len(image) == len(data)
    for i in range(len(data)):
        assert torch.equal(image[i], data[i].image)
        assert torch.equal(box[i], data[i].box)


def test_workers_share_what_is_kept(tmp_path: Path) -> None:
    frame(save(tmp_path, [{}] * 400), smooth(60, 80))
    data = YouTube3DHands(tmp_path, size=16)
    assert len(data) == 400
    assert len(ForkingPickler.dumps(data)) < 5_000  # the boxes alone take 6.4 kB


# --- what is missing


def test_the_summary_counts_each_hand_once(tmp_path: Path) -> None:
    def image(number: int, video: str) -> dict[str, Any]:
        return {"id": number, "name": f"youtube/{video}/video/frames/{number}.png", "width": 80, "height": 60}

    videos = ["here", "here", "here", "gone", "gone", "elsewhere", "unused"]
    flat = vertices(torch.tensor([[20.0, 10], [50, 10]]))
    # Images 0 and 1 are there; 2 is missing from a video that is there; of two videos nothing is left.
    ids = [0, 0, 1, 2, 3, 3, 4, 5, 99, 98, 0, 4]
    hands = [{"image_id": number} for number in ids]
    hands[-2:] = [hand | {"vertices": flat} for hand in hands[-2:]]
    save(tmp_path, hands, [image(number, video) for number, video in enumerate(videos)])
    frame(tmp_path, smooth(60, 80), "youtube/here/video/frames/0.png")
    frame(tmp_path, smooth(60, 80), "youtube/here/video/frames/1.jpg")
    (tmp_path / "youtube/gone").write_text("no folder")
    data = YouTube3DHands(tmp_path, size=16)
    assert data.summary == YouTubeSummary(
        hands=3, images=2, missing_hands=5, missing_images=4, missing_videos=2, unmatched=2, degenerate=2
    )
    assert sum(data.summary[i] for i in (0, 2, 5, 6)) == len(hands)
    assert [data.path(i).name for i in range(3)] == ["0.png", "0.png", "1.jpg"]
    assert str(data.summary) == (
        "3 hands in 2 images. Left out: 5 hands not on disk (4 images, all of 2 videos), "
        "2 hands of no image that is listed, 2 hands without extent."
    )
    assert str(YouTubeSummary(1, 1)) == "1 hand in 1 image."


def test_other_splits_have_files_of_their_own(root: Path, tmp_path: Path) -> None:
    frame(save(tmp_path, [{}]), smooth(60, 80))
    (tmp_path / "youtube_train.json").rename(tmp_path / "youtube_val.json")
    assert len(YouTube3DHands(tmp_path, "val", size=16)) == 1
    with pytest.raises(ValueError, match=r"expected a data set with youtube_test\.json, got .*youtube_val\.json"):
        YouTube3DHands(tmp_path, "test", size=16)


def test_frames_that_are_all_missing_raise(tmp_path: Path) -> None:
    save(tmp_path, [{}, {"image_id": 8}])
    first = r"youtube/x/video/frames/a\.png \(or \.jpg\), got none of 1\. The annotations come without them"
    with pytest.raises(ValueError, match=rf"root: expected the frames of the videos, the first being .*{first}"):
        YouTube3DHands(tmp_path, size=16)
    save(tmp_path, [{"image_id": 8}])
    with pytest.raises(
        ValueError, match=r"root: expected hands with an image and an extent, got none in .*1 hand of no"
    ):
        YouTube3DHands(tmp_path, size=16)


def test_a_folder_that_may_not_be_read_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> list[str]:
        raise PermissionError(f"may not read {path}")

    save(tmp_path, [{}])
    monkeypatch.setattr("equicon.hands._youtube.os.listdir", refuse)
    with pytest.raises(PermissionError, match=r"may not read .*frames"):
        YouTube3DHands(tmp_path, size=16)


# --- the annotations

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
    "twice": ({"images": [IMAGE, IMAGE]}, r"\(images 1\): expected an id that no image before has, got int 7"),
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
    (tmp_path / "youtube_train.json").write_text(json.dumps(whole))
    with pytest.raises(ValueError, match=message):
        YouTube3DHands(tmp_path, size=16)


TEXT = json.dumps({"info": {"a": [1]}, "images": [IMAGE], "annotations": [HAND, HAND]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"json: expected an object with lists of records, got something that begins with ''"),
        (TEXT[:30], r"json: expected JSON, got this: images 0: Expecting .* It may be cut short: unpack it again"),
        (TEXT[:-2], r"expected JSON, got this: annotations 1: Expecting ',' delimiter"),
        (TEXT[:-1], r"expected JSON, got this: annotations 2: Expecting ',' delimiter"),
        (TEXT + "}", r"expected JSON, got this: annotations 2: Extra data"),
        (TEXT.replace('"images": ', '"images" '), r"expected JSON, got this: info 0: Expecting ':' delimiter"),
        (
            TEXT[:-1] + ",}",
            r"expected JSON, got this: annotations 2: Expecting property name enclosed in double quotes",
        ),
        (TEXT.replace("0.5]", "0.5;]", 1), r"expected JSON, got this: annotations 0: Expecting ',' delimiter"),
    ],
)
@pytest.mark.parametrize("window", [7, 2**20])
def test_damage_is_named(tmp_path: Path, text: str, message: str, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_json, "_WINDOW", window)
    (tmp_path / "youtube_train.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        YouTube3DHands(tmp_path, size=16)


def test_a_file_that_is_no_text_raises(tmp_path: Path) -> None:
    (tmp_path / "youtube_train.json").write_bytes(b'{"images": [\xff]}')
    with pytest.raises(ValueError, match=r"youtube_train\.json: expected JSON, got this: 'utf-8' codec"):
        YouTube3DHands(tmp_path, size=16)


@given(window=st.integers(1, 300), layout=st.sampled_from([None, 0, 3]), images_first=st.booleans())
def test_what_json_reads_is_read_through_any_window(
    tmp_path_factory: pytest.TempPathFactory, window: int, layout: int | None, images_first: bool
) -> None:
    lists = {"images": [IMAGE, IMAGE | {"id": "b", "name": "é" * 200}], "annotations": [HAND], "empty": [], "none": {}}
    names = list(lists) if images_first else list(lists)[::-1]
    path = tmp_path_factory.mktemp("json") / "youtube_train.json"
    lists["annotations"] = [[1.5, {"a": [2, "]"]}], -1e-7, "[{"]
    text = json.dumps({name: lists[name] for name in names}, indent=layout, ensure_ascii=False)
    path.write_text(f"\n {text} \n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_json, "_WINDOW", window)
        found = list(_json.stream_lists(path))
    assert found == [(name, i, item) for name in names for i, item in enumerate(lists[name])]


def test_the_annotations_are_never_in_memory_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = vertices(torch.rand(778, 2) * 1000)
    path = save(tmp_path, [{"vertices": made}] * 60) / "youtube_train.json"
    monkeypatch.setattr(_json, "_WINDOW", 2**16)
    tracemalloc.start()
    try:
        assert len(read_hands(path).frame_ids) == 60
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 3


def test_wrong_arguments_raise(root: Path) -> None:
    with pytest.raises(ValueError, match="split: expected one of train, val, test, got str 'training'"):
        YouTube3DHands(root, "training", size=16)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size: expected a whole number of at least 1"):
        YouTube3DHands(root, size=0)
    with pytest.raises(ValueError, match="margin: expected a number above 0"):
        YouTube3DHands(root, size=16, margin=0)
    with pytest.raises(TypeError, match="mirror_left: expected True or False, got int 1"):
        YouTube3DHands(root, size=16, mirror_left=1)  # type: ignore[arg-type]
    data = YouTube3DHands(root, size=16)
    for ask in (data.__getitem__, data.path):
        with pytest.raises(IndexError, match=r"index: expected a whole number in \[-15, 14\], got 15"):
            ask(15)
    assert torch.equal(data[-1].image, data[14].image)
