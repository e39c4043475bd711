import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torchvision", reason="the examples need torchvision")
pytest.importorskip("matplotlib", reason="the examples need matplotlib")
pytest.importorskip("tensorboard", reason="a run needs TensorBoard")

from examples.loading import EXAMPLES, load
from studying import part

commands, pieces, reproduce, sizes = (part(name) for name in ("commands", "pieces", "reproduce", "sizes"))
WELL, BADLY, LONG = (f"print('begun'); {rest}" for rest in ("", "exit('no luck')", "import time; time.sleep(60)"))


def give(monkeypatch, program):
    """Let each piece run a program of one line, given as a function of the piece, instead of its own."""

    def found(study, piece):
        tested = {"model": {"pixels": 2.0}, "mean pose": {"pixels": 5.0}}
        return {"validation": 1.0, "labels": 5, "test": tested, "mean pose on the validation items": {}}

    run = lambda study, piece: [[sys.executable, "-c", program(piece)]] * 2  # noqa: E731  # it is short
    monkeypatch.setattr(commands.Study, "commands", run)
    monkeypatch.setattr(commands.Study, "found", found)
    monkeypatch.setattr(reproduce, "INTERVAL", 0.02)


def main(folders, out, *words):
    reproduce.main(["--preset", "toy", "--device", "cpu", "--lspet", str(folders["lspet"]), "--out", str(out), *words])


def read(out):
    return json.loads((out / "results.json").read_text())


def test_goes_on_with_the_pieces_that_are_missing(folders, tmp_path, monkeypatch, capsys):
    ran = []
    give(monkeypatch, lambda piece: ran.append(piece.key) or WELL)
    main(folders, tmp_path, "--pieces", "2")
    printed = capsys.readouterr()
    assert "2 of 5 pieces are done. Give the same command to go on." in printed.out
    assert "pieces:" in printed.err
    before = read(tmp_path)
    main(folders, tmp_path)
    after = read(tmp_path)
    assert len(ran) == len(set(ran)) == len(after["pieces"]) == 5  # nothing ran twice
    assert all(after["pieces"][key] == piece for key, piece in before["pieces"].items())
    assert {piece["session"] for piece in after["pieces"].values()} == {0, 1}
    assert {"date", "command", "device", "torch", "torchvision", "equicon"} <= set(after["sessions"][1])
    assert "lspet: " in (tmp_path / "results.md").read_text()
    assert (tmp_path / "errors.png").exists()
    main(folders, tmp_path)
    assert (len(ran), len(read(tmp_path)["sessions"])) == (5, 2)


def test_results_alone_go_on_elsewhere_and_only_encoders_that_are_needed_are_made_again(folders, tmp_path, monkeypatch):
    ran, here = [], tmp_path / "here"
    give(monkeypatch, lambda piece: ran.append(piece.key) or WELL)
    plain = commands.Study.found

    def found(study, piece):
        if isinstance(piece, pieces.FineTune):
            return plain(study, piece)
        weights = Path(study.weights(piece))
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.touch()
        return {"weights": str(weights.relative_to(study.out))}

    monkeypatch.setattr(commands.Study, "found", found)
    main(folders, here)
    whole = read(here)
    (encoder,) = (key for key in whole["pieces"] if key.startswith("exact on lspet"))
    for name, gone in (("finished", []), ("scratch", ["scratch"]), ("exact", ["rate 0.002, seed 0"])):
        lost = {key for key in whole["pieces"] if gone and key.startswith("lspet") and key.endswith(*gone)}
        left = {key: found for key, found in whole["pieces"].items() if key not in lost}
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps(whole | {"pieces": left}))
        ran.clear()
        main(folders, tmp_path / name)
        again = {encoder} if name == "exact" else set()
        assert (set(ran), len(ran)) == (lost | again, len(lost | again))
        assert bool(lost) == bool(gone)
        after = read(tmp_path / name)["pieces"]
        assert after.keys() == whole["pieces"].keys()
        assert all(after[key] == found for key, found in left.items() if key not in again)
        if again:
            assert ran[0] == encoder


def test_results_know_all_that_was_ever_given(folders, tmp_path, monkeypatch):
    give(monkeypatch, lambda piece: WELL)
    main(folders, tmp_path, "--real-hands", str(folders["real_hands"]), "--pieces", "1")
    words = ["--preset", "toy", "--device", "cpu", "--out", str(tmp_path), "--pieces", "1"]
    reproduce.main([*words, "--ti1k", str(folders["ti1k"])])
    assert read(tmp_path)["given"] == {"sets": ["lspet", "ti1k"], "extras": ["real_hands"]}


def test_a_piece_that_fails_is_recorded_and_the_study_goes_on(folders, tmp_path, monkeypatch, capsys):
    give(monkeypatch, lambda piece: BADLY if isinstance(piece, pieces.Pretrain) else WELL)
    with pytest.raises(SystemExit) as ended:
        main(folders, tmp_path)
    assert "2 of 5 pieces are done. Failed: 1. Not run, or waiting for these: 2." in str(ended.value.code)
    results = read(tmp_path)
    ((key, failed),) = results["failed"].items()
    assert key.startswith("exact on lspet")
    assert failed["code"] == 1
    assert failed["end of the output"].endswith("begun\nno luck")
    assert len(results["pieces"]) == 2
    assert "no luck" in capsys.readouterr().err
    give(monkeypatch, lambda piece: WELL)  # the cause is gone
    main(folders, tmp_path)
    results = read(tmp_path)
    assert (len(results["pieces"]), results["failed"]) == (5, {})


def test_results_that_cannot_be_read_are_a_failure(folders, tmp_path, monkeypatch):
    give(monkeypatch, lambda piece: WELL)
    monkeypatch.setattr(commands.Study, "found", lambda study, piece: {}["validation"])
    with pytest.raises(SystemExit, match=r"Failed: 3"):  # what needs none of the others
        main(folders, tmp_path)
    assert "cannot be read: KeyError" in next(iter(read(tmp_path)["failed"].values()))["end of the output"]


def test_ctrl_c_ends_all_children_and_says_how_far_it_came(folders, tmp_path, monkeypatch, capsys):
    give(monkeypatch, lambda piece: LONG)
    begun = []

    def interrupt(seconds):
        if all("begun" in log.read_text().splitlines() for log in (tmp_path / "runs").glob("*.log")):
            raise KeyboardInterrupt
        time.sleep(0.02)

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: begun.append(popen(*a, **k)) or begun[-1])
    monkeypatch.setattr(reproduce, "time", SimpleNamespace(sleep=interrupt))
    with pytest.raises(SystemExit) as stopped:
        main(folders, tmp_path)
    assert stopped.value.code == 128 + signal.SIGINT
    assert "Stopped after 0 of 5 pieces. Give the same command to go on." in capsys.readouterr().err
    children = [child for child in begun if "time.sleep" in child.args[-1]]
    assert len(children) == 2
    assert all(child.poll() is not None for child in children)


def test_a_plan_names_all_pieces_and_runs_none(folders, tmp_path, capsys):
    words = ["--ti1k", str(folders["ti1k"]), "--real-hands", str(folders["real_hands"]), "--out", str(tmp_path / "out")]
    reproduce.main([*words, "--plan"])
    *lines, total = capsys.readouterr().out.splitlines()
    blocks = [line for line in lines if " pieces, " in line]
    assert total.startswith(f"{len(lines) - len(blocks)} pieces, about ")
    assert [line.partition(":")[0] for line in blocks][::2] == [
        "ti1k, a tenth of the labels, the main rows", "ti1k, the other shares"
    ]  # fmt: skip
    assert any("consistent on ti1k" in line for line in lines)
    assert not (tmp_path / "out").exists()


def test_another_preset_does_not_go_on_with_these_results(folders, tmp_path):
    (tmp_path / "results.json").write_text(json.dumps({"sizes": {"arch": "another"}, "sessions": [], "pieces": {}}))
    with pytest.raises(SystemExit, match=r"--preset: .*was begun with .*another.*Give another --out"):
        main(folders, tmp_path)


def test_options_are_checked(tmp_path, capsys):
    with pytest.raises(SystemExit):
        reproduce.parse_args(["--real-hands", str(tmp_path)])
    wanted = "at least one set with labels, got none. Give --ti1k, --real-joints, --mirror-mouse or --lspet."
    assert wanted in capsys.readouterr().err
    with pytest.raises(SystemExit, match=r"--ti1k: expected a folder, got .*none, which is none"):
        reproduce.main(["--ti1k", str(tmp_path / "none"), "--plan"])
    with pytest.raises(SystemExit, match=r"--lspet: .*annotations.json"):
        reproduce.main(["--lspet", str(tmp_path), "--out", str(tmp_path / "out")])


@pytest.mark.slow
def test_a_toy_study_runs_from_end_to_end(folders, tmp_path):
    script = EXAMPLES / "real_images" / "reproduce.py"
    named = {"--ti1k": "ti1k", "--real-joints": "real_joints", "--real-hands": "real_hands"}
    words = [word for option, name in named.items() for word in (option, str(folders[name]))]
    command = [sys.executable, "-W", "ignore", script, "--preset", "toy", "--device", "cpu", "--out", tmp_path / "out"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = read(tmp_path / "out")
    assert not results["failed"]
    runs = [found for found in results["pieces"].values() if "test" in found]
    assert len(runs) == 2 * len(sizes.PRESETS["toy"].rows)
    assert len(results["pieces"]) == len(runs) + 2
    assert all(found["validation"] > 0 and found["labels"] > 0 for found in runs)
    for name in ("**ti1k", "**real_joints", "aligned (PA) [mm]", "best + consistency", "shipped", "mean pose"):
        assert name in done.stdout
    assert str(tmp_path) not in json.dumps(results)
    assert not list((tmp_path / "out").rglob("checkpoints"))
    assert "unlabelled" in vars(load("finetune_keypoints.py").parse_args(["--data", str(folders["ti1k"])]))
