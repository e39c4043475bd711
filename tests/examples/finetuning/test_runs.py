import json
import shlex
import subprocess
import sys
from functools import partial

import pytest
import tiny_encoder
import torch

torchvision = pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.finetuning.running import TOY, curves, finetune_freihand, kept, reading, result, run, short
from examples.loading import load
from torch import nn

from equicon import load_weights
from equicon.hands import FreiHAND, Pose25D, PoseErrors, read_pose25d
from equicon.recipes import MEAN, SCRATCH, TUNED
from equicon.training import Checkpoints


def test_writes_down_what_one_wants_to_see(whole):
    found = curves(whole)
    assert [step for step, _ in found["training/loss"]] == list(range(12))
    parts = [found[f"training/loss, {name}"] for name in ("2D", "depth", "3D")]
    for step, loss in found["training/loss"]:
        assert loss == pytest.approx(sum(part[step][1] for part in parts), rel=1e-5)
    assert [step for step, _ in found["training/learning rate"]] == list(range(12))
    rows = result(whole)["validation"]
    for name in PoseErrors._fields:
        for what, group in ((TUNED, "validation"), (MEAN, f"validation, {MEAN}")):
            assert found[f"{group}/{name}"] == [(int(k), pytest.approx(row[what][name])) for k, row in rows.items()]
    assert list(rows) == ["3", "6", "9", "12"]
    assert [event.step for event in reading(whole).Images("skeletons")] == [2, 5, 8, 11]
    spent = {"data", "views", "model", "optimizer"}
    names = reading(whole).Tags()["scalars"]
    assert {name.split("/")[1] for name in names if name.startswith("share of the step/")} == spent
    assert (whole / "skeletons.png").read_bytes().startswith(b"\x89PNG")
    assert result(whole)["arguments"]["holdout"] == 0.25
    assert result(whole)["versions"]["torch"] == torch.__version__
    steps = [int(path.stem[5:]) for path in Checkpoints(whole / "checkpoints").paths()]
    assert steps == [0, 2, 3, 4, 6, 8, 9, 10, 12]


def test_the_best_model_is_that_of_the_least_error_from_the_wrist(whole):
    rows = result(whole)["validation"]
    best = result(whole)["best"]
    assert best == min((row[TUNED]["mm"], int(step)) for step, row in rows.items())[1]
    state = torch.load(whole / "checkpoints" / f"step_{best:08d}.pt", weights_only=True)["model"]
    state = kept(state)
    model = Pose25D(*tiny_encoder.build_tiny_encoder())
    # The tiny encoder has no conv1 that tells a ResNet; a Pose25D of it is read all the same.
    load_weights(model, read_pose25d(whole / "best.pt"), "best.pt")
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


@pytest.mark.slow
def test_what_learns_beside_it_changes_nothing(tiny, root, whole, tmp_path):
    short_one = short(root, "--epochs", 1, "--weights", "file")  # the tiny encoder reads no file
    for words, out in (([], "both"), (["--no-baseline"], "alone")):
        run(*short_one, *words, "--out", tmp_path / out)
    best = [torch.load(tmp_path / out / "best.pt", weights_only=True) for out in ("both", "alone")]
    assert all(torch.equal(value, best[1][name]) for name, value in best[0].items())
    both, alone = (result(tmp_path / out)["validation"]["6"] for out in ("both", "alone"))
    assert {name: both[name] for name in (TUNED, MEAN)} == alone
    assert both[SCRATCH] != both[TUNED]
    losses = curves(tmp_path / "both")
    assert losses["training/loss"] == curves(tmp_path / "alone")["training/loss"]
    assert len(losses[f"training/loss, {SCRATCH}"]) == 6
    assert "baseline" in result(tmp_path / "both")["arguments"]
    run(*short(root, "--epochs", 0.5, "--baseline"), "--out", tmp_path / "scratch")  # which is the baseline itself
    assert list(result(tmp_path / "scratch")["validation"]["3"]) == [TUNED, MEAN]


def test_a_later_model_that_is_worse_does_not_replace_the_best(tiny, root, tmp_path, monkeypatch):
    fake = iter([5.0, 9.0, 3.0, 9.0, 3.0, 9.0, 4.0, 9.0])  # each followed by the mean pose's
    kept: dict[str, list[bytes]] = {"best.pt": [], "skeletons.png": []}

    def note() -> None:
        for name, contents in kept.items():
            contents.append((tmp_path / name).read_bytes() if (tmp_path / name).exists() else b"")

    def errors(joints, xyz, K):
        note()
        return PoseErrors(1, next(fake), 1, 1, 0.5, 0.5)

    monkeypatch.setattr(finetune_freihand, "pose_errors", errors)
    run(*short(root), "--out", tmp_path)
    note()
    for name, contents in kept.items():
        kept[name] = contents[::2]
    for contents in kept.values():
        assert contents[0] == b""
        assert contents[1] != contents[2] == contents[3] == contents[4]
    assert result(tmp_path)["best"] == 6


@pytest.mark.slow
def test_with_fewer_labels_as_many_steps_are_taken_and_no_other_image_is_read(tiny, root, tmp_path, monkeypatch):
    read = []
    locate = FreiHAND._locate

    def note(data, position):
        path, sample = locate(data, position)
        read.append((int(data.samples[sample]), len(data.versions)))
        return path, sample

    monkeypatch.setattr(FreiHAND, "_locate", note)
    samples = {}
    for fraction in (0.1, 0.5):
        read.clear()
        run(*short(root, "--fraction", fraction), "--out", tmp_path / str(fraction))
        assert [step for step, _ in curves(tmp_path / str(fraction))["training/loss"]] == list(range(12))
        samples[fraction] = {sample for sample, versions in read if versions == 4}
        validated = {sample for sample, versions in read if versions == 1}
        assert validated == set(FreiHAND(root).holdout(0.25, seed=0)[1].samples.tolist())
        assert not validated & samples[fraction]
        assert len([versions for _, versions in read if versions == 4]) == 12 * 12
    assert [len(each) for each in samples.values()] == [2, 9]
    assert samples[0.1] < samples[0.5]


@pytest.mark.slow
def test_half_precision_trains(tiny, root, tmp_path, monkeypatch):
    lengths, step = [], torch.optim.AdamW.step

    def note(optimizer, *others):
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        lengths.append(float(nn.utils.get_total_norm([parameter.grad for parameter in parameters])))
        return step(optimizer, *others)

    monkeypatch.setattr(torch.optim.AdamW, "step", note)
    monkeypatch.setattr(torch.amp, "GradScaler", partial(torch.amp.GradScaler, init_scale=64.0))
    for precision in ("float16", "bfloat16"):
        lengths.clear()
        run(*short(root, "--precision", precision, "--epochs", 0.5), "--out", tmp_path / precision)
        assert list(result(tmp_path / precision)["validation"]) == ["3"]
        assert max(lengths) == pytest.approx(1, rel=1e-3)  # clipped at their real scale


@pytest.mark.slow
def test_the_script_runs_as_a_command_and_its_model_is_evaluated(tmp_path):
    words = [*TOY, "--hands", 8, "--batch-size", 4, "--epochs", 1, "--out", "its results"]
    done = subprocess.run(
        [sys.executable, finetune_freihand.__file__, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    python, program, model = shlex.split(done.stdout.splitlines()[-1])  # as it is printed, it can be typed there
    assert model == "its results/best.pt"
    assert (tmp_path / python).samefile(sys.executable)
    assert (tmp_path / program).samefile(finetune_freihand.__file__.replace("finetune", "evaluate"))
    load("evaluate_freihand.py").main([str(tmp_path / model), "--hands", "6"])
    assert json.loads((tmp_path / "its results" / "evaluation.json").read_text())["hands"] == 6


@pytest.mark.slow
def test_pictures_without_labels_teach_too_and_the_baseline_does_not_see_them(tiny, root, tmp_path):
    short_one = short(root, "--epochs", 1, "--weights", "file")  # the tiny encoder reads no file
    unlabelled = ["--unlabelled", root, "--ramp", 0, "--agree", 5]
    for words, out in (([], "without"), (unlabelled, "with")):
        run(*short_one, *words, "--out", tmp_path / out)
    found, names = curves(tmp_path / "with"), ("with", "without")
    assert all(loss > 0 for _, loss in found["training/loss, consistency"])
    validated = [result(tmp_path / out)["validation"]["6"] for out in names]
    assert validated[0][TUNED] != validated[1][TUNED]
    assert validated[0][SCRATCH] == validated[1][SCRATCH]
    saved = [Checkpoints(tmp_path / out / "checkpoints").load() for out in names]
    assert [each["counts"] for each in saved] == [[72, 72], [72]]
    for name, value in saved[0]["model"].items():
        same = torch.equal(value, saved[1]["model"][name])
        assert same or name.split(".")[1] == TUNED, name
