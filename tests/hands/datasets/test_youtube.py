import json
from collections.abc import Iterable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.io import write_image
from torch import Tensor
from torch.utils.data import DataLoader

from equicon import Affine
from equicon.data import Boxed, CorruptImage, SkipCorrupt
from equicon.data import _cutting as _square
from equicon.hands import SyntheticHands, YouTube3DHands, YouTubeSummary, write_youtube
from equicon.hands._datasets.youtube import mirror

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


def square(xy: Tensor) -> Tensor:
    """Give the square about points (n, 2) as two corners (2, 2), by the definition."""
    x, y = (sum(column) / len(xy) for column in xy.double().T.tolist())
    reach = max(((px - x) ** 2 + (py - y) ** 2) ** 0.5 for px, py in xy.tolist())
    return torch.tensor([[x - reach, y - reach], [x + reach, y + reach]])


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


# --- the hands


def test_each_hand_is_an_item_and_its_box_is_the_square_about_it(root: Path) -> None:
    data = YouTube3DHands(root, size=64, margin=1.5, mirror_left=False)
    assert len(data) == IMAGES * 3 // 2
    hands = SyntheticHands(40, size=SIZE, seed=3)
    samples = [2 * i + k for i in range(IMAGES) for k in range(1 + i % 2)]
    recorded = annotations(root)
    videos = [data.path(index).parent for index in range(len(data))]
    assert len(set(videos)) > 1
    assert [a == b for a in data.groups.tolist() for b in data.groups.tolist()] == [
        a == b for a in videos for b in videos
    ]
    for index, sample in enumerate(samples):
        assert data.path(index).name == f"{sample // 2:08d}.jpg"
        image, box = data[index]
        assert (image.shape, image.dtype, box.dtype) == ((3, 64, 64), torch.uint8, torch.float32)
        joints = hands[sample].xy
        # In the half of the frame that is this hand's, at the size that it has on disk.
        half = (recorded["images"][sample // 2]["height"] // SIZE, sample % 2 * SIZE)
        points = torch.tensor(recorded["annotations"][index]["vertices"])[:, :2]
        low, high = square((points + 0.5) / half[0] - 0.5 - torch.tensor([half[1], 0]))
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


@pytest.mark.parametrize(("margin", "size"), [(0.8, 13), (1.7, 64), (2.5, 200)])
def test_a_box_frames_a_hand_as_its_vertices_do(
    root: Path, margin: float, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The law: in a view of any margin, hands are as large as those that are framed by their points."""
    data = YouTube3DHands(root, size=size, margin=margin)
    squares: list[tuple[int, int, int]] = []
    cut = _square._cut

    def spy(image: Tensor, box: Tensor, left: int, top: int, side: int, *others: Any) -> Boxed:
        squares.append((left, top, side))
        return cut(image, box, left, top, side, *others)

    monkeypatch.setattr(_square, "_cut", spy)
    hands = annotations(root)["annotations"][: len(data)]
    assert len({(hand["is_left"], hand["image_id"] % 3) for hand in hands}) == 6
    for index, hand in enumerate(hands):
        item = data[index]
        left, top, side = squares[index]
        scale = 2 if hand["image_id"] % 3 == 1 else 1
        edges = (torch.tensor(hand["vertices"])[:, :2] + 0.5) / scale  # of the frame on disk
        points = (edges - torch.tensor([left, top])) * size / side - 0.5
        if hand["is_left"]:
            points[:, 0] = size - 1 - points[:, 0]
        for zoom in (0.9, 1.5):
            found = Affine.from_boxes(item.box[None], (size, size), zoom).matrix
            wanted = Affine.from_points(points[None], (size, size), zoom).matrix
            torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_at_a_frame_s_border_the_square_stays_where_it_is(tmp_path: Path) -> None:
    corners = torch.tensor([[-6.0, -2], [14, 18]])  # the square about them reaches beyond the frame on two sides
    frame(save(tmp_path, [{"vertices": vertices(corners.repeat(389, 1))}]), smooth(60, 80))
    image, box = YouTube3DHands(tmp_path, size=40, margin=2.0)[0]
    reach = 200**0.5
    side = round(4 * reach)
    left, top = (round(at + 0.5 - side / 2) for at in (4, 8))
    edges = torch.tensor([4 - reach - left, 8 - reach - top, 4 + reach - left, 8 + reach - top]) + 0.5
    torch.testing.assert_close(box, edges * 40 / side - 0.5)
    assert bool((image[:, :, : -left * 40 // side - 1] == 0).all())


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
    wide=st.integers(1, 5), high=st.integers(1, 5), x=st.floats(8, 24), y=st.floats(8, 13), margin=st.floats(1.0, 2.5)
)
def test_a_frame_of_another_size_shows_the_same_hand(
    tmp_path_factory: pytest.TempPathFactory, wide: int, high: int, x: float, y: float, margin: float
) -> None:
    """Recorded with (40 · ``wide``) × (30 · ``high``) pixels, on disk always with 120 × 90."""
    ends = torch.tensor([[x, y], [x + 8, y + 9]])  # in edges of 40 × 30
    points = ends[0] + torch.linspace(0, 1, 778)[:, None] * (ends[1] - ends[0])
    folder = tmp_path_factory.mktemp("sizes")
    frame(folder, smooth(90, 120), "youtube/x/video/frames/a.png")
    for across, down in ((1, 1), (wide, high), (3, 3)):
        recorded = points * torch.tensor([across, down]) - 0.5
        low, high = (square(recorded) + 0.5) / torch.tensor([across, down])
        size = {"id": 7, "name": "youtube/x/video/frames/a.png", "width": 40 * across, "height": 30 * down}
        save(folder, [{"vertices": vertices(recorded)}], [size])
        item = YouTube3DHands(folder, size=32, margin=margin)[0]
        # The colours tell where the box is in the frame: red is x, green is y, both up to 255 at its ends. (Where the
        # square ends is rounded to whole pixels of the frame, so the boxes in the items may differ, and not by little.)
        for share in (0.2, 0.8):
            where = (1 - share) * ends[0] + share * ends[1]
            along = (where - low) / (high - low)
            at = ((1 - along) * item.box[:2] + along * item.box[2:] + 0.5) / 16 - 1
            found = F.grid_sample(item.image[None].float(), at[None, None, None], align_corners=False)[0, :2, 0, 0]
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
    first = r"youtube/x/video/frames/a\.png \(or \.jpg\), got none of 1\. The annotations come without frames"
    with pytest.raises(ValueError, match=rf"root: expected the frames of the videos, the first being .*{first}"):
        YouTube3DHands(tmp_path, size=16)
    save(tmp_path, [{"image_id": 8}])
    with pytest.raises(
        ValueError, match=r"root: expected hands with an image and an extent, got none in .*1 hand of no"
    ):
        YouTube3DHands(tmp_path, size=16)


@pytest.mark.parametrize("recorded", ["youtube/x/frames/\xe9.png", "youtube/\xe9/frames/a.png"])
def test_frames_that_are_recorded_in_another_normalisation_are_told_and_not_left_out(
    tmp_path: Path, recorded: str
) -> None:
    frame(tmp_path, torch.zeros(3, 60, 80, dtype=torch.uint8))
    on_disk = recorded.replace("\xe9", "e\u0301").replace(".png", ".jpg")
    frame(tmp_path, torch.zeros(3, 60, 80, dtype=torch.uint8), on_disk)
    names = {7: "youtube/x/video/frames/a.png", 8: recorded}
    images = [{"id": i, "name": name, "width": 80, "height": 60} for i, name in names.items()]
    save(tmp_path, [{}, {"image_id": 8}], images)
    with pytest.raises(ValueError, match=r"root: .* images named as in the annotations.*'e\\u0301.*asked for '\\xe9"):
        YouTube3DHands(tmp_path, size=48)


def test_a_folder_that_may_not_be_read_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> list[str]:
        raise PermissionError(f"may not read {path}")

    save(tmp_path, [{}])
    monkeypatch.setattr("equicon.hands._datasets.youtube.os.listdir", refuse)
    with pytest.raises(PermissionError, match=r"may not read .*frames"):
        YouTube3DHands(tmp_path, size=16)


# --- what is wrong


def test_progress_goes_round_the_records_of_the_annotations(root: Path) -> None:
    seen: list[Any] = []

    def progress(records: Iterable[Any]) -> Iterable[Any]:
        for record in records:
            seen.append(record)
            yield record

    data = YouTube3DHands(root, size=16, progress=progress)
    whole = annotations(root)
    assert len(seen) == len(whole["images"]) + len(whole["annotations"])
    assert data.summary == YouTube3DHands(root, size=16).summary


def test_wrong_arguments_raise(root: Path) -> None:
    with pytest.raises(TypeError, match="progress: expected a callable such as tqdm, got bool True"):
        YouTube3DHands(root, size=16, progress=True)  # type: ignore[arg-type]
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
