import json
import os
import shutil
import signal
from functools import partial

import pytest
import tiny_encoder
import torch

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.pretraining.running import curve, pretrain_freihand, reading, run, same, short, tags

import equicon as eq
from equicon.hands import write_freihand, write_youtube
from equicon.training import Checkpoints, seed_of
from equicon.training import _training as training


@pytest.mark.parametrize(
    ("batch", "number"),
    [
        pytest.param(0, signal.SIGINT, id="within a step, SIGINT"),
        pytest.param(1, signal.SIGTERM, id="after a step, SIGTERM"),
        pytest.param(0, signal.SIGTERM, id="within a step, SIGTERM", marks=pytest.mark.slow),
        pytest.param(1, signal.SIGINT, id="after a step, SIGINT", marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_and_the_resumed_run_equals_the_uninterrupted_one(
    tiny, photos, whole, tmp_path, monkeypatch, capsys, number, batch
):
    def seed_and_signal(*numbers):
        if numbers[1:] == (1, 5, batch):
            os.kill(os.getpid(), number)
        return seed_of(*numbers)

    monkeypatch.setattr(pretrain_freihand, "seed_of", seed_and_signal)
    with pytest.raises(SystemExit) as stopped:
        run(*short(photos), "--out", tmp_path)
    monkeypatch.setattr(pretrain_freihand, "seed_of", seed_of)
    assert stopped.value.code == 128 + number
    assert f"Stopped by {number.name} and saved after step {5 + batch} of 12" in capsys.readouterr().out
    assert Checkpoints(tmp_path / "checkpoints").load()["step"] == 5 + batch
    run("--resume", "--out", tmp_path)
    assert f"goes on at step {5 + batch} of 12" in capsys.readouterr().out
    assert curve(tmp_path) == curve(whole)
    assert same(tmp_path, whole)


class Scales(eq.Representation, torch.nn.Module):
    """Multiplies each number by a factor of its own, which is learned."""

    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.ones(128))

    def _act(self, g, z):
        return z * (1 + (self.factor - 1) * g.degrees[:, None] / 45)

    def _canonicalize(self, g, z):
        return z / (1 + (self.factor - 1) * g.degrees[:, None] / 45)


@pytest.mark.slow
def test_a_representation_that_learns_is_optimised_saved_and_resumed(tiny, photos, tmp_path, monkeypatch):
    monkeypatch.setitem(pretrain_freihand.METHODS, "exact", Scales)  # a new one for each run
    loss = eq.PeCLRLoss
    monkeypatch.setattr(
        eq, "PeCLRLoss", lambda *args, representation, **rest: loss(*args, representation=representation(), **rest)
    )

    def factor(name):
        return Checkpoints(tmp_path / name / "checkpoints").load()["model"]["criterion.representation.factor"]

    run(*short(photos, "--method", "exact"), "--out", tmp_path / "whole")
    assert (factor("whole") - 1).abs().max() > 1e-4

    def seed_and_signal(*numbers):
        if numbers[1:] == (1, 5, 0):
            os.kill(os.getpid(), signal.SIGTERM)
        return seed_of(*numbers)

    monkeypatch.setattr(pretrain_freihand, "seed_of", seed_and_signal)
    with pytest.raises(SystemExit):
        run(*short(photos, "--method", "exact"), "--out", tmp_path / "cut")
    monkeypatch.setattr(pretrain_freihand, "seed_of", seed_of)
    run("--resume", "--out", tmp_path / "cut")
    assert factor("cut").equal(factor("whole"))
    assert same(tmp_path / "cut", tmp_path / "whole")


@pytest.mark.slow
def test_a_run_in_half_precision_resumes_with_its_scaler(tiny, photos, tmp_path, monkeypatch):
    scaler, rate = torch.amp.GradScaler, training.learning_rate
    monkeypatch.setattr(torch.amp, "GradScaler", partial(scaler, init_scale=8.0, growth_interval=3))
    words = short(photos, "--precision", "float16")
    run(*words, "--out", tmp_path / "whole")

    def rate_and_signal(step, *others, **figures):
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return rate(step, *others, **figures)

    monkeypatch.setattr(training, "learning_rate", rate_and_signal)
    with pytest.raises(SystemExit):
        run(*words, "--out", tmp_path / "cut")
    monkeypatch.setattr(training, "learning_rate", rate)
    state = Checkpoints(tmp_path / "cut" / "checkpoints").load()["scaler"]
    assert (state["scale"], state["_growth_tracker"]) == (16.0, 2)
    run("--resume", "--out", tmp_path / "cut")
    ends = [Checkpoints(tmp_path / name / "checkpoints").load()["scaler"] for name in ("cut", "whole")]
    assert ends[0] == ends[1]
    assert ends[0]["scale"] == 8.0 * 2**4
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    assert same(tmp_path / "cut", tmp_path / "whole")


@pytest.mark.slow
def test_a_resumed_run_shows_all_that_the_uninterrupted_one_does(tiny, tmp_path, monkeypatch):
    words = ["--hands", 24, "--batch-size", 8, "--epochs", 3]
    words += ["--probe-every", 1, "--save-every", 1, "--picture-every", 1]
    run(*words, "--out", tmp_path / "whole")

    def seed_and_signal(*numbers):
        if numbers[1:] == (1, 5, 0):
            os.kill(os.getpid(), signal.SIGTERM)
        return seed_of(*numbers)

    monkeypatch.setattr(pretrain_freihand, "seed_of", seed_and_signal)
    with pytest.raises(SystemExit):
        run(*words, "--out", tmp_path / "cut")
    monkeypatch.setattr(pretrain_freihand, "seed_of", seed_of)
    assert list(Checkpoints(tmp_path / "cut" / "checkpoints").load()["probes"]) == [0, 3]
    run("--resume", "--out", tmp_path / "cut")
    for name in tags(tmp_path / "whole")["scalars"]:
        if "share" not in name and "per second" not in name:
            assert curve(tmp_path / "cut", name) == curve(tmp_path / "whole", name), name
    pictures = [reading(tmp_path / name).Images("views") for name in ("cut", "whole")]
    assert [e.step for e in pictures[0]] == [e.step for e in pictures[1]] == [2, 5, 8]
    found = [json.loads((tmp_path / name / "result.json").read_text())["probes"] for name in ("cut", "whole")]
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """FreiHAND and YouTube3DHands: 140 images to learn from and 20 hands."""
    root = tmp_path_factory.mktemp("both")
    write_freihand(root / "freihand", 50, size=40)
    write_youtube(root / "youtube", 14, size=40)
    return ["--data", root / "freihand", "--data", root / "youtube", "--holdout", 0.3]


@pytest.mark.slow
@pytest.mark.parametrize("weights", [[], ["--data-weights", 1, 2]], ids=["all", "weights"])
def test_learns_from_freihand_and_youtube_and_resumes(tiny, both, tmp_path, monkeypatch, capsys, weights):
    words = [*both, *weights, "--batch-size", 20, "--epochs", 1, "--save-every", 0.25, "--probe-every", 0.5]
    run(*words, "--out", tmp_path / "whole")
    printed = capsys.readouterr().out
    assert "YouTube3DHands: 21 hands in 14 images. Left out: " in printed
    assert "After: exact pre-training" in printed
    begun = json.loads((tmp_path / "whole" / "arguments.json").read_text())
    assert begun["data"] == [str(both[1]), str(both[3])]
    result = json.loads((tmp_path / "whole" / "result.json").read_text())
    assert list(result["probes"]) == ["0", "4", "8"]

    def seed_and_signal(*numbers):
        if numbers[1:] == (1, 5, 0):
            os.kill(os.getpid(), signal.SIGTERM)
        return seed_of(*numbers)

    monkeypatch.setattr(pretrain_freihand, "seed_of", seed_and_signal)
    with pytest.raises(SystemExit):
        run(*words, "--workers", 1, "--out", tmp_path / "cut")
    monkeypatch.setattr(pretrain_freihand, "seed_of", seed_of)
    assert Checkpoints(tmp_path / "cut" / "checkpoints").load()["counts"] == [140, 21]
    with pytest.raises(SystemExit, match=r"--data: the run was begun on 140 \+ 21 images, got 21 \+ 140\. Give it the"):
        run("--resume", "--data", both[3], "--data", both[1], "--out", tmp_path / "cut")
    run("--resume", "--out", tmp_path / "cut")
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    assert same(tmp_path / "cut", tmp_path / "whole")


@pytest.mark.slow
def test_data_that_changed_is_noticed(tiny, photos, tmp_path):
    other = tmp_path / "photos"
    shutil.copytree(photos, other)
    run(*short(other), "--out", tmp_path / "out")
    (other / "03.jpg").unlink()
    with pytest.raises(SystemExit, match="--data: the run was begun on 24 images, got 23"):
        run("--resume", "--out", tmp_path / "out")


@pytest.mark.parametrize("lacks", ["counts", "probes", "weight"])
def test_a_checkpoint_of_another_version_is_named(photos, whole, tmp_path, lacks):
    shutil.copytree(whole, tmp_path / "out")
    newest = sorted((tmp_path / "out" / "checkpoints").glob("step_*.pt"))[-1]
    state = torch.load(newest, weights_only=True)
    if lacks == "weight":
        del state["model"][next(iter(state["model"]))]
    else:
        del state[lacks]
    torch.save(state, newest)
    with pytest.raises(
        SystemExit, match=r"--resume: the newest checkpoint in .*out.checkpoints was written by another"
    ):
        run("--resume", "--out", tmp_path / "out")


def test_a_resumed_run_does_not_ask_for_the_weights_it_began_with(whole, tmp_path, monkeypatch):
    asked = []

    def build(arch, weights, **options):
        asked.append(weights)
        return tiny_encoder.build_tiny_encoder()

    monkeypatch.setattr(pretrain_freihand, "build_encoder", build)
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


def test_a_finished_run_is_finished(tiny, photos, whole, capsys):
    before = (whole / "encoder.pt").read_bytes()
    capsys.readouterr()
    run("--resume", "--out", whole)
    assert (whole / "encoder.pt").read_bytes() == before
    with pytest.raises(SystemExit, match=r"holds a run already\. Add --resume"):
        run(*short(photos), "--out", whole)
