import json
import math
import zipfile
from pathlib import Path

import pytest
import torch

from equicon.hands import write_leaderboard
from equicon.hands._pose import leaderboard
from equicon.hands._pose.leaderboard import check_leaderboard


def read(path: Path) -> list[list]:
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["pred.json"]
        found: list[list] = json.loads(archive.read("pred.json"))
    return found


def test_the_file_holds_the_numbers_to_the_last_bit(tmp_path):
    joints = torch.randn(7, 21, 3)
    write_leaderboard(tmp_path / "new" / "pred.zip", joints)
    xyz, verts = read(tmp_path / "new" / "pred.zip")
    assert torch.equal(torch.tensor(xyz), joints)
    assert (len(xyz), len(verts)) == (7, 7)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["pred.zip"]


def rewrite(path: Path, content: object, name: str = "pred.json") -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content if isinstance(content, str) else json.dumps(content))


def test_a_damaged_file_is_noticed(tmp_path):
    joints = torch.randn(3, 21, 3)
    write_leaderboard(path := tmp_path / "pred.zip", joints)
    check_leaderboard(path, joints)
    whole, (xyz, verts) = path.read_bytes(), read(path)
    for start, end in ((0, 60), (0, len(whole) - 5), (40, len(whole)), (0, 0)):
        path.write_bytes(whole[start:end])
        with pytest.raises(OSError, match=r"pred\.zip is damaged: "):
            check_leaderboard(path, joints)
    path.write_bytes(whole[:200] + bytes([whole[200] ^ 255]) + whole[201:])
    with pytest.raises(OSError, match=r"pred\.zip is damaged: "):
        check_leaderboard(path, joints)
    for content in ("[[1, 2", {"a": 1}, [xyz], [xyz, verts, []], [xyz, 3], [[[1]], verts]):
        rewrite(path, content)
        with pytest.raises(OSError, match=r"pred\.zip(: what was read back| is damaged: )"):
            check_leaderboard(path, joints)
    rewrite(path, [xyz, verts], "other.json")
    with pytest.raises(OSError, match=r"is damaged: .*pred\.json"):
        check_leaderboard(path, joints)


@pytest.mark.parametrize("what", ["order", "few", "verts", "vertex", "files"])
def test_another_content_than_was_written_is_noticed(tmp_path, what):
    joints = torch.randn(3, 21, 3)
    write_leaderboard(path := tmp_path / "pred.zip", joints)
    xyz, verts = read(path)
    changed = {
        "order": [xyz[::-1], verts], "few": [xyz[:2], verts[:2]], "verts": [xyz, verts[:2]],
        "vertex": [xyz, [*verts[:2], verts[2][:777]]], "files": [xyz, verts],
    }  # fmt: skip
    rewrite(path, changed[what])
    if what == "files":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("more.json", "")
    with pytest.raises(OSError, match=r"pred\.zip: what was read back is not what was written\."):
        check_leaderboard(path, joints)


def test_what_is_not_finite_is_not_for_the_leaderboard(tmp_path):
    joints = torch.randn(3, 21, 3)
    joints[1, 2, 0] = math.inf
    with pytest.raises(ValueError, match="joints: expected finite numbers, got NaN or infinity in hand 1"):
        write_leaderboard(tmp_path / "pred.zip", joints)
    assert not list(tmp_path.iterdir())


def test_joints_of_another_shape_or_type_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"joints: expected a tensor of shape \(N, 21, 3\)"):
        write_leaderboard(tmp_path / "pred.zip", torch.randn(3, 21, 2))
    with pytest.raises(ValueError, match="joints: expected at least one hand"):
        write_leaderboard(tmp_path / "pred.zip", torch.zeros(0, 21, 3))
    with pytest.raises(TypeError, match="joints: expected a floating type"):
        write_leaderboard(tmp_path / "pred.zip", torch.zeros(3, 21, 3).int())


def test_a_file_that_is_not_what_was_given_is_not_taken_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(leaderboard, "write_whole", lambda path, write: rewrite(path, [[], []]))
    with pytest.raises(OSError, match="is not what was written"):
        write_leaderboard(tmp_path / "pred.zip", torch.randn(3, 21, 3))
