import json
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")
pytest.importorskip("matplotlib", reason="the examples need matplotlib")

from examples.loading import EXAMPLES, load

plan, reproduce = load("rendered_hands/plan.py"), load("rendered_hands/reproduce.py")
sizes = load("rendered_hands/sizes.py")


def main(out, *words):
    reproduce.main(["--preset", "toy", "--device", "cpu", "--out", str(out), *words])


@pytest.mark.slow
def test_goes_on_with_the_pieces_that_are_missing(tmp_path, capsys, monkeypatch):
    # In a thread, which begins sooner than a process.
    monkeypatch.setattr(reproduce, "ProcessPoolExecutor", lambda number, context: ThreadPoolExecutor(1))
    main(tmp_path, "--pieces", "2")
    printed = capsys.readouterr()
    assert (
        f"2 of {plan.count(sizes.PRESETS['toy'], {})} pieces are done. Give the same command to go on." in printed.out
    )
    assert "pieces:" in printed.err
    before = json.loads((tmp_path / "results.json").read_text())
    main(tmp_path, "--pieces", "1")
    after = json.loads((tmp_path / "results.json").read_text())
    assert len(after["pieces"]) == 3
    assert all(after["pieces"][key] == piece for key, piece in before["pieces"].items())
    assert [piece["session"] for piece in after["pieces"].values()] == [0, 0, 1]
    assert {"date", "command", "device", "torch", "torchvision", "equicon"} <= set(after["sessions"][1])
    assert not list(tmp_path.rglob("*.part"))


def test_ctrl_c_says_how_far_it_came(tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(reproduce, "ProcessPoolExecutor", lambda number, context: ThreadPoolExecutor(1))
    monkeypatch.setattr(reproduce, "wait", interrupt)
    with pytest.raises(SystemExit) as stopped:
        main(tmp_path)
    assert stopped.value.code == 130
    count = plan.count(sizes.PRESETS["toy"], {})
    assert f"Stopped after 0 of {count} pieces. Give the same command to go on." in capsys.readouterr().err


def test_encoders_that_are_lost_are_made_again_before_others_start_from_them(tmp_path):
    preset, done = sizes.PRESETS["toy"], {}
    args = reproduce.parse_args(["--out", str(tmp_path)])
    while runs := [p for p in plan.missing(plan.ready(preset, done), done) if isinstance(p, plan.Pretrain)]:
        done |= {piece.key: {"chosen by": 0.0} for piece in runs}
    tunings = plan.missing(plan.ready(preset, done), done)
    starts = list(dict.fromkeys(piece.start for piece in tunings))
    assert reproduce.todo(args, preset, done) == starts
    (tmp_path / "encoders").mkdir()
    (tmp_path / "encoders" / f"{starts[0].key}.pt").touch()
    from_it = [piece for piece in tunings if piece.start == starts[0]]
    assert from_it
    assert reproduce.todo(args, preset, done) == starts[1:] + from_it
    for start in starts:
        (tmp_path / "encoders" / f"{start.key}.pt").touch()
    assert reproduce.todo(args, preset, done) == tunings


@pytest.mark.slow
def test_pieces_run_in_processes_of_their_own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES / "rendered_hands")  # where its processes look, too
    main(tmp_path, "--pieces", "2")
    pieces = json.loads((tmp_path / "results.json").read_text())["pieces"]
    assert [len(piece["rows"]) for piece in pieces.values()] == [6, 6]  # two domains, three kinds of features
    assert all((tmp_path / "encoders" / f"{key}.pt").exists() for key in pieces)


def test_another_preset_does_not_go_on_with_these_results(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps({"sizes": {"arch": "another"}, "sessions": [], "pieces": {}}))
    with pytest.raises(SystemExit, match=r"--preset: .*was begun with .*another.*Give another --out"):
        main(tmp_path)


@pytest.mark.parametrize("name", ["pieces", "processes"])
def test_options_are_checked(name, capsys):
    with pytest.raises(SystemExit):
        reproduce.parse_args([f"--{name}", "0"])
    assert f"--{name}: expected at least 1, got 0." in capsys.readouterr().err
