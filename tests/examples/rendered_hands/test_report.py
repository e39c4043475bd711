import json
import re

import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")
pytest.importorskip("matplotlib", reason="the examples need matplotlib")

from examples.loading import EXAMPLES, load

plan, report = load("rendered_hands/plan.py"), load("rendered_hands/report.py")
SHARES = load("rendered_hands/work.py").SHARES
TOY = plan.PRESETS["toy"]
SESSION = {"date": "2026-11-24", "device": "a machine", "torch": "2.14", "equicon": "0.2", "command": "python"}


def value(piece, domain, share, measure):
    """Make up a figure that depends on all of them."""
    start = piece.start if isinstance(piece, plan.FineTune) else piece
    method = ["none", "simclr", "peclr", "exact", "exact, scale kept"].index(start.method)
    tuned = 0.5 if isinstance(piece, plan.FineTune) else 0.0
    return 10.0 + method + 0.1 * start.seed * (1 + method) + tuned + (domain == "wild") + len(share) + len(measure)


@pytest.fixture(scope="module")
def results():
    done = {}
    while todo := plan.missing(plan.ready(TOY, done), done):
        for piece in todo:
            shares = [SHARES[piece.fraction]] if isinstance(piece, plan.FineTune) else list(SHARES.values())
            rows = [
                {"domain": domain, "share": share}
                | {name: value(piece, domain, share, name) for name in ("px", "mm", "pa_mm", "pa_auc")}
                for domain in ("studio", "wild")
                for share in shares
            ]
            done[piece.key] = {"chosen by": 1.0, "rows": rows, "minutes": 0.5, "session": 0}
    return {"preset": "toy", "sessions": [SESSION], "pieces": done}


def test_tables_hold_the_mean_and_the_spread_of_the_seeds(results):
    text = report.tables(TOY, results)
    assert "2026-11-24, a machine, torch 2.14, equicon 0.2" in text
    assert f"{len(results['pieces'])} pieces, {len(results['pieces']) // 2} minutes" in text
    for tuned, title in ((True, "Fine-tuned: 2D [px]"), (False, "Frozen, linear probe: 2D [px]")):
        part = text.split(f"**{title}**")[1].split("**")[0]
        row = next(line for line in part.splitlines() if line.startswith("| PeCLR |"))
        values = report.by_seed("peclr", TOY, results["pieces"], "wild", "100 %", "px", tuned=tuned)
        assert len(values) == TOY.seeds
        assert row.split("|")[-2].strip() == report.spread(values, "{:.2f}")


def test_differences_are_paired_by_seed(results):
    text = report.tables(TOY, results)
    part = text.split("**Less SimCLR, seed by seed, frozen: 2D [px]**")[1].split("**")[0]
    cells = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in part.splitlines() if "|" in line}
    # Seed 0 differs by 2 and seed 1 by 2.2, while the seeds themselves differ by more.
    assert cells["exact"] == "+2.10 ± 0.14"
    assert cells["SimCLR"] == "+0.00 ± 0.00"


def test_the_chosen_temperature_is_marked_once_for_each_method(results):
    text = report.tables(TOY, results)
    rows = [line for line in text.splitlines() if "studio / wild |" in line]
    assert len(rows) == 3
    assert all(row.count("(chosen)") == 1 for row in rows)


def test_every_row_of_a_table_has_as_many_cells_as_its_head(results):
    for block in re.findall(r"(?:^\|.*\n)+", report.tables(TOY, results), re.MULTILINE):
        assert len({line.count("|") for line in block.strip().splitlines()}) == 1


def test_the_tables_in_the_documents_are_those_of_the_results_beside_them():
    docs = EXAMPLES.parent / "docs"
    results = json.loads((docs / "results" / "cpu.json").read_text(encoding="utf-8"))
    text, page = report.tables(plan.PRESETS["cpu"], results), (docs / "results.md").read_text(encoding="utf-8")
    frozen = [part for part in text.split("\n\n**") if part.startswith("Frozen")]
    rows = [line for part in frozen for line in part.splitlines()[4:]]
    assert len(rows) == 20
    assert all(row in page for row in rows)


def test_writes_text_and_figures(results, tmp_path):
    said = report.write_report(tmp_path, TOY, results)
    assert (tmp_path / "results.md").read_text() in said
    for name in ("labels", "questions"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"{name}.png" in said


def test_a_figure_that_is_not_there_is_named():
    done = {plan.Pretrain("none").key: {"rows": []}}
    with pytest.raises(KeyError, match="random weights, seed 0 has no row of studio with 10 %"):
        report.found(plan.Pretrain("none"), done, "studio", "10 %", "px")
