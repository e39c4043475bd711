import pickle
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kornia.io import write_image
from torch import Tensor
from torch.utils.data import DataLoader

from equicon.data import CorruptImage, KeypointDataset, KeypointSample, SkipCorrupt
from equicon.data._groups import group_by_names, hold_out, near
from equicon.data._labels import extent, turns
from equicon.data._picture_size import picture_size
from equicon.data._sides import flip_by_names


def ramps(height: int, width: int) -> Tensor:
    """An image whose red is x, whose green is y, and whose blue is full."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y, torch.full_like(x, 255)]).to(torch.uint8)


def save(path: Path, height: int, width: int) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, ramps(height, width))
    return str(path)


def frames(root: Path, count: int, size: int = 16, folder: str = "") -> KeypointDataset:
    """A data set of many items of pictures that are not there, but for their names."""
    files = [f"{folder}img{i}.png" for i in range(count)]
    boxes = [[0.0, 0, 9, 9]] * count
    xy = torch.arange(count * 2.0).view(count, 1, 2)
    return KeypointDataset(files, xy, [[2]] * count, size, names=["tip"], root=root, boxes=boxes)


# --- items


@st.composite
def boxed(draw: st.DrawFn) -> tuple[list[float], float, int]:
    x1, y1 = draw(st.floats(0, 60)), draw(st.floats(0, 30))
    x2, y2 = draw(st.floats(x1 + 8, 99)), draw(st.floats(y1 + 8, 79))
    return [x1, y1, x2, y2], draw(st.floats(0.7, 2)), draw(st.integers(24, 90))


@given(boxed())
def test_points_lie_where_the_pixels_say(tmp_path_factory, case):
    box, margin, size = case
    root = tmp_path_factory.getbasetemp()
    if not (root / "ramps.png").exists():
        save(root / "ramps.png", 80, 100)
    middle = [[(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]]
    data = KeypointDataset(
        ["ramps.png"], [middle], [[1]], size, names=["a"], root=root, boxes=[box], margin=margin, padding_mode="border"
    )
    image, xy, visible, found, index = data[0]
    assert (image.shape, image.dtype, xy.dtype, visible.dtype) == (
        (3, size, size),
        torch.uint8,
        torch.float32,
        torch.uint8,
    )
    assert (found.dtype, index.dtype, index.shape, int(index), visible.tolist()) == (
        torch.float32,
        torch.int64,
        (),
        0,
        [1],
    )
    # What the ramps show at the point, between pixels, is the point in the picture.
    x, y = xy[0].tolist()
    left, top = int(x), int(y)
    around = image[:2, top : top + 2, left : left + 2].double()
    across, down = x - left, y - top
    shown = (
        around * torch.tensor([[(1 - down) * (1 - across), (1 - down) * across], [down * (1 - across), down * across]])
    ).sum((1, 2))
    assert shown.tolist() == pytest.approx(middle[0], abs=0.75)
    # The box is moved as the points are, and back it is what it was.
    corners = found.view(1, 2, 2)
    torch.testing.assert_close(data.to_source(corners, index[None])[0].flatten(), torch.tensor(box), atol=1e-3, rtol=0)
    torch.testing.assert_close(data.to_source(xy[None], index[None])[0], torch.tensor(middle), atol=1e-4, rtol=0)


def test_what_has_no_label_is_zero_and_nothing_else_is(tmp_path):
    save(tmp_path / "a.png", 40, 60)
    xy = [[[10, 20], [float("nan"), 5], [30, 30]]]
    data = KeypointDataset(["a.png"], xy, [[2, 0, 1]], 30, names=["a", "b", "c"], root=tmp_path)
    assert data.xy.tolist() == [[[10, 20], [0, 0], [30, 30]]]
    sample = data[0]
    assert sample.xy[1].tolist() == [0, 0]
    # A square of 60 pixels, of which the picture has the rows from 10 on, at half its size.
    assert sample.xy.tolist() == [[4.75, 14.75], [0, 0], [14.75, 19.75]]
    assert sample.visible.tolist() == [2, 0, 1]


def test_without_boxes_the_whole_picture_is_seen(tmp_path):
    save(tmp_path / "a.png", 40, 60)
    data = KeypointDataset(["a.png"], [[[10, 20]]], [[2]], 60, names=["a"], root=tmp_path)
    assert data.margin == 1
    assert data.boxes.tolist() == [[-0.5, -0.5, 59.5, 39.5]]
    sample = data[0]
    assert sample.box.tolist() == [-0.5, 9.5, 59.5, 49.5]
    assert torch.equal(sample.image[:, 10:50], ramps(40, 60))
    assert int(sample.image[:, :10].max()) == int(sample.image[:, 50:].max()) == 0
    filled = data.resized(padding_mode="reflection")
    assert int(filled[0].image[2].min()) == 255
    assert (filled.size, filled.margin, filled.padding_mode, data.padding_mode) == (60, 1, "reflection", "zeros")


def test_boxes_have_a_margin_and_a_row_of_nan_is_the_whole_picture(tmp_path):
    save(tmp_path / "a.png", 40, 60)
    boxes = [[float("nan")] * 4, [10, 10, 30, 20]]
    data = KeypointDataset(["a.png"] * 2, [[[10, 20]]] * 2, [[2]] * 2, 60, names=["a"], root=tmp_path, boxes=boxes)
    assert data.margin == 1.25
    assert data.boxes.tolist() == [[-0.5, -0.5, 59.5, 39.5], [10, 10, 30, 20]]
    assert data.instances.tolist() == [0, 1]
    assert data.image_ids.tolist() == [1, 1]


def test_items_without_a_label_are_left_out_and_counted(tmp_path):
    names = [f"{i}.png" for i in range(3)]
    for name in names:
        save(tmp_path / name, 20, 20)
    data = KeypointDataset(names, [[[1, 2]]] * 3, [[0], [2], [0]], 16, names=["a"], root=tmp_path)
    assert (len(data), data.left_out) == (1, 2)
    assert data.path(0) == tmp_path / "1.png"
    with pytest.raises(ValueError, match="visible: expected at least one labelled point, got none in 3 items"):
        KeypointDataset(names, [[[1, 2]]] * 3, [[0]] * 3, 16, names=["a"], root=tmp_path)


def test_batches_are_collated_and_workers_give_the_same(tmp_path):
    names = [save(tmp_path / f"{i}.png", 20 + i, 30) for i in range(4)]
    data = KeypointDataset(names, [[[3, 4]]] * 4, [[2]] * 4, 16, names=["a"])
    batch = next(iter(DataLoader(data, 4, num_workers=1, multiprocessing_context="fork")))
    assert isinstance(batch, KeypointSample)
    assert (batch.image.shape, batch.xy.shape, batch.visible.shape) == ((4, 3, 16, 16), (4, 1, 2), (4, 1))
    assert batch.index.tolist() == [0, 1, 2, 3]
    for i in range(4):
        assert all(torch.equal(one[i], alone) for one, alone in zip(batch, data[i], strict=True))
    torch.testing.assert_close(data.to_source(batch.xy, batch.index), data.xy)


def test_workers_share_the_labels(tmp_path):
    data = frames(tmp_path, 20_000)
    assert len(ForkingPickler.dumps(data)) < 6_000
    assert pickle.loads(pickle.dumps(data)).names == ("tip",)


def test_what_cannot_be_read_is_replaced(tmp_path):
    names = [save(tmp_path / f"{i}.png", 20, 20) for i in range(3)]
    (tmp_path / "1.png").write_bytes(b"")
    data = KeypointDataset(names, [[[i, i]] for i in range(3)], [[2]] * 3, 20, names=["a"])
    with pytest.raises(CorruptImage, match=r"1\.png \(index 1\): expected a PNG image"):
        data[1]
    safe = SkipCorrupt(data)
    assert int(safe[1].index) == 2  # says which labels these are
    assert safe[1].xy.tolist() == [[2, 2]]
    assert torch.equal(safe.groups, data.groups)


# --- selecting and splitting


def test_a_selection_is_of_the_same_items(tmp_path):
    data = frames(tmp_path, 10)
    part = data.select([7, -1, 2])
    assert part.xy[:, 0, 0].tolist() == [14, 18, 4]
    assert [part.path(i).name for i in range(3)] == ["img7.png", "img9.png", "img2.png"]
    assert torch.equal(part.groups, data.groups[[7, 9, 2]])
    assert part.image_ids.tolist() == [8, 10, 3]
    assert len(data) == 10
    mask = torch.zeros(10, dtype=torch.bool)
    mask[3] = True
    assert data.select(mask).path(0).name == "img3.png"
    with pytest.raises(IndexError, match="expected whole numbers below 10"):
        data.select([10])
    with pytest.raises(ValueError, match="indices: expected the numbers of at least one item"):
        data.select([])


@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=8),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 99),
)
def test_the_share_is_as_near_as_whole_groups_allow(sizes, share, seed):
    groups = torch.repeat_interleave(torch.arange(len(sizes)) * 3, torch.tensor(sizes))
    held = hold_out(groups, share, seed)
    chosen = set(groups[held].tolist())
    assert chosen.isdisjoint(groups[~held].tolist())
    assert chosen
    assert not held.all()
    sums = {0}
    for size in sizes:
        sums |= {total + size for total in sums}
    total = sum(sizes)
    target = round(share * total)
    assert abs(int(held.sum()) - target) == min(abs(s - target) for s in sums if 0 < s < total)


def test_other_seeds_hold_out_other_groups():
    groups = torch.arange(30) // 3
    found = {tuple(hold_out(groups, 0.2, seed).tolist()) for seed in range(20)}
    assert len(found) > 5
    assert {sum(held) for held in found} == {6}
    counts = torch.stack([hold_out(groups, 0.2, seed) for seed in range(200)]).double().mean(0)
    assert bool(((counts - 0.2).abs() < 0.12).all())  # each as often as others


def test_folders_are_groups_and_are_never_parted(tmp_path):
    files = [f"video{i % 4}/img{i}.png" for i in range(40)]
    data = KeypointDataset(
        files, [[[1, 1]]] * 40, [[2]] * 40, 16, names=["a"], root=tmp_path, boxes=[[0, 0, 9, 9]] * 40
    )
    assert data.groups.tolist() == [i % 4 for i in range(40)]
    rest, held = data.split(0.25, 3)
    assert (len(rest), len(held)) == (30, 10)
    assert set(rest.groups.tolist()).isdisjoint(held.groups.tolist())
    again = data.split(0.25, 3)[1]
    assert torch.equal(again.groups, held.groups)


def test_one_folder_is_cut_into_blocks_with_a_gap_between_the_parts(tmp_path):
    data = frames(tmp_path, 400)
    numbers = data.groups.unique(return_counts=True)[1]
    assert numbers.tolist() == [20] * 20
    rest, held = data.split(0.2, 1)
    assert len(held) == 80
    there, gone = (part.xy[:, 0, 0].div(2).long() for part in (rest, held))
    assert int((there[:, None] - gone).abs().min()) == 6  # five frames between
    lost = set(range(400)) - set(there.tolist()) - set(gone.tolist())
    assert all(min(abs(i - int(j)) for j in gone) <= 5 for i in lost)
    assert 5 <= len(lost) <= 40


def test_blocks_are_of_neighbours_by_name_whatever_the_order_of_the_items(tmp_path):
    data = frames(tmp_path, 100)
    mixed = data.select(torch.randperm(100, generator=torch.Generator().manual_seed(0)))
    names = [mixed.path(i).name for i in range(100)]
    apart = KeypointDataset(names, mixed.xy, mixed.visible, 16, names=["tip"], boxes=mixed.boxes)
    assert torch.equal(apart.groups, mixed.groups)
    rest, held = apart.split(0.1)
    there, gone = (part.xy[:, 0, 0].div(2) for part in (rest, held))
    assert int((there[:, None] - gone).abs().min()) == 2


def test_few_pictures_lose_none_to_a_gap():
    grouping = group_by_names([f"{i}.png" for i in range(12)])
    assert grouping.groups.tolist() == list(range(12))
    assert grouping.gap == 0
    assert group_by_names(["10.png", "9.png"]).place.tolist() == [1, 0]  # numbers count by their value


@given(st.lists(st.booleans(), min_size=2, max_size=30).filter(any), st.integers(0, 4))
def test_what_is_near_is_at_most_a_gap_away(held, gap):
    place = torch.randperm(len(held), generator=torch.Generator().manual_seed(len(held))) * 2
    taken = torch.tensor(held)
    expected = [min(abs(int(p - q)) for q in place[taken]) <= gap for p in place]
    assert near(place, taken, gap).tolist() == expected


def test_people_of_a_picture_are_of_one_group(tmp_path):
    files = [f"img{i // 3}.png" for i in range(60)]
    data = KeypointDataset(
        files, [[[1, 1]]] * 60, [[2]] * 60, 16, names=["a"], root=tmp_path, boxes=[[0, 0, 9, 9]] * 60
    )
    assert data.instances.tolist() == [0, 1, 2] * 20
    assert data.groups.tolist() == [i // 3 for i in range(60)]
    rest, held = data.split(0.5)
    assert {rest.path(i) for i in range(len(rest))}.isdisjoint(held.path(i) for i in range(len(held)))


def test_groups_that_are_given_are_taken_without_a_gap(tmp_path):
    files, groups = [f"{i}.png" for i in range(100)], torch.arange(100) // 50 + 7
    data = KeypointDataset(
        files, [[[1, 1]]] * 100, [[2]] * 100, 16, names=["a"], boxes=[[0, 0, 9, 9]] * 100, groups=groups
    )
    rest, held = data.split(0.3)
    assert (len(rest), len(held)) == (50, 50)


def test_a_split_that_leaves_nothing_is_refused_with_its_reason(tmp_path):
    with pytest.raises(ValueError, match=r"share: expected a share that leaves items to learn from, got 0\.99 of 81"):
        frames(tmp_path, 81).split(0.99)


def test_one_group_cannot_be_split(tmp_path):
    data = KeypointDataset(["a"] * 3, [[[1, 1]]] * 3, [[2]] * 3, 16, names=["a"], boxes=[[0, 0, 9, 9]] * 3)
    with pytest.raises(ValueError, match="groups: expected at least two groups, to hold one out, got 1"):
        data.split(0.5)
    with pytest.raises(ValueError, match="share: expected a number above 0 and below 1"):
        data.split(1.0)


# --- names


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left_eye", "right_eye"), ("LeftEar", "RightEar"), ("l_hip", "r_hip"), ("ankle_l", "ankle_r"),
        ("LKnee", "RKnee"), ("leftpaw", "rightpaw"), ("tailLeft", "tailRight"), ("eyeL", "eyeR"), ("lear", "rear"),
        ("LF_paw", "RF_paw"), ("Left Toe", "Right Toe"), ("LEFT_X", "RIGHT_X"), ("L1", "R1"), ("L.Wrist", "R.Wrist"),
        ("left_eye_right_corner", "right_eye_left_corner"), ("face-left-3", "face-right-3"), ("upleft", "upright"),
        ("paw_left_front", "paw_right_front"), ("left", "right"), ("L", "R"),
    ],
)  # fmt: skip
def test_left_and_right_are_found_by_name(left, right):
    assert flip_by_names(["nose", right, "tail", left]).tolist() == [0, 3, 2, 1]


def test_names_without_a_partner_stay():
    alone = ["lip", "rim", "left_eye", "paw1LH_top", "paw4RH_top", "bright", "tail", "root"]
    assert flip_by_names(alone).tolist() == list(range(8))
    # A name has one partner, and partners agree.
    assert flip_by_names(["left_left", "right_left", "right_right"]).tolist() == [2, 1, 0]


@given(st.lists(st.text("lrLReftighx_1", min_size=1, max_size=7), min_size=1, max_size=12, unique=True))
def test_flipping_twice_changes_nothing(names):
    flip = flip_by_names(names)
    assert torch.equal(flip[flip], torch.arange(len(names)))


# --- sizes and extents


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_the_size_of_a_picture_is_read_from_its_header(tmp_path, name):
    save(tmp_path / name, 34, 56)
    assert picture_size(tmp_path / name) == (34, 56)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[:-20])  # what it shows does not matter
    assert picture_size(tmp_path / name) == (34, 56)


def test_the_size_is_that_of_the_upright_picture(tmp_path):
    image = pytest.importorskip("PIL.Image").new("RGB", (56, 34))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    image.save(tmp_path / "a.webp")
    assert picture_size(tmp_path / "a.jpg") == (56, 34)
    assert picture_size(tmp_path / "a.webp") == (34, 56)
    (tmp_path / "a.jpg").write_bytes(b"none")
    assert picture_size(tmp_path / "a.jpg") is None
    assert picture_size(tmp_path / "gone.png") is None


def test_extents_hold_the_known_points_and_are_never_tiny():
    xy = torch.tensor([[[10.0, 20], [50, 40], [0, 0]], [[5, 5], [0, 0], [0, 0]], [[0.0, 0], [40, 0], [20, 0]]])
    known = torch.tensor([[True, True, False], [True, False, False], [True, True, True]])
    assert extent(xy, known).tolist() == [[10, 20, 50, 40], [0, 0, 10, 10], [0, -0.5, 40, 0.5]]
    assert bool(extent(xy[1:2], known[1:2]).isnan().all())  # one point has no extent, and nothing tells what is usual


def test_turns_count_the_items_of_a_picture():
    assert turns(torch.tensor([0, 1, 0, 2, 1, 0])).tolist() == [0, 0, 1, 0, 1, 2]


# --- what is refused


GOOD = {"files": ["a.png"], "xy": [[[1, 2]]], "visible": [[2]], "size": 8, "names": ["a"], "boxes": [[0, 0, 9, 9]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"xy": [[1, 2]]}, r"xy: expected numbers of shape \(1, 1, 2\), got shape \(1, 2\)"),
        ({"xy": [[[float("nan"), 2]]]}, "xy: item 0: expected finite numbers where visible is not 0"),
        ({"xy": [[[1e39, 2]]]}, "xy: item 0: expected finite numbers"),
        ({"visible": [[3]]}, "visible: expected 0, 1 or 2, got 3 to 3"),
        ({"visible": [[-1]]}, "visible: expected 0, 1 or 2, got -1"),
        ({"names": []}, "names: expected at least one name"),
        ({"names": ["a", "a"]}, "names: expected at least one name, all different, got 'a' twice"),
        ({"skeleton": [(0, 1)]}, r"skeleton: expected pairs of points in \[0, 0\].*COCO's files count from 1"),
        ({"boxes": [[5, 5, 5, 9]]}, "boxes: item 0: expected finite boxes with x1 < x2"),
        ({"boxes": [[5, 5, float("nan"), 9]]}, "boxes: item 0: expected finite boxes"),
        ({"boxes": None}, "files: expected pictures, got none that can be read, the first being a.png"),
        ({"groups": [0, 1]}, r"groups: expected numbers of shape \(1,\)"),
        ({"margin": 0.0}, "margin: expected a number"),
        ({"padding_mode": "white"}, "padding_mode: expected one of zeros, border, reflection"),
        ({"size": 0}, "size: expected a whole number of at least 1"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    KeypointDataset(**GOOD)
    with pytest.raises(ValueError, match=message):
        KeypointDataset(**{**GOOD, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": "a"}, "names: expected the names of the keypoints"),
        ({"visible": [[2.5]]}, "visible: expected whole numbers, got float64"),
        ({"skeleton": [(0,)]}, "skeleton: expected pairs of whole numbers"),
        ({"xy": [[["a", "b"]]]}, "xy: expected numbers, got <U1"),
    ],
)
def test_wrong_types_are_named(change, message):
    with pytest.raises(TypeError, match=message):
        KeypointDataset(**{**GOOD, **change})


def test_points_to_move_back_come_with_their_items(tmp_path):
    data = frames(tmp_path, 3)
    with pytest.raises(ValueError, match=r"xy: expected \(n, K, 2\) with an index \(n,\), got \(2, 1, 2\) and \(3,\)"):
        data.to_source(torch.zeros(2, 1, 2), torch.arange(3))
