import json

import pytest

pytest.importorskip("torchvision", reason="the recipes need torchvision")

from equicon.recipes import describe_session, machines_of, open_results, spread, table, write_results

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
    monkeypatch.setattr("sys.argv", ["/somewhere/study/run.py", "--out", str(tmp_path / "out of it"), "--seed", "3"])
    found = describe_session(tmp_path / "study", "cpu")
    assert found["command"] == "python examples/study/run.py --out 'out of it' --seed 3"
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
