import json
from pathlib import Path
from typing import Any

import pytest
import torch
from kornia.io import write_image

from equicon.data import CocoKeypoints, CorruptImage, KeypointSample, keypoint_layout, open_keypoints


def save(path: Path, height: int = 40, width: int = 60) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, torch.full((3, height, width), 90, dtype=torch.uint8))


NAMES = ["nose", "left_eye", "right_eye"]
PERSON = {"id": 1, "name": "person", "supercategory": "person", "keypoints": NAMES, "skeleton": [[1, 2], [1, 3]]}


def person(number: int, image: int, *points: float, **more: Any) -> dict[str, Any]:
    record = {"id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": [10, 5, 20, 30]}
    return record | {"keypoints": list(points), "num_keypoints": 1, "segmentation": [[1, 2, 3, 4, 5, 6]]} | more


def example() -> dict[str, Any]:
    """Two pictures as in COCO's own files: categories come last, and a picture shows several people."""
    return {
        "info": {"year": 2017},
        "licenses": [{"id": 1, "url": ""}],
        "images": [
            {"id": 785, "file_name": "000000000785.png", "height": 40, "width": 60, "license": 1},
            {"id": 40083, "file_name": "000000040083.png", "height": 40, "width": 60},
            {"id": 7, "file_name": "unused.png", "height": 40, "width": 60},
        ],
        "annotations": [
            person(1, 40083, 12, 20, 2, 15, 18, 1, 0, 0, 0),
            person(2, 785, 20, 21, 2, 22, 23, 2, 24, 25, 2, bbox=[18.25, 19.5, 10, 8]),
            person(3, 40083, 30, 31, 2, 0, 0, 0, 0, 0, 0),
            person(4, 785, 0, 0, 0, 0, 0, 0, 0, 0, 0),
            person(5, 785, 1, 1, 2, 1, 1, 2, 1, 1, 2, iscrowd=1, segmentation={"counts": [1, 2], "size": [40, 60]}),
        ],
        "categories": [PERSON],
    }


def make(root: Path, content: dict[str, Any], name: str = "annotations.json", images: str = "") -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(json.dumps(content))
    for record in content["images"]:
        if isinstance(record.get("file_name"), str) and ".." not in record["file_name"]:
            save(root / images / record["file_name"])
    return root


def test_people_are_read_in_the_order_of_the_file(tmp_path):
    data = CocoKeypoints(make(tmp_path, example()), 32)
    assert (len(data), data.left_out) == (3, 2)
    assert data.names == tuple(NAMES)
    assert data.skeleton == ((0, 1), (0, 2))
    assert data.flip.tolist() == [0, 2, 1]
    assert data.visible.tolist() == [[2, 1, 0], [2, 2, 2], [2, 0, 0]]
    assert data.xy[0].tolist() == [[12, 20], [15, 18], [0, 0]]
    assert data.image_ids.tolist() == [40083, 785, 40083]
    assert data.instances.tolist() == [0, 0, 1]
    assert data.category_ids.tolist() == [1, 1, 1]
    assert [data.path(i).name for i in range(3)] == ["000000040083.png", "000000000785.png", "000000040083.png"]
    # x, y, width and height from outer edges, where x1, y1, x2, y2 are centres of pixels.
    assert data.boxes[1].tolist() == [17.75, 19, 27.75, 27]
    assert data.margin == 1.25
    sample = data[1]
    assert isinstance(sample, KeypointSample)
    torch.testing.assert_close(data.to_source(sample.xy[None], sample.index[None]), data.xy[1:2])
    part = data.select([2, 1])
    assert type(part) is CocoKeypoints
    assert part.image_ids.tolist() == [40083, 785]


def test_a_record_without_a_box_has_one_around_its_points(tmp_path):
    content = example()
    del content["annotations"][0]["bbox"]
    content["annotations"][1]["bbox"] = [3, 3, 0, 8]  # without an extent
    data = CocoKeypoints(make(tmp_path, content), 32)
    assert data.boxes.tolist() == [[12, 18, 15, 20], [20, 21, 24, 25], [9.5, 4.5, 29.5, 34.5]]
    points = CocoKeypoints(tmp_path, 32, box="points")
    assert points.boxes[:2].tolist() == data.boxes[:2].tolist()
    assert points.boxes[2].tolist() == [29.5, 30.5, 30.5, 31.5]  # of one point: a pixel, at least
    whole = CocoKeypoints(tmp_path, 32, box="picture")
    assert whole.boxes.tolist() == [[-0.5, -0.5, 59.5, 39.5]] * 3
    assert whole.margin == 1


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("annotations.json", ""),
        ("annotations.json", "images"),
        ("annotations/person_keypoints.json", ""),
        ("annotations/person_keypoints.json", "images"),
    ],
)
def test_pictures_are_found_beside_the_file_and_above(tmp_path, name, images):
    make(tmp_path, example(), name, images)
    for given in (tmp_path, tmp_path / name):
        data = CocoKeypoints(given, 32)
        assert data[0].image.shape == (3, 32, 32)
        assert data.path(0).parent.samefile(tmp_path / images)


def test_the_folder_of_the_pictures_can_be_told(tmp_path):
    make(tmp_path / "a", example(), images="../b")
    with pytest.raises(ValueError, match=r"images: expected a folder with 000000040083\.png, as .*annotations\.json"):
        CocoKeypoints(tmp_path / "a", 32)
    assert CocoKeypoints(tmp_path / "a", 32, images=tmp_path / "b")[0].image.shape == (3, 32, 32)


def test_pictures_lie_where_coco_itself_puts_them(tmp_path):
    make(tmp_path, example(), "annotations/person_keypoints_val2017.json", images="val2017")
    (tmp_path / "train2017").mkdir()
    for given in (tmp_path, tmp_path / "annotations" / "person_keypoints_val2017.json"):
        assert CocoKeypoints(given, 32).path(0).parent.name == "val2017"


def test_groups_are_those_of_the_records_or_folders_or_blocks(tmp_path):
    content = example()
    assert CocoKeypoints(make(tmp_path / "blocks", content), 32).groups.tolist() == [1, 0, 1]
    for key, values in {"group": ("b", "a"), "video_id": (4, 9), "vid_id": ("x", "x")}.items():
        for record, value in zip(content["images"], values, strict=False):
            record[key] = value
        found = CocoKeypoints(make(tmp_path / key, content), 32).groups.tolist()
        assert found == ([0, 0, 0] if key == "vid_id" else [0, 1, 0])
        for record in content["images"]:
            record.pop(key, None)
    for record, folder in zip(content["images"], "pqr", strict=True):
        record["file_name"] = f"{folder}/{record['file_name']}"
    assert CocoKeypoints(make(tmp_path / "folders", content), 32).groups.tolist() == [0, 1, 0]


def test_a_category_without_names_numbers_its_points(tmp_path):
    content = example()
    content["categories"] = [{"id": 1, "name": "hand"}]
    data = CocoKeypoints(make(tmp_path, content), 32)
    assert data.names == ("point_0", "point_1", "point_2")
    assert data.skeleton == ()
    del content["categories"]
    assert CocoKeypoints(make(tmp_path, content), 32).names == data.names


def test_lines_of_a_skeleton_to_points_that_there_are_not_are_left_out(tmp_path):
    content = example()
    content["categories"] = [PERSON | {"skeleton": [[1, 2], [1, 9], [3, 2]]}]  # as in CrowdPose's own file
    assert CocoKeypoints(make(tmp_path, content), 32).skeleton == ((0, 1), (2, 1))


def test_a_box_of_less_than_a_pixel_is_none(tmp_path):
    content = example()
    content["annotations"][0]["bbox"] = [15, 15, 0.01, 0.02]
    data = CocoKeypoints(make(tmp_path, content), 32)
    assert (data.boxes[:, 2:] - data.boxes[:, :2]).amax(1).min() >= 1


def test_common_oddities_of_exporters_are_read(tmp_path):
    plain = CocoKeypoints(make(tmp_path / "a", example()), 32)
    content = example()
    for record in content["images"]:
        record["id"], record["width"] = float(record["id"]), None
        record["file_name"] = record["file_name"].replace("/", "\\")
    content["annotations"].append({"image_id": 785, "category_id": 1, "keypoints": None, "bbox": [1, 2, 3, 4]})
    make(tmp_path / "b", example())
    (tmp_path / "b" / "annotations.json").write_text(json.dumps(content))
    odd = CocoKeypoints(tmp_path / "b", 32)
    assert torch.equal(odd.xy, plain.xy)
    assert torch.equal(odd[0].image, plain[0].image)


@pytest.mark.parametrize("names", [[["p", "q"], ["q", "p"]], [[], []]])
def test_categories_of_one_name_must_have_the_same_points(tmp_path, names):
    content = example()
    people = [person(1, 785, 1, 2, 2, 3, 4, 2), person(2, 785, 5, 6, 2, 7, 8, 2, category_id=2)]
    if not names[0]:
        people[1]["keypoints"] += people[1]["keypoints"]
    content["annotations"] = people
    content["categories"] = [{"id": i + 1, "name": "x", "keypoints": each} for i, each in enumerate(names)]
    with pytest.raises(ValueError, match=r"expected categories with the same points, got x, x.*a name of its own"):
        CocoKeypoints(make(tmp_path, content), 32, category="x")


def test_a_skeleton_with_a_zero_counts_from_zero(tmp_path):
    content = example()
    content["categories"] = [PERSON | {"skeleton": [[0, 1], [0, 2]]}]
    assert CocoKeypoints(make(tmp_path, content), 32).skeleton == ((0, 1), (0, 2))


def test_categories_of_the_same_points_are_read_together_and_others_by_name(tmp_path):
    content = example()
    content["categories"] = [PERSON, PERSON | {"id": 2, "name": "dog"}]
    content["annotations"][1]["category_id"] = 2
    data = CocoKeypoints(make(tmp_path, content), 32)
    assert data.category_ids.tolist() == [1, 2, 1]
    assert data.xy[:, 0, 0].tolist() == [12, 20, 30]
    assert CocoKeypoints(tmp_path, 32, category="dog").xy[:, 0, 0].tolist() == [20]
    assert CocoKeypoints(tmp_path, 32, category="dog").left_out == 0
    with pytest.raises(ValueError, match=r"category: expected one that has labels in .*: dog, person, got str 'cat'"):
        CocoKeypoints(tmp_path, 32, category="cat")
    content["categories"][1]["keypoints"] = ["nose", "left_ear", "right_ear"]
    make(tmp_path, content)
    with pytest.raises(ValueError, match="categories with the same points, got dog, person, whose points differ"):
        CocoKeypoints(tmp_path, 32)
    assert CocoKeypoints(tmp_path, 32, category="dog").names[1] == "left_ear"


def test_a_picture_of_another_size_than_its_labels_is_refused(tmp_path):
    data = CocoKeypoints(make(tmp_path, example()), 32)
    save(data.path(0), 20, 30)
    with pytest.raises(CorruptImage, match="expected 60 × 40 pixels, as the labels say, got 30 × 20"):
        data[0]


def damaged(change: str) -> dict[str, Any]:
    content = example()
    people, image = content["annotations"], content["images"][1]
    if change == "points":
        people[2]["keypoints"] = [1, 2, 2]
    elif change == "third":
        people[2]["keypoints"] = [1, 2, 2, 3]
    elif change == "visibility":
        people[2]["keypoints"][2] = 0.9
    elif change == "text":
        people[2]["keypoints"][0] = "x"
    elif change == "nan":
        people[2]["keypoints"][0] = float("nan")
    elif change == "box":
        people[2]["bbox"] = [1, 2, 3]
    elif change == "infinite":
        people[2]["bbox"] = [1, 2, 1e39, 4]
    elif change == "image":
        people[2]["image_id"] = 3
    elif change == "id":
        image["id"] = 785
    elif change == "outside":
        image["file_name"] = "../a.png"
    elif change == "width":
        image["width"] = 0
    elif change == "names":
        content["categories"] = [PERSON | {"keypoints": ["nose"]}]
    elif change == "twice":
        content["categories"] = [PERSON, PERSON]
    elif change == "huge":
        people[2]["keypoints"] = [10**400, *people[2]["keypoints"][1:]]
    elif change == "huge box":
        people[2]["bbox"] = [10**400, 1, 2, 3]
    elif change == "record":
        people[2] = 5
    elif change == "none":
        content["annotations"] = [{"image_id": 785, "category_id": 1, "bbox": [1, 2, 3, 4]}]
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("points", r"annotations\.json \(annotations 2\): keypoints: expected 3 points, got 1"),
        ("third", r"annotations 2\): keypoints: expected x, y and visibility of each point"),
        ("visibility", r"annotations 2\): keypoints: expected 0, 1 or 2 for each visibility"),
        ("text", r"annotations 2\): keypoints: expected numbers"),
        ("nan", r"annotations 2\): keypoints: expected finite numbers"),
        ("box", r"annotations 2\): bbox: expected x, y, width and height, got list \[1, 2, 3\]"),
        ("infinite", r"annotations 2\): bbox: expected finite numbers"),
        ("image", r"annotations 2\): image_id: expected the id of one of the images, got 3"),
        ("id", r"images 1\): id: expected an id that no earlier image has, got 785"),
        ("outside", r"images 1\): file_name: expected a path in the folder of the images.*got str '\.\./a\.png'"),
        ("width", r"images 1\): width: expected a whole number of at least 1, got int 0"),
        ("names", r"annotations 0\): keypoints: expected 1 points, for which category 'person' has names, got 3"),
        ("twice", r"categories 1\): id: expected an id that no earlier category has, got 1"),
        ("huge", r"annotations 2\): keypoints: expected numbers"),
        ("huge box", r"annotations 2\): bbox: expected x, y, width and height"),
        ("record", r"annotations 2\): expected an object, got int 5"),
        ("none", r"annotations\.json: expected annotations with labelled keypoints, got none"),
    ],
)
def test_damage_is_named_with_its_record(tmp_path, change, message):
    make(tmp_path, damaged(change))
    with pytest.raises(ValueError, match=message):
        CocoKeypoints(tmp_path, 32)


def test_a_file_that_is_cut_short_is_named(tmp_path):
    path = make(tmp_path, example()) / "annotations.json"
    path.write_text(path.read_text()[:900])
    with pytest.raises(ValueError, match=r"annotations\.json: expected JSON, got this: annotations \d"):
        CocoKeypoints(tmp_path, 32)


def test_a_folder_says_which_file(tmp_path):
    with pytest.raises(ValueError, match=r"root: expected a folder with annotations\.json, or such a file, got"):
        CocoKeypoints(tmp_path, 32)
    for name in ("train", "val"):
        make(tmp_path, example(), f"annotations/{name}.json")
    with pytest.raises(ValueError, match=r"root: expected one file of annotations, got .* with train\.json, val\.json"):
        CocoKeypoints(tmp_path, 32)
    assert len(CocoKeypoints(tmp_path / "annotations" / "val.json", 32)) == 3


# --- layouts


def test_layouts_are_told_apart(tmp_path):
    assert keypoint_layout(tmp_path) is None
    make(tmp_path / "coco", example())
    assert keypoint_layout(tmp_path / "coco") == keypoint_layout(tmp_path / "coco/annotations.json") == "coco"
    make(tmp_path / "below", example(), "annotations/a.json")
    assert keypoint_layout(tmp_path / "below") == "coco"
    (tmp_path / "free/evaluation").mkdir(parents=True)
    assert keypoint_layout(tmp_path / "free") == "freihand"
    (tmp_path / "dlc/labeled-data/video").mkdir(parents=True)
    assert keypoint_layout(tmp_path / "dlc") is None
    table = tmp_path / "dlc/labeled-data/video/CollectedData_me.csv"
    table.write_text("")
    assert keypoint_layout(tmp_path / "dlc") == keypoint_layout(table) == "deeplabcut"
    (tmp_path / "a.txt").write_text("")
    assert keypoint_layout(tmp_path / "a.txt") is None
    (tmp_path / "coco/CollectedData.csv").write_text("")
    with pytest.raises(
        ValueError, match=r"path: expected labels in one layout, got .*annotations\.json.*CollectedData"
    ):
        keypoint_layout(tmp_path / "coco")
    with pytest.raises(ValueError, match=r"path: expected a folder or a file, got .*, which does not exist"):
        keypoint_layout(tmp_path / "gone")


def test_what_has_a_layout_is_opened(tmp_path):
    make(tmp_path / "coco", example())
    data = open_keypoints(tmp_path / "coco", 24, margin=2.0, padding_mode="border")
    assert type(data) is CocoKeypoints
    assert (data.size, data.margin, data.padding_mode) == (24, 2, "border")
    (tmp_path / "free/training").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"in FreiHAND's layout.*equicon\.hands\.FreiHAND"):
        open_keypoints(tmp_path / "free", 24)
    save(tmp_path / "plain/a.png")
    with pytest.raises(ValueError, match=r"path: expected a folder with annotations\.json \(COCO\)"):
        open_keypoints(tmp_path / "plain", 24)
