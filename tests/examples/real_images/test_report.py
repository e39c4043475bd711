import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")
pytest.importorskip("matplotlib", reason="the examples need matplotlib")

from studying import finish, part

figures, founds, plans, report, sets, sizes = (
    part(name) for name in ("figures", "found", "plan", "report", "sets", "sizes")
)
CPU = sizes.PRESETS["cpu"]
SESSION = {"date": "2026-11-29", "device": "a machine", "torch": "2.14", "equicon": "0.2", "command": "python"}
PLAN = plans.Plan((sets.SETS["ti1k"], sets.SETS["real_joints"]), plans.extras_of(True, frozenset()), CPU)
MEAN = {"px": 20.0, "mm": 40.0, "pa_mm": 18.0}


def validation(piece):
    """Exact is best, and better with consistency."""
    return 1.0 - 0.2 * (getattr(piece.start, "method", "") == "exact") - 0.1 * bool(piece.unlabelled)


def error(piece):
    """Fall with the labels, and by a tenth with pictures without labels."""
    return (10 + piece.seed) * (1 - 0.1 * piece.share) * (0.9 if piece.unlabelled else 1.0)


def measured(piece):
    px = error(piece)
    if piece.on == "ti1k":
        return {"model": {"pixels": px}, "mean pose": {"pixels": 14.0}}
    return {"2D [px]": px, "from the wrist [cm]": px / 5, "PA-EPE [cm]": px / 10}


@pytest.fixture(scope="module")
def done():
    tunes = lambda make: lambda piece: make(piece) if hasattr(piece, "on") else 0.0  # noqa: E731  # it is short
    found = finish(PLAN, tunes(validation), tunes(measured))
    return {key: each | {"mean pose on the validation items": MEAN} for key, each in found.items()}


def results(done):
    return {"preset": "cpu", "sessions": [SESSION, SESSION], "pieces": done}


def rows(text, title):
    """Take the cells of the table whose title begins so, by the name of the row."""
    lines = text.split(f"**{title}", 1)[1].split("\n\n")[1].splitlines()
    return {
        name.strip(): [cell.strip() for cell in cells] for name, *cells in (line.split("|")[1:-1] for line in lines)
    }


def test_a_table_has_means_spreads_and_changes_against_the_same_seed(done):
    found = rows(report.tables(PLAN, results(done)), "ti1k")
    assert found["scratch"] == ["10.99 ± 1.00", "", "11.38 ± 1.28", "", "9.90 ± 0.90", ""]
    assert found["consistency"] == [
        "9.89 ± 0.90",
        "-10.0 ± 0.0",
        "10.25 ± 1.15",
        "-10.0 ± 0.0",
        "8.91 ± 0.81",
        "-10.0 ± 0.0",
    ]
    assert found["exact"][1] == "+0.0 ± 0.0"
    assert found["peclr"] == ["–", "–", "11.38 ± 1.28", "+0.0 ± 0.0", "–", "–"]
    assert found["mean pose"][0] == "14.00 ± 0.00"
    assert len(found) == 2 + 1 + len(PLAN.rows(PLAN.sets[0]))  # the header, the line below it, and the mean pose


def test_hands_with_joints_are_measured_in_the_picture_and_in_space(done):
    text = report.tables(PLAN, results(done))
    found = rows(text, "real_joints")
    assert found["scratch"][:6:2] == ["11.37 ± 1.28", "22.74 ± 2.55", "11.37 ± 1.28"]
    assert found["mean pose of the validation hands"][:6:2] == ["20.00 ± 0.00", "40.00 ± 0.00", "18.00 ± 0.00"]
    assert "aligned (PA) [mm]" in text
    assert "11.1 % (5 labels)" in text


def test_a_line_sums_up_the_best_of_ours_by_validation(done):
    text = report.tables(PLAN, results(done))
    line = next(line for line in text.splitlines() if line.startswith("- ti1k"))
    controls = (f"{name} 11.38 ± 1.28 (-10.0 ± 0.0 %)" for name in ("scratch", "scratch, longer"))
    assert line == f"- ti1k, 10 % (5 labels): best + consistency: error [px] 10.25 ± 1.15, {', '.join(controls)}."
    assert f"{len(done)} of {len(PLAN.all_pieces())} pieces" in text
    assert text.count("a machine") == 1


@pytest.mark.parametrize(
    ("start", "best"),
    [
        ("simclr", "peclr"),  # of ours, the first of those that are equal
        ("labels of rendered hands", "peclr"),
        ("hands-r18-quarter-pose", "shipped 2.5D model"),
    ],
)
def test_the_best_of_ours_is_ours(start, best):
    def validation(piece):
        return float(f"after {start}" not in piece.key) + bool(getattr(piece, "unlabelled", ()))

    assert founds.winner(PLAN, PLAN.sets[0], finish(PLAN, validation)).name == best


def test_settings_are_shown_with_what_chose_them(done):
    found = rows(report.tables(PLAN, results(done)), "Chosen settings")
    cells = found["ti1k: best + consistency"]
    errors = ", ".join(f"0.002 → {rate}: 0.7" for rate in (0.003, 0.001, 0.01))
    assert cells == ["exact on ti1k and real_hands, rate 0.002", "0.003", errors]
    assert found["ti1k: scratch"][2].startswith("0.003: 1, 0.001: 1, ")


def test_an_unfinished_study_has_dashes(done, tmp_path):
    some = dict(list(done.items())[:12])
    text = report.write_report(tmp_path, PLAN, results(some))
    assert "- real_joints: not known yet." in text
    assert rows(text, "real_joints")["exact"][-2:] == ["–", "–"]
    assert (tmp_path / "results.md").read_text() in text
    assert (tmp_path / "errors.png").stat().st_size > 1000
    report.write_report(tmp_path, PLAN, results({}))


def test_a_figure_has_a_panel_for_each_set_and_a_line_for_each_row(done):
    figure = figures.draw_errors(PLAN, done)
    assert [axis.get_title() for axis in figure.axes] == ["ti1k", "real_joints"]
    for axis in figure.axes:
        labels = axis.get_legend_handles_labels()[1]
        assert labels == [*(each.name for each in plans.ROWS), "mean pose"]
    report.plt.close(figure)


def test_changes_pair_seeds():
    assert founds.changes({0: 9.0, 2: 30.0}, {0: 10.0, 1: 5.0, 2: 20.0}) == pytest.approx([-10.0, 50.0])
    assert founds.spread([], "{:.1f}") == "–"
    assert founds.spread([1.0], "{:+.1f}") == "+1.0"


def test_a_set_with_few_labels_has_intervals():
    mouse, ours, theirs = sets.SETS["mirror_mouse"], {0: 9.0, 1: 8.0}, {0: 10.0, 1: 10.0}
    assert founds.change(mouse, ours, theirs) == "-15.0 [-78.5, +48.5]"  # 12.71 · 7.07 / √2 to either side
    assert founds.change(sets.SETS["ti1k"], ours, theirs) == "-15.0 ± 7.1"
    assert founds.change(mouse, {0: 9.0}, theirs) == "-10.0"
    assert founds.change(mouse, {}, theirs) == "–"
