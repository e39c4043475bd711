from pathlib import Path

import pytest
import torch
from kornia.io import write_image

from equicon.data import CorruptImage, DeepLabCutKeypoints


def save(path: Path, height: int = 40, width: int = 60) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, torch.full((3, height, width), 90, dtype=torch.uint8))


SINGLE = """\
scorer,me,me,me,me
bodyparts,nose,nose,tail,tail
coords,x,y,x,y
labeled-data/a/img1.png,1.5,2,30,31
labeled-data/a/img2.png,,,NaN,nan
labeled-data/b/img1.png,5,6,,
"""
PARTED = """\
scorer,,,me,me,me,me
bodyparts,,,nose,nose,tail,tail
coords,,,x,y,x,y
labeled-data,a,img1.png,1.5,2,30,31
labeled-data,a,img2.png,,,,
labeled-data,b,img1.png,5,6,,
"""
LIKELY = """\
scorer,me,me,me,me,me,me
bodyparts,nose,nose,nose,tail,tail,tail
coords,x,y,likelihood,x,y,likelihood
labeled-data\\a\\img1.png,1.5,2,0.9,30,31,0.2
labeled-data\\a\\img2.png,,,,,,
/home/me/project/labeled-data/b/img1.png,5,6,1,,,
"""
SEVERAL = """\
scorer,,,me,me,me,me,me,me,me,me,me,me
individuals,,,m1,m1,m1,m1,m2,m2,m2,m2,single,single
bodyparts,,,nose,nose,tail,tail,nose,nose,tail,tail,corner,corner
coords,,,x,y,x,y,x,y,x,y,x,y
labeled-data,a,img1.png,10,12,30,31,,,,,1,1
labeled-data,a,img2.png,,,,,20,21,,,1,1
labeled-data,b,img1.png,5,6,15,26,30,31,38,35,,
labeled-data,b,img2.png,,,,,,,,,1,1
"""


def make(root: Path, text: str, name: str = "CollectedData_me.csv") -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    for video in "ab":
        for frame in (1, 2):
            save(root / f"labeled-data/{video}/img{frame}.png")
    return root / name


@pytest.mark.parametrize("text", [SINGLE, PARTED, LIKELY], ids=["one column", "three columns", "likelihood"])
def test_a_table_of_one_animal_is_read(tmp_path, text):
    data = DeepLabCutKeypoints(make(tmp_path, text), 30)
    assert (len(data), data.left_out, data.names) == (2, 1, ("nose", "tail"))
    assert data.xy.tolist() == [[[1.5, 2], [30, 31]], [[5, 6], [0, 0]]]
    assert data.visible.tolist() == [[2, 2], [2, 0]]
    assert data.boxes.tolist() == [[-0.5, -0.5, 59.5, 39.5]] * 2
    assert (data.margin, data.skeleton, data.individuals) == (1, (), ("",))
    assert [data.path(i).relative_to(tmp_path).as_posix() for i in (0, 1)] == [
        "labeled-data/a/img1.png",
        "labeled-data/b/img1.png",
    ]
    assert data.groups.tolist() == [0, 1]
    assert data[1].xy.tolist() == [[2.25, 7.75], [0, 0]]


def test_several_animals_are_an_item_each(tmp_path):
    data = DeepLabCutKeypoints(make(tmp_path, SEVERAL), 30)
    assert (len(data), data.left_out, data.names) == (4, 1, ("nose", "tail"))
    assert data.individuals == ("m1", "m2")
    assert data.instances.tolist() == [0, 1, 0, 1]
    assert data.xy[:, 0].tolist() == [[10, 12], [20, 21], [5, 6], [30, 31]]
    assert data.margin == 1.25
    assert data.boxes[0].tolist() == [10, 12, 30, 31]
    x1, y1, x2, y2 = data.boxes[1].tolist()
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == (20, 21)
    assert x2 - x1 == y2 - y1 == 5  # a quarter of the median
    assert data.groups.tolist() == [0, 0, 1, 1]
    assert data.select([3]).instances.tolist() == [1]


@pytest.mark.parametrize("name", ["CollectedData.csv", "labeled-data/a/CollectedData_me.csv", "training/x/y/table.csv"])
def test_pictures_are_found_from_the_table_upward(tmp_path, name):
    table = make(tmp_path, SINGLE, name)
    data = DeepLabCutKeypoints(table, 30)
    assert data.path(0) == tmp_path / "labeled-data/a/img1.png"


def test_names_alone_are_those_of_the_folder_of_the_table(tmp_path):
    text = SINGLE.replace("labeled-data/a/", "").replace("labeled-data/b/img1", "img3")
    (tmp_path / "here").mkdir()
    for i in (1, 2, 3):
        save(tmp_path / f"here/img{i}.png")
    (tmp_path / "here/CollectedData.csv").write_text(text)
    data = DeepLabCutKeypoints(tmp_path / "here", 30)
    assert data.path(1) == tmp_path / "here/img3.png"
    assert data.groups.tolist() == [0, 1]  # blocks


def test_the_tables_of_a_project_are_joined(tmp_path):
    lines = SINGLE.splitlines(keepends=True)
    make(tmp_path, "".join(lines[:5]), "labeled-data/a/CollectedData_me.csv")
    make(tmp_path, "".join(lines[:3] + lines[5:]), "labeled-data/b/CollectedData_me.csv")
    data = DeepLabCutKeypoints(tmp_path, 30)
    assert len(data.tables) == 2
    assert data.xy.tolist() == [[[1.5, 2], [30, 31]], [[5, 6], [0, 0]]]
    assert data.groups.tolist() == [0, 1]
    assert data.path(1).samefile(tmp_path / "labeled-data/b/img1.png")
    make(tmp_path, SINGLE.replace("tail", "paw"), "labeled-data/b/CollectedData_me.csv")
    with pytest.raises(ValueError, match=r"CollectedData_me\.csv: expected the points and animals of CollectedData_me"):
        DeepLabCutKeypoints(tmp_path, 30)
    make(tmp_path, SINGLE, "labeled-data/b/CollectedData_you.csv")
    with pytest.raises(
        ValueError, match=r"csv: expected one table in .*b, got CollectedData_me\.csv, CollectedData_yo"
    ):
        DeepLabCutKeypoints(tmp_path, 30)


def test_a_frame_that_cannot_be_read_is_named_when_it_is_asked_for(tmp_path):
    table = make(tmp_path, SINGLE)
    (tmp_path / "labeled-data/b/img1.png").write_bytes(b"")
    data = DeepLabCutKeypoints(table, 30)
    assert data[0].image.shape == (3, 30, 30)
    with pytest.raises(CorruptImage, match=r"b/img1\.png \(index 1\)"):
        data[1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "coords,x,y,x,y\n",
            "",
            r"\.csv: expected rows scorer, bodyparts, coords .* at the top, got scorer, bodyparts",
        ),
        ("30,31", "30,", r"\(line 4\): .*tail: expected x and y, or neither, got one of them"),
        ("30,31", "30,31,5", r"\(line 4\): expected 5 columns, as the header has, got 6"),
        ("30,31", "x,31", r"\(line 4\), column 4: expected a number or nothing, got 'x'"),
        ("30,31", "inf,31", r"\(line 4\), column 4: expected a number of pixels, or nothing, got 'inf'"),
        ("coords,x,y,x,y", "coords,x,y,x,z", r"\(column 5\): expected x, y or likelihood.*got tail z"),
        ("nose,nose,tail,tail", "nose,nose,nose,nose", r"\(column 4\): expected x, y or likelihood, each once"),
        ("nose,nose,tail,tail", "nose,nose,tail", r"\(bodyparts\): expected 5 columns, as coords has, got 4"),
        ("labeled-data/b/img1.png", "../b/img1.png", r"\(line 6\): expected a path of the project"),
        ("labeled-data/", "labelled/", r"\.csv: expected its pictures, such as labelled/a/img1\.png, got none in"),
    ],
)
def test_damage_is_named_with_its_line(tmp_path, old, new, message):
    assert old in SINGLE
    with pytest.raises(ValueError, match=message):
        DeepLabCutKeypoints(make(tmp_path, SINGLE.replace(old, new)), 30)


def test_empty_rows_are_passed_over_and_a_picture_has_one_row(tmp_path):
    data = DeepLabCutKeypoints(make(tmp_path / "a", SINGLE + ",,,,\n"), 32)
    assert len(data) == len(DeepLabCutKeypoints(make(tmp_path / "b", SINGLE), 32))
    with pytest.raises(
        ValueError, match=r"line 7\): expected each picture once, got labeled-data/a/img1.png, which line 4"
    ):
        DeepLabCutKeypoints(make(tmp_path / "c", SINGLE + "labeled-data/a/img1.png,5,6,,\n"), 32)


def test_animals_must_have_the_same_points(tmp_path):
    text = SEVERAL.replace("nose,nose,tail,tail,corner", "nose,nose,paw,paw,corner")
    with pytest.raises(
        ValueError, match=r"\(header\): expected x and y of the same points for each animal, got m2 paw x"
    ):
        DeepLabCutKeypoints(make(tmp_path, text), 30)


def test_a_table_without_labels_and_a_missing_one_are_named(tmp_path):
    head = "".join(SINGLE.splitlines(keepends=True)[:3])
    with pytest.raises(ValueError, match="expected at least one row of labels, got none"):
        DeepLabCutKeypoints(make(tmp_path, head), 30)
    with pytest.raises(ValueError, match="expected at least one label, got none"):
        DeepLabCutKeypoints(make(tmp_path, head + "labeled-data/a/img1.png,,,,\n"), 30)
    with pytest.raises(ValueError, match=r"csv: expected a table, or a folder with CollectedData\*\.csv"):
        DeepLabCutKeypoints(tmp_path / "labeled-data", 30)
    (tmp_path / "CollectedData_me.csv").write_bytes(b"scorer,\xff\xfe")
    with pytest.raises(ValueError, match="expected a table in UTF-8"):
        DeepLabCutKeypoints(tmp_path, 30)
