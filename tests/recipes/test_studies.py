import json
from pathlib import Path

import pytest

pytest.importorskip("torchvision", reason="the recipes need torchvision")

from equicon.recipes import (
    describe_session,
    machines_of,
    open_results,
    parse_publish_args,
    publish_study,
    read_results,
    spread,
    table,
    tables_of,
    write_results,
)

SIZES = {"steps": 3}


def test_results_are_begun_once_and_read_again(tmp_path):
    begun = {"sizes": SIZES, "sessions": [], "pieces": {}}
    assert open_results(tmp_path, begun) == begun
    write_results(tmp_path, begun | {"pieces": {"a": {}}})
    assert open_results(tmp_path, begun)["pieces"] == {"a": {}}
    with pytest.raises(SystemExit, match=r"--preset: .*begun with \{'steps': 3\}, got \{'steps': 4\}\. Give another"):
        open_results(tmp_path, begun | {"sizes": {"steps": 4}})
    assert json.loads((tmp_path / "results.json").read_text())["pieces"] == {"a": {}}


def test_a_session_says_what_was_typed_without_the_folders_of_the_machine(tmp_path, monkeypatch):
    words = ["--out", str(tmp_path / "out of it"), "--set", "../elsewhere/set", "--seed", "3", "--data", "data/a"]
    monkeypatch.setattr("sys.argv", ["/somewhere/study/run.py", *words])
    found = describe_session(tmp_path / "study", "cpu")
    assert found["command"] == "python examples/study/run.py --out 'out of it' --set set --seed 3 --data data/a"
    assert found["commit"] == "unknown"  # no repository is there
    assert "cores, " in found["device"]
    assert str(tmp_path) not in str(found)
    sessions = [found, found, found | {"date": "2001-01-01"}]
    assert machines_of({"sessions": sessions}).count("; ") == 1


def test_tables_and_spreads():
    assert table("T", ["a", "b"], {"x": ["1", "2"]}) == "**T**\n\n| | a | b |\n|---|---|---|\n| x | 1 | 2 |"
    assert spread([], "{:.1f}") == "–"
    assert spread([1.0], "{:+.1f}") == "+1.0"
    assert spread([1.0, 3.0], "{:+.1f}") == "+2.0 ± 1.4"


def pages(folder: Path, text: str) -> Path:
    for name in ("explanation", "results", "images"):
        (folder / name).mkdir()
    (page := folder / "explanation" / "page.md").write_text(text, encoding="utf-8")
    return page


def test_a_study_is_published_between_two_comments(tmp_path):
    page = pages(tmp_path, "before\n<!-- tables -->\n<!-- end of tables -->\nafter\n")
    assert tables_of(page) == ""
    for text in ("old \\1\n", "new \\g<0>\n"):  # not a pattern to substitute
        publish_study(
            tmp_path, "page", "study", text, {"pieces": {}}, lambda folder: (folder / "a.png").write_bytes(b"")
        )
        assert page.read_text() == f"before\n<!-- tables -->\n\n{text}\n<!-- end of tables -->\nafter\n"
        assert tables_of(page) == text.strip()
    assert json.loads((tmp_path / "results" / "study.json").read_text()) == {"pieces": {}}
    assert (tmp_path / "images" / "a.png").exists()


def test_a_page_without_a_place_is_left_as_it_is(tmp_path):
    page, drawn = pages(tmp_path, "<!-- tables -->\n"), []
    with pytest.raises(SystemExit, match=r"page\.md has no place for the tables: <!-- tables --> and <!-- end"):
        publish_study(tmp_path, "page", "study", "text", {}, drawn.append)
    assert (page.read_text(), drawn, list((tmp_path / "results").iterdir())) == ("<!-- tables -->\n", [], [])


def test_what_is_published_must_be_there(tmp_path):
    with pytest.raises(SystemExit, match=r"--out: .*results\.json.*Run reproduce\.py first"):
        read_results(tmp_path)
    write_results(tmp_path, {"pieces": {"a": {}}})
    assert read_results(tmp_path) == {"pieces": {"a": {}}}
    args = parse_publish_args("Publish.", ["--docs", "d"], out=Path("runs/a"), docs=Path("docs"))
    assert (args.out, args.docs) == (Path("runs/a"), Path("d"))
