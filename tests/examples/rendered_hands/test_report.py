import re

import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")
pytest.importorskip("matplotlib", reason="the examples need matplotlib")

from examples.loading import load

plan, report = load("rendered_hands/plan.py"), load("rendered_hands/report.py")
sizes = load("rendered_hands/sizes.py")
SHARES = load("rendered_hands/common.py").SHARES
TOY = sizes.PRESETS["toy"]
SESSION = {"date": "2026-11-24", "device": "a machine", "torch": "2.14", "equicon": "0.2", "command": "python"}


FEATURES = ("pooled", "4 × 4 map", "points")


def value(piece, domain, share, measure, features):
    """Make up a figure that depends on all of them."""
    start = piece.start if isinstance(piece, plan.FineTune) else piece
    method = ["none", *plan.METHODS].index(start.method)
    tuned = 0.5 if isinstance(piece, plan.FineTune) else 0.0
    made = 10.0 + method + 0.1 * start.seed * (1 + method) + tuned + (domain == "wild") + len(share) + len(measure)
    return made + 0.01 * len(features)


@pytest.fixture(scope="module")
def results():
    done = {}
    while todo := plan.missing(plan.ready(TOY, done), done):
        for piece in todo:
            tuning = isinstance(piece, plan.FineTune)
            shares = [SHARES[piece.fraction]] if tuning else list(SHARES.values())
            blind = report.BLIND if not tuning and piece.method == "none" else ()
            rows = [
                {"domain": domain, "share": share}
                | ({} if tuning else {"features": features})
                | {name: value(piece, domain, share, name, features) for name in ("px", "mm", "pa_mm")}
                for domain in ("studio", "wild")
                for share in shares
                for features in (("",) if tuning else (*FEATURES, *blind))
            ]
            done[piece.key] = {"chosen by": 1.0, "rows": rows, "minutes": 0.5, "session": 0}
    return {"preset": "toy", "sessions": [SESSION], "pieces": done}


def part_of(text, title):
    """Give the cells of a table's rows, by their names."""
    lines = text.split(f"**{title}**\n\n")[1].split("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    return {row[0]: row[1:] for row in rows[2:]}


def test_tables_hold_the_mean_and_the_spread_of_the_seeds(results):
    text, done = report.tables(TOY, results), results["pieces"]
    assert "2026-11-24, a machine, torch 2.14, equicon 0.2" in text
    assert f"{len(done)} pieces, {len(done) // 2} minutes" in text
    values = report.finetuned("peclr", "wild", "100 %", "px", TOY, done)
    assert len(values) == TOY.seeds
    assert part_of(text, "Fine-tuned: 2D [px]")["PeCLR"][-1] == report.spread(values, "{:.2f}")
    for features, called in zip(FEATURES, ("pooled features", "a 4 × 4 map", "the head's points"), strict=True):
        values = report.frozen("peclr", features, "wild", "100 %", "mm", TOY, done)
        cells = part_of(text, f"Frozen, a linear probe of {called}: 3D [mm]")
        assert cells["PeCLR"][-1] == report.spread(values, "{:.1f}")


def test_what_sees_no_image_stands_beside_what_does(results):
    text = report.tables(TOY, results)
    for title in ("Fine-tuned: PA-EPE [mm]", "Frozen, a linear probe of pooled features: PA-EPE [mm]"):
        cells = part_of(text, title)
        assert list(cells)[:2] == ["mean pose", "typical hand"]
        assert "±" in cells["mean pose"][-1]
        assert "±" not in cells["typical hand"][-1]


def test_the_short_table_pairs_seeds(results):
    cells = part_of(report.tables(TOY, results), "Summary: change of the error against others of the same seed")
    done = results["pieces"]
    ours, theirs = (report.frozen(m, "pooled", "studio", "100 %", "mm", TOY, done) for m in ("exact", "simclr"))
    changes = [100 * (a / b - 1) for a, b in zip(ours, theirs, strict=True)]
    assert cells["exact, 3D"][0] == report.spread(changes, "{:+.1f}").replace("± +", "± ") + " %"
    assert changes[0] != changes[1]


def test_what_was_chosen_is_marked_once_in_each_cell(results):
    cells = part_of(report.tables(TOY, results), "Chosen settings, by the mean error of two seeds on other hands [mm]")
    assert set(cells) == set(report.NAMES.values())
    assert cells["exact"][0] == "**0.1: 1.0, 1.0**; **0.5: 1.0, 1.0**"  # all errors are alike here
    assert cells["from scratch"][:2] == ["–", "–"]


def test_an_unfinished_study_has_dashes_where_nothing_is_known(results, tmp_path):
    few = {key: value for key, value in results["pieces"].items() if key.startswith(("random weights", "simclr"))}
    said = report.write_report(tmp_path, TOY, results | {"pieces": few})
    assert part_of(said, "Fine-tuned: 3D [mm]")["exact"] == ["–"] * len(report.columns(TOY))
    assert part_of(said, "Frozen, a linear probe of pooled features: 3D [mm]")["SimCLR"][0] != "–"


def test_every_row_of_a_table_has_as_many_cells_as_its_head(results):
    for block in re.findall(r"(?:^\|.*\n)+", report.tables(TOY, results), re.MULTILINE):
        assert len({line.count("|") for line in block.strip().splitlines()}) == 1


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
