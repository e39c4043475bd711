import json
import re
from pathlib import Path

import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")
pytest.importorskip("matplotlib", reason="the examples need matplotlib")

from examples.loading import load

from equicon.recipes import tables_of

publish, report, sizes = (load(f"rendered_hands/{name}.py") for name in ("publish", "report", "sizes"))
DOCS = Path(__file__).parents[3] / "docs"
RESULTS = json.loads((DOCS / "results" / "study.json").read_bytes())


def folders(tmp_path, text):
    for name in ("explanation", "results", "images", "study"):
        (tmp_path / name).mkdir()
    (tmp_path / "explanation" / "results.md").write_text(text, encoding="utf-8")
    few = {key: value for key, value in RESULTS["pieces"].items() if key.startswith("random weights")}
    (tmp_path / "study" / "results.json").write_text(json.dumps(RESULTS | {"pieces": few}))
    return ["--out", str(tmp_path / "study"), "--docs", str(tmp_path)]


def test_the_tables_of_the_page_are_those_of_the_json_beside_it():
    found = tables_of(DOCS / "explanation" / "results.md")
    assert found == report.tables(sizes.PRESETS[RESULTS["preset"]], RESULTS).strip()


def test_what_was_found_is_written_and_prose_stays(tmp_path):
    words = folders(tmp_path, "before\n<!-- tables -->\nold\n<!-- end of tables -->\nafter\n")
    for _ in range(2):  # again changes nothing
        publish.main(words)
        text = (tmp_path / "explanation" / "results.md").read_text(encoding="utf-8")
        assert re.fullmatch(r"before\n<!-- tables -->\n\n.*\n\n<!-- end of tables -->\nafter\n", text, re.DOTALL)
        assert "old" not in text
        assert text.count("**Summary") == 1
    written = json.loads((tmp_path / "results" / "study.json").read_bytes())["pieces"]
    assert all(key.startswith("random weights") for key in written)
    assert {path.name for path in (tmp_path / "images").iterdir()} == {"study_labels.png", "study_questions.png"}


def test_a_page_without_a_place_for_tables_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="has no place for the tables"):
        publish.main(folders(tmp_path, "prose\n"))
    assert not list((tmp_path / "images").iterdir())
