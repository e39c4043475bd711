import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equicon.data import _json

IMAGE = {"id": 7, "name": "youtube/x/video/frames/a.png", "width": 80, "height": 60}
HAND = {"is_left": 0, "image_id": 7, "id": 0, "vertices": [[20.0, 10.0, 0.5]] * 778}


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
        list(_json.stream_lists(tmp_path / "youtube_train.json"))


def test_a_file_that_is_no_text_raises(tmp_path: Path) -> None:
    (tmp_path / "youtube_train.json").write_bytes(b'{"images": [\xff]}')
    with pytest.raises(ValueError, match=r"youtube_train\.json: expected JSON, got this: 'utf-8' codec"):
        list(_json.stream_lists(tmp_path / "youtube_train.json"))


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


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@given(window=st.integers(1, 60), layout=st.sampled_from([None, 0, 2]), seed=st.integers(0, 2**31 - 1))
def test_the_items_of_a_list_come_through_any_window(
    tmp_path_factory: pytest.TempPathFactory, window: int, layout: int | None, seed: int
) -> None:
    dice = random.Random(seed)
    kinds: list[Any] = [1, -2.5e-7, "[,]}", None, True, [], {}, [1, [2]], {"a": "]"}, 'é\\"', 10**20]
    items = dice.choices(kinds, k=dice.randrange(8))
    path = write(tmp_path_factory.mktemp("json") / "list.json", f" {json.dumps(items, indent=layout)}\n")
    with pytest.MonkeyPatch.context() as patch:
        # A number longer than a window and a token would be taken for damage; the opening bracket is in the first.
        patch.setattr(_json, "_WINDOW", window)
        assert list(_json.stream_list(path)) == items


@pytest.mark.parametrize("window", [100, 6000, 2**20])
def test_a_text_of_any_length_goes_on_beyond_the_window(
    tmp_path: Path, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_json, "_WINDOW", window)
    long = 'é\\"' * 7_000
    items = [1, long, {"a": [long]}, {long: 2}]
    assert list(_json.stream_list(write(tmp_path / "list.json", json.dumps(items)))) == items
    path = write(tmp_path / "lists.json", json.dumps({"note": long, long: items}))
    assert list(_json.stream_lists(path)) == [(long, i, item) for i, item in enumerate(items)]


@pytest.mark.parametrize("window", [100, 6000, 2**20])
def test_a_file_that_is_cut_short_inside_a_text_is_damaged(
    tmp_path: Path, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_json, "_WINDOW", window)
    path = write(tmp_path / "lists.json", json.dumps({"images": [1, "a" * 20_000]})[:-9])
    with pytest.raises(ValueError, match=r"this: images 1: Unterminated string .* \(char 0\)\. It may be cut short"):
        list(_json.stream_lists(path))


def test_items_come_one_after_another(tmp_path: Path) -> None:
    path = write(tmp_path / "list.json", "[1, 2, oops")
    items = _json.stream_list(path)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(json.JSONDecodeError, match="Expecting value"):
        next(items)


@pytest.mark.parametrize(("text", "got"), [("7", "int 7"), ('{"a": [1]}', "dict "), ('"[1]"', "str ")])
def test_what_is_no_list_is_named(tmp_path: Path, text: str, got: str) -> None:
    with pytest.raises(ValueError, match=rf"list\.json: expected a list of records, got {got}"):
        list(_json.stream_list(write(tmp_path / "list.json", text)))


def test_an_object_of_no_lists_has_no_items(tmp_path: Path) -> None:
    assert list(_json.stream_lists(write(tmp_path / "a.json", "{}"))) == []
    assert list(_json.stream_lists(write(tmp_path / "a.json", '{"a": 1, "b": {"c": [2]}, "d": []}'))) == []


def test_the_text_is_never_in_memory_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.json", json.dumps({"a": [[0.123456789] * 500] * 200}))
    monkeypatch.setattr(_json, "_WINDOW", 2**14)
    tracemalloc.start()
    try:
        assert sum(1 for _ in _json.stream_lists(path)) == 200
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 4


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_byte_order_mark_is_read_past(tmp_path: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    path = tmp_path / "a.json"
    path.write_bytes((mark + TEXT.replace("a.png", "é.png")).encode(encoding))
    found = list(_json.stream_lists(path))
    assert [name for name, *_ in found] == ["images", "annotations", "annotations"]
    assert found[0][2]["name"] == "youtube/x/video/frames/é.png"
    path.write_bytes((mark + "[1, [2]]").encode(encoding))
    assert list(_json.stream_list(path)) == [1, [2]]


def test_another_encoding_is_told_from_a_file_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    text = TEXT.replace("a.png", "é.png")
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"got this: .*can't decode.* It is in another encoding than UTF-8: save it"):
        list(_json.stream_lists(path))
    path.write_bytes(text.encode()[: text.index("é") + 1])
    with pytest.raises(ValueError, match=r"got this: .*unexpected end of data.* It may be cut short"):
        list(_json.stream_lists(path))
