import json
from pathlib import Path

import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")
pytest.importorskip("matplotlib", reason="the examples need matplotlib")

from studying import finish, part

from equicon.recipes import tables_of, write_results

plans, publish, report, sets, sizes = (part(name) for name in ("plan", "publish", "report", "sets", "sizes"))
DOCS = Path(__file__).parents[3] / "docs"
CPU = sizes.PRESETS["cpu"]
PLAN = plans.Plan(tuple(sets.SETS[name] for name in ("ti1k", "lspet")), plans.extras_of(True, frozenset()), CPU)
TESTED = {"model": {"pixels": 2.0}, "mean pose": {"pixels": 5.0}}
SESSION = {"date": "2026-11-29", "device": "a machine", "torch": "2.14", "equicon": "0.2", "command": "python"}


def begun(pieces, failed=()):
    given = {"sets": [task.name for task in PLAN.sets], "extras": sorted(PLAN.extras)}
    found = {key: {"code": 1, "end of the output": "/somewhere/of/this/machine"} for key in failed}
    common = {"preset": "cpu", "sizes": CPU.written, "sessions": [SESSION], "given": given}
    return common | {"pieces": pieces, "failed": found}


def folders(tmp_path, results):
    for name in ("explanation", "results", "images", "study"):
        (tmp_path / name).mkdir()
    page = tmp_path / "explanation" / "real_images.md"
    page.write_text("before\n<!-- tables -->\nold\n<!-- end of tables -->\nafter\n", encoding="utf-8")
    write_results(tmp_path / "study", results)
    return page, ["--out", str(tmp_path / "study"), "--docs", str(tmp_path)]


def test_the_tables_of_the_page_are_those_of_the_json_beside_it():
    results = json.loads((DOCS / "results" / "real_images.json").read_bytes())
    assert results["sizes"] == CPU.written, "an older study: publish it with the sizes of today"
    plan = publish.plan_of(results, DOCS)
    assert tables_of(DOCS / "explanation" / "real_images.md") == report.tables(plan, results).strip()


@pytest.mark.parametrize("count", [0, 7, None])
def test_any_number_of_pieces_can_be_published_and_go_on_from_there(tmp_path, count):
    whole = finish(PLAN, test=lambda piece: TESTED)
    done = dict(list(whole.items())[:count])
    page, words = folders(tmp_path, begun(done | {"of another plan": {"minutes": 1.0}}, failed=["a piece"]))
    for _ in range(2):  # again changes nothing
        publish.main(words)
        text = page.read_text(encoding="utf-8")
        assert text.startswith("before\n<!-- tables -->\n\nPreset `cpu`")
        assert text.endswith("|\n\n<!-- end of tables -->\nafter\n")
        assert text.count("**Pieces, of which 1 failed so far**") == 1
    written = json.loads((tmp_path / "results" / "real_images.json").read_bytes())
    assert written["pieces"] == done  # what was planned otherwise is left out
    assert "/somewhere" not in json.dumps(written)
    assert written["failed"] == {"a piece": {"code": 1, "end of the output": ""}}
    assert (tmp_path / "images" / "real_errors.png").exists() == bool(done)
    assert f"{len(done)} of {len(whole)} pieces" in text
    assert ("not known yet" in text) == (len(done) < len(whole))


def test_results_of_other_sizes_are_refused(tmp_path):
    page, words = folders(tmp_path, begun({}) | {"sizes": {}})
    with pytest.raises(SystemExit, match=r"--out: the sizes in .*study are not those of the preset 'cpu' today"):
        publish.main(words)
    assert "old" in page.read_text()
    (tmp_path / "study" / "results.json").unlink()
    with pytest.raises(SystemExit, match=r"Run reproduce\.py first"):
        publish.main(words)
