import json
import re
import shutil

import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")

from studying import part

from equicon.data import UnlabelledImages, open_keypoints, write_coco_keypoints

layout, sets, sizes = part("layout"), part("sets"), part("sizes")
TOY, CPU = sizes.PRESETS["toy"], sizes.PRESETS["cpu"]


@pytest.mark.parametrize("name", ["ti1k", "mirror_mouse"])
def test_parts_share_no_group_and_keep_all_labels(name, folders, tmp_path):
    task = sets.SETS[name]
    layout.part_set(task, folders[name], tmp_path, CPU)
    whole = open_keypoints(folders[name], 16)
    assert len(list((tmp_path / "data" / name).iterdir())) == task.parts(CPU)
    drawn = set()
    for number in range(task.parts(CPU)):
        parts = [open_keypoints(tmp_path / "data" / name / str(number) / each, 16) for each in ("train", "test")]
        expected = whole.split(layout.TEST, seed=layout.SEED + number)
        for found, wanted in zip(parts, expected, strict=True):
            assert found.names == whole.names
            assert found.xy.tolist() == wanted.xy.tolist()
            assert found.boxes.tolist() == wanted.boxes.tolist()
            assert found[0].image.equal(wanted.resized(16)[0].image)
        assert not layout.pictures_of(parts[0]) & layout.pictures_of(parts[1])
        assert not set(expected[0].groups.tolist()) & set(expected[1].groups.tolist())
        assert (found.path(0)).is_symlink()
        drawn.add(tuple(sorted(layout.pictures_of(parts[1]))))
    assert len(drawn) == task.parts(CPU)  # each part tests on others


def test_a_picture_in_both_parts_is_found(folders):
    data = open_keypoints(folders["ti1k"], 16)
    with pytest.raises(ValueError, match=r"share nothing, got 1 groups and 3 pictures in both"):
        layout.check_apart(data.select(range(6)), data.select(range(3)))
    layout.check_apart(*data.split(0.2))


def test_groups_that_the_labels_name_are_kept_whole(tmp_path, folders):
    data = open_keypoints(folders["ti1k"], 40)
    images, groups = [item.image for item in map(data.__getitem__, range(12))], [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    write_coco_keypoints(tmp_path / "set", images, data.xy[:12], data.visible[:12], names=data.names, groups=groups)
    layout.part_set(sets.SETS["ti1k"], tmp_path / "set", tmp_path, TOY)
    test = open_keypoints(tmp_path / "data" / "ti1k" / "0" / "test", 16)
    assert len(test) == 3
    assert len(test.groups.unique()) == 1


def test_what_is_there_is_kept_and_other_labels_are_refused(folders, tmp_path):
    task = sets.SETS["ti1k"]
    layout.part_set(task, folders["ti1k"], tmp_path, TOY)
    about = tmp_path / "data" / "ti1k" / "0" / "about.json"
    before = about.stat().st_mtime_ns
    layout.part_set(task, folders["ti1k"], tmp_path, TOY)
    assert about.stat().st_mtime_ns == before
    other = shutil.copytree(folders["ti1k"], tmp_path / "other")
    labels = json.loads((other / "annotations.json").read_text())
    labels["annotations"][0]["keypoints"][0] += 1
    (other / "annotations.json").write_text(json.dumps(labels))
    with pytest.raises(ValueError, match=r"was made from other labels than those of .*other. Give another --out"):
        layout.part_set(task, other, tmp_path, TOY)


def test_freihand_brings_its_own_test_part(folders, tmp_path):
    layout.part_set(sets.SETS["real_joints"], folders["real_joints"], tmp_path, TOY)
    assert not (tmp_path / "data").exists()
    with pytest.raises(ValueError, match=r"expected FreiHAND's layout with evaluation_xyz.json, got .*ti1k"):
        layout.part_set(sets.SETS["real_joints"], folders["ti1k"], tmp_path, TOY)


def test_pictures_without_labels_are_grouped_by_recording(folders, tmp_path):
    layout.group_pictures(folders["real_hands"], tmp_path)
    layout.group_pictures(folders["real_hands"], tmp_path)
    found = UnlabelledImages(tmp_path / "data" / "real_hands", 16)
    assert len(found) == 60
    assert {found.path(i).parent.name for i in range(60)} == {"rooms-0", "digits"}
    (other := tmp_path / "other").mkdir()
    shutil.copy(folders["real_hands"] / "rooms_000000.png", other)
    with pytest.raises(ValueError, match=re.escape("was made from other pictures")):
        layout.group_pictures(other, tmp_path)


def test_rooms_come_in_stretches():
    names = [f"rooms_{i:03d}.jpg" for i in range(130)]
    assert layout.groups_of(["a/1.jpg", "digits_2.jpg", "3.jpg"]) == ["a", "digits", "pictures"]
    assert layout.groups_of(names)[127:] == ["rooms-0", "rooms-1", "rooms-1"]
