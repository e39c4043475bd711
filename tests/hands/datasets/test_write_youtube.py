import json
from pathlib import Path
from typing import Any

import pytest
import torch
from kornia.io import ImageLoadType, load_image

from equicon.hands import BONES, SyntheticHands, YouTube3DHands, write_youtube
from equicon.hands._rendered import kinematics as _kinematics

IMAGES, SIZE = 10, 48


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("youtube") / "new"
    write_youtube(folder, IMAGES, size=SIZE, seed=3)
    return folder


def annotations(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "youtube_train.json").read_text())
    return found


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
    monkeypatch.setattr(_kinematics, "_mirror", lambda draws, _: factors.expand(len(draws.chance(0.5)), 3))
    write_youtube(tmp_path, 12, size=8)
    assert {hand["is_left"] for hand in annotations(tmp_path)["annotations"]} == {int(side < 0)}


def test_a_set_is_whole_and_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("equicon.hands._datasets.write_freihand.write_image", fail)
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


def test_a_set_depends_on_its_seed_alone_and_is_read(root: Path, tmp_path: Path) -> None:
    write_youtube(tmp_path / "same", IMAGES, size=SIZE, seed=3)
    write_youtube(tmp_path / "other", IMAGES, size=SIZE, seed=4)
    texts = [(path / "youtube_train.json").read_text() for path in (root, tmp_path / "same", tmp_path / "other")]
    assert texts[0] == texts[1] != texts[2]
    frame = "youtube/video0/video/frames/00000000.jpg"
    assert (root / frame).read_bytes() == (tmp_path / "same" / frame).read_bytes()
    assert len(YouTube3DHands(root, size=16)) == IMAGES * 3 // 2
