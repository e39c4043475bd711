import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equicon.data._listing import list_images


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    for name in ("z.jpg", "b/1.png", "b/deep/2.JPEG"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


NAMES = ["b/1.png", "b/deep/2.JPEG", "z.jpg"]


# --- each folder once


def test_a_link_to_its_own_parent_lists_each_image_once(root: Path) -> None:
    for place, target in (("b/up", root), ("b/deep/self", root / "b" / "deep"), ("a", root / "b"), ("c", "b")):
        (root / place).symlink_to(target, target_is_directory=True)
    assert list_images(root) == NAMES


def test_links_to_one_another_end(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "3.png").touch()
    (root / "there").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "back").symlink_to(root)
    (tmp_path / "other" / "again").symlink_to(tmp_path / "other")
    assert list_images(root) == [*NAMES[:2], "there/3.png", "z.jpg"]


def test_a_folder_that_is_linked_twice_is_under_the_first_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other" / "sub").mkdir(parents=True)
    for name in ("3.png", "sub/4.png"):
        (tmp_path / "other" / name).touch()
    (root / "y").symlink_to(tmp_path / "other")
    (root / "x").symlink_to(tmp_path / "other" / "sub")
    (root / "w").symlink_to("y")
    assert list_images(root) == [*NAMES[:2], "w/3.png", "w/sub/4.png", "z.jpg"]


def test_a_linked_root_and_linked_images_are_as_any(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    (root / "b" / "0.jpg").symlink_to(root / "z.jpg")  # a picture may be in two classes
    assert list_images(tmp_path / "link") == ["b/0.jpg", *NAMES]


FOLDERS = ["", "a", "b", "a/c", "a/c/d"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(FOLDERS), st.sampled_from(FOLDERS)), max_size=6))
def test_any_links_within_the_folder_add_nothing(
    tmp_path_factory: pytest.TempPathFactory, links: list[tuple[str, str]]
) -> None:
    root = tmp_path_factory.mktemp("linked")
    for folder in FOLDERS:
        (root / folder).mkdir(exist_ok=True)
        (root / folder / "0.jpg").touch()
    expected = list_images(root)
    assert len(expected) == len(FOLDERS)
    for number, (place, target) in enumerate(links):
        (root / place / f"{number}").symlink_to(root / target)
    assert list_images(root) == expected


# --- nothing left out without a word


@pytest.mark.parametrize("target", ["away", "link"])  # the second leads to itself
def test_a_link_that_leads_nowhere_is_named(root: Path, target: str) -> None:
    (root / "b" / "link").symlink_to(target)
    with pytest.raises(ValueError, match=rf"root: expected links .*, got .*link, which leads to {target}\. .*images"):
        list_images(root)


def test_a_hidden_link_and_a_linked_image_that_lead_nowhere_are_left(root: Path) -> None:
    (root / ".#notes").symlink_to("someone@somewhere.1234")
    (root / "b" / "0.png").symlink_to("away.png")  # which is told from its item
    assert list_images(root) == ["b/0.png", *NAMES]


@pytest.mark.parametrize("what", ["scandir", "is_dir"])
def test_a_folder_that_may_not_be_read_raises(root: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    scan = os.scandir

    class Entry:
        name, path = "deep", "b/deep"

        def is_dir(self) -> bool:
            raise PermissionError("may not read b/deep")

    class Entries(list[Any]):
        def __enter__(self) -> "Entries":
            return self

        def __exit__(self, *_: object) -> None: ...

    def refuse(path: Any) -> Any:
        if what == "is_dir" and str(path).endswith("b"):
            return Entries([Entry()])
        if str(path).endswith("deep"):
            raise PermissionError("may not read b/deep")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="may not read b/deep"):
        list_images(root)


# --- what is an image


def test_what_macos_writes_beside_an_image_is_none(root: Path) -> None:
    for name in ("._z.jpg", "b/._1.png", "__MACOSX/b/._1.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"\0\5\x16\7")
    (root / ".hidden.jpg").touch()
    (root / "_.png").touch()
    assert list_images(root) == [".hidden.jpg", "_.png", *NAMES]


def test_a_root_that_is_written_in_another_normalisation_is_told(tmp_path: Path) -> None:
    (tmp_path / "cafe\u0301" / "sub").mkdir(parents=True)
    message = r"which is no folder\. 'cafe\u0301' is there, .* written 'cafe\\u0301', .* asked for 'caf\\xe9'\. Write"
    for path in (tmp_path / "caf\xe9", tmp_path / "caf\xe9" / "sub"):
        with pytest.raises(ValueError, match=message):
            list_images(path)
