import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
import tiny_encoder
import torch

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.finetuning.running import TOY, curves, finetune_freihand, kept, run, same_run, short

from equicon.hands import write_freihand
from equicon.recipes import _beside
from equicon.training import Checkpoints, seed_of


@pytest.mark.parametrize(
    ("step", "number", "validated"),
    [
        pytest.param(4, signal.SIGINT, [3], id="between"),
        pytest.param(5, signal.SIGTERM, [3], id="before a validation", marks=pytest.mark.slow),
        pytest.param(6, signal.SIGINT, [3, 6], id="after a validation", marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_and_the_resumed_run_equals_the_uninterrupted_one(
    tiny, root, whole, tmp_path, monkeypatch, capsys, step, number, validated
):
    def seed_and_signal(*numbers):
        if numbers[1:] == (1, step):
            os.kill(os.getpid(), number)
        return seed_of(*numbers)

    monkeypatch.setattr(finetune_freihand, "seed_of", seed_and_signal)
    with pytest.raises(SystemExit) as stopped:
        run(*short(root), "--out", tmp_path)
    monkeypatch.setattr(finetune_freihand, "seed_of", seed_of)
    assert stopped.value.code == 128 + number
    assert f"Stopped by {number.name} and saved after step {step + 1} of 12" in capsys.readouterr().out
    state = Checkpoints(tmp_path / "checkpoints").load()
    assert (state["step"], list(state["found"])) == (step + 1, validated)
    measured, measure = [], finetune_freihand.measure

    def note(run, *rest):
        measured.append(run.step)
        return measure(run, *rest)

    monkeypatch.setattr(finetune_freihand, "measure", note)
    run("--resume", "--out", tmp_path)
    assert f"goes on at step {step + 1} of 12" in capsys.readouterr().out
    assert validated + measured == [3, 6, 9, 12]
    same_run(tmp_path, whole)


KILLED = """
import os, signal, sys
import tiny_encoder
from equicon.recipes import _beside
from examples.finetuning.running import finetune_freihand
_beside.build_encoder = tiny_encoder.build_tiny_encoder
seed_of = finetune_freihand.seed_of

def seed_and_kill(*numbers):
    if numbers[1:] == (1, int(sys.argv[1])):
        os.kill(os.getpid(), signal.SIGKILL)
    return seed_of(*numbers)

finetune_freihand.seed_of = seed_and_kill
finetune_freihand.main(sys.argv[2:])
"""


@pytest.mark.slow
def test_a_run_that_learns_without_labels_is_killed_and_ends_alike(tiny, root, tmp_path):
    words = [*short(root), "--unlabelled", root, "--ramp", 0.5, "--agree", 5]
    run(*words, "--out", tmp_path / "whole")
    begun = []
    for step in (1, 5, 11, 12):  # the last one is never reached
        done = subprocess.run(
            [sys.executable, "-c", KILLED, *map(str, [step, *TOY, *words, "--resume", "--out", tmp_path / "killed"])],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        )
        assert done.returncode == (0 if step == 12 else -signal.SIGKILL), done.stderr
        begun += [line for line in done.stdout.splitlines() if "goes on at step" in line]
    assert [line.split("at step ")[1] for line in begun] == ["0 of 12.", "4 of 12.", "10 of 12."]
    same_run(tmp_path / "killed", tmp_path / "whole")
    teachers = [Checkpoints(tmp_path / name / "checkpoints").load()["teacher"] for name in ("killed", "whole")]
    assert all(torch.equal(value, teachers[1][name]) for name, value in teachers[0].items())
    assert all(loss > 0 for _, loss in curves(tmp_path / "killed")["training/loss, consistency"])


@pytest.mark.slow
def test_a_run_that_ends_within_a_validation_goes_on_and_ends_alike(tiny, root, whole, tmp_path, monkeypatch, capsys):
    saving = finetune_freihand.write_figure

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(finetune_freihand, "write_figure", interrupt)
    with pytest.raises(SystemExit) as stopped:
        run(*short(root), "--out", tmp_path)
    monkeypatch.setattr(finetune_freihand, "write_figure", saving)
    assert stopped.value.code == 130
    assert "step_00000002.pt. Add --resume to go on." in capsys.readouterr().err
    run("--resume", "--out", tmp_path)
    same_run(tmp_path, whole)


@pytest.mark.parametrize("every", [0.5, 2])
def test_a_run_that_ends_before_the_best_model_is_written_writes_it(tiny, root, whole, tmp_path, monkeypatch, every):
    saving = finetune_freihand.write_state

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(finetune_freihand, "write_state", interrupt)
    with pytest.raises(SystemExit):
        run(*short(root), "--out", tmp_path)
    assert not (tmp_path / "best.pt").exists()
    assert list(Checkpoints(tmp_path / "checkpoints").load()["found"]) == [3]
    monkeypatch.setattr(finetune_freihand, "write_state", saving)
    monkeypatch.setattr(finetune_freihand, "finetune", interrupt)
    with pytest.raises(SystemExit):
        run("--resume", "--validate-every", every, "--out", tmp_path)
    state = kept(Checkpoints(tmp_path / "checkpoints").load()["model"])
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert all(torch.equal(best[name], state[name]) for name in state)


@pytest.mark.slow
def test_a_stopped_validation_at_the_end_is_made_up_for(tiny, root, whole, tmp_path, monkeypatch):
    measure = finetune_freihand.measure

    def interrupt(run, *rest):
        if run.step == 12:
            raise KeyboardInterrupt
        return measure(run, *rest)

    monkeypatch.setattr(finetune_freihand, "measure", interrupt)
    with pytest.raises(SystemExit):
        run(*short(root), "--out", tmp_path)
    monkeypatch.setattr(finetune_freihand, "measure", measure)
    assert Checkpoints(tmp_path / "checkpoints").load()["step"] == 12
    run("--resume", "--out", tmp_path)
    same_run(tmp_path, whole)


def test_a_finished_run_is_finished(tiny, root, whole, capsys):
    before = (whole / "best.pt").read_bytes(), curves(whole)
    capsys.readouterr()
    run("--resume", "--out", whole)
    printed = capsys.readouterr().out
    assert printed.count("epoch 2") == 1
    assert "The best model is from epoch" in printed
    assert ((whole / "best.pt").read_bytes(), curves(whole)) == before
    with pytest.raises(SystemExit, match=r"holds a run already\. Add --resume"):
        run(*short(root), "--out", whole)


def test_a_resumed_run_does_not_ask_for_the_weights_it_began_with(whole, tmp_path, monkeypatch):
    asked = []

    def build(arch, weights, **options):
        asked.append(weights)
        return tiny_encoder.build_tiny_encoder()

    monkeypatch.setattr(_beside, "build_encoder", build)
    shutil.copytree(whole, tmp_path / "out")
    arguments = tmp_path / "out" / "arguments.json"
    arguments.write_text(json.dumps(json.loads(arguments.read_text()) | {"weights": "gone.pt"}))
    run("--resume", "--out", tmp_path / "out")
    assert asked == ["none"]


def test_a_resumed_run_takes_no_other_weights(whole, capsys):
    with pytest.raises(SystemExit):
        run("--resume", "--weights", "other.pt", "--out", whole)
    assert "--weights: the run in" in (said := capsys.readouterr().err)
    assert "was begun with none, got other.pt. Leave --weights out, or start a new run" in said


def test_data_that_changed_is_noticed(tiny, root, whole, tmp_path):
    write_freihand(tmp_path, 25, size=40)
    with pytest.raises(SystemExit, match="--data: the run was begun on 72 images, got 76"):
        run("--resume", "--data", tmp_path, "--out", whole)


@pytest.mark.slow
def test_workers_make_the_same_run(tiny, root, whole, tmp_path):
    run(*short(root, "--workers", 1), "--out", tmp_path)
    same_run(tmp_path, whole)
