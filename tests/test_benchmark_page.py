"""The chart of the benchmarks shows what its page says, and the page fits a screen."""

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the chart needs matplotlib")

from examples.loading import load_anew

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "explanation" / "benchmarks.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def draw_summary():
    with pytest.MonkeyPatch.context() as patch:
        yield load_anew("benchmarks/draw_summary.py", patch)


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found, f"no section {title}"
    return found[1]


def test_the_figures_of_the_chart_are_those_of_their_sections(draw_summary):
    panels = draw_summary.read_panels()
    assert panels
    for panel in panels:
        for figure in panel.bars.values():
            assert re.search(rf"(?<![\d.,]){re.escape(figure)}(?![\d]|[.,]\d)", section(panel.section)), figure
        assert panel.values[list(panel.bars).index(panel.ours)] == min(panel.values)  # what the colours say


def test_the_ratios_of_the_chart_are_those_of_the_page(draw_summary):
    checked = 0
    for panel in draw_summary.read_panels():
        figures = list(panel.bars.values())
        rows = [line for line in section(panel.section).splitlines() if all(figure in line for figure in figures)]
        assert len(rows) == 1, panel.title  # they were measured together
        stated = re.search(r"\*\*([\d.]+)\*\*", rows[0])
        if stated:
            (peer,) = {"Kornia", "lightly"} & panel.bars.keys()
            ratio = draw_summary.number(panel.bars[peer]) / draw_summary.number(panel.bars[panel.ours])
            assert ratio == pytest.approx(float(stated[1]), rel=0.02)
            checked += 1
    assert checked >= 2


def test_the_chart_is_drawn_with_each_figure(draw_summary, tmp_path, monkeypatch, capsys):
    said = []
    monkeypatch.setattr(draw_summary.Axes, "text", lambda self, x, y, words, **_: said.append(words))
    out = tmp_path / "new" / "benchmarks.png"
    draw_summary.main(["--out", str(out)])
    assert capsys.readouterr().out == f"drawn in {out}\n"
    assert out.stat().st_size > 10_000
    for panel in draw_summary.read_panels():
        for name, figure in panel.bars.items():
            ours = name == panel.ours
            assert any(f"{figure} {panel.unit}" in words and ("×" in words) != ours for words in said), figure


def test_other_figures_and_an_odd_number_of_panels_can_be_drawn(draw_summary, tmp_path):
    panel = {"title": "a", "unit": "s", "section": "b", "ours": "c", "bars": {"c": "1,000", "d": "3,000"}}
    path = tmp_path / "figures.json"
    path.write_text(json.dumps({"panels": [panel] * 3}), encoding="utf-8")
    draw_summary.main(["--figures", str(path), "--out", str(tmp_path / "a.png")])
    assert draw_summary.read_panels(path)[0].values == [1000, 3000]
    assert (tmp_path / "a.png").exists()


def test_the_tables_of_labels_are_those_that_were_measured(monkeypatch):
    pytest.importorskip("albumentations", reason="the benchmark needs it")
    labels = load_anew("benchmarks/labels.py", monkeypatch)
    stored = json.loads((ROOT / "docs" / "results" / "labels.json").read_text(encoding="utf-8"))
    text = section("Labels")
    assert stored["date"] in text
    tables = [table for batch, table in stored["milliseconds"].items() if f"**{batch} at a time**" in text]
    assert len(tables) == len(stored["milliseconds"]) == 2
    for table in tables:
        assert "\n".join(labels.table_rows(table)) in text


def test_labels_of_all_libraries_are_timed(monkeypatch, capsys, tmp_path):
    pytest.importorskip("albumentations", reason="the benchmark needs it")
    labels = load_anew("benchmarks/labels.py", monkeypatch)
    monkeypatch.setattr(labels.torch, "set_num_threads", lambda count: None)  # a setting of the whole process
    monkeypatch.setattr(pytest.importorskip("cv2"), "setNumThreads", lambda count: None)
    monkeypatch.setattr(labels, "milliseconds", lambda work, batch: work() is not None and 1.0)
    labels.main(["--batches", "2", "--rounds", "1", "--save", str(tmp_path / "new" / "labels.json")])
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "new" / "labels.json").read_text(encoding="utf-8"))["milliseconds"]["2"]
    assert list(found) == list(labels.ROWS)
    for name, one in found.items():
        assert one == {"alone": 1.0, "labelled": 1.0, "ratio": 1.0}
        assert f"| {name} | 1.00 | 1.00 | **1.00** | 1.00 |" in said
    assert said.count("reached") == 2


def test_the_page_fits_a_screen():
    for block in re.findall(r"```.*?```", PAGE, re.DOTALL):
        assert all(len(line) <= 88 for line in block.splitlines())
    for row in re.findall(r"^\|.*\|$", PAGE, re.MULTILINE):
        assert row.count("|") <= 7  # six columns
