import json
import re
import shlex
import shutil

import pytest
import torch

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.keypoints.running import curves, evaluate_keypoints, finetune, finetune_keypoints, result, short

from equicon.data import write_deeplabcut
from equicon.keypoints import read_keypoint_model
from equicon.recipes.keypoints import MEAN, TUNED
from equicon.training import Checkpoints


def same_run(out, other):
    ends = [Checkpoints(path / "checkpoints").load() for path in (out, other)]
    assert all(torch.equal(value, ends[1]["model"][name]) for name, value in ends[0]["model"].items())
    best = [torch.load(path / "best.pt", weights_only=True) for path in (out, other)]
    assert best[0]["equicon"] == best[1]["equicon"]
    assert all(torch.equal(value, best[1]["state_dict"][name]) for name, value in best[0]["state_dict"].items())
    assert curves(out) == curves(other)
    for name in ("validation", "best", "skipped"):
        assert result(out)[name] == result(other)[name]
    assert not list(out.rglob("*.part"))


def stop_after(steps, monkeypatch, *words):
    """Interrupt a run as Ctrl-C does, in the step after these."""
    make_view, calls = finetune_keypoints.make_view, []

    def interrupt(*views):
        calls.append(1)
        if len(calls) > steps:
            raise KeyboardInterrupt
        return make_view(*views)

    with monkeypatch.context() as patch:
        patch.setattr(finetune_keypoints, "make_view", interrupt)
        with pytest.raises(SystemExit) as stopped:
            finetune(*words)
    assert stopped.value.code == 130


def test_writes_down_what_one_wants_to_see(whole):
    found, rows = curves(whole), result(whole)["validation"]
    assert [step for step, _ in found["training/loss"]] == list(range(12))
    parts = [found[f"training/loss, {name}"] for name in ("2D", "shape")]
    for step, loss in found["training/loss"]:
        assert loss == pytest.approx(sum(part[step][1] for part in parts), rel=1e-5)
    assert list(rows) == ["6", "12"]
    for what, group in ((TUNED, "validation"), (MEAN, f"validation, {MEAN}")):
        for field in ("pixels", "rmse", "nme", "pck"):
            assert found[f"{group}/{field}"] == [(int(k), pytest.approx(row[what][field])) for k, row in rows.items()]
    assert (whole / "keypoints.png").read_bytes().startswith(b"\x89PNG")
    assert result(whole)["best"] == min((row[TUNED]["nme"], int(step)) for step, row in rows.items())[1]


def test_the_best_model_carries_all_that_one_needs(whole, coco):
    task = read_keypoint_model(whole / "best.pt").task
    assert task.arch == "quarter_resnet18"
    assert (task.head, task.size, task.margin) == ("heatmap", 32, 1.25)
    assert task.names == ("wrist", "left_mcp", "left_pip", "left_dip", "left_tip", "right_tip")
    assert task.skeleton == ((0, 1), (1, 2))
    assert task.flip == (0, 1, 2, 3, 5, 4)
    assert len(task.mean_pose) == 6


@pytest.mark.slow
@pytest.mark.parametrize("stop", [3, 8])
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(coco, whole, tmp_path, monkeypatch, stop):
    stop_after(stop, monkeypatch, *short(coco), "--out", tmp_path)
    finetune("--data", coco, "--resume", "--out", tmp_path)
    same_run(tmp_path, whole)


@pytest.mark.slow
def test_deeplabcut_is_learned_from_and_tested_on_too(mouse, tmp_path, capsys):
    finetune(*short(mouse, "--head", "regression", "--flip", 0.5, "--fraction", 0.5), "--out", tmp_path / "its run")
    printed = capsys.readouterr().out
    assert "of which" in printed
    command = shlex.split(printed.splitlines()[-1])
    assert command[1].endswith("evaluate_keypoints.py")
    assert command[3:] == ["--data", "FOLDER"]
    evaluate_keypoints.main([command[2], "--data", str(mouse)])
    found = result(tmp_path / "its run", "evaluation.json")
    assert found["count"] == 24
    assert read_keypoint_model(tmp_path / "its run" / "best.pt").task.margin == 1.0


def test_weights_of_pretraining_bring_their_architecture(coco, tmp_path):
    from equicon.recipes.keypoints import parse_keypoint_args

    (tmp_path / "arguments.json").write_text('{"arch": "resnet18", "data": ["x"]}')
    (tmp_path / "encoder.pt").write_bytes(b"")
    words = ["--data", str(coco), "--device", "cpu", "--weights"]
    assert parse_keypoint_args("", [*words, str(tmp_path / "encoder.pt")]).arch == "resnet18"
    assert parse_keypoint_args("", [*words, str(tmp_path / "gone.pt")]).arch == "quarter_resnet18"
    assert parse_keypoint_args("", [*words, "hands-r18-quarter-exact"]).arch == "quarter_resnet18"
    given = parse_keypoint_args("", [*words, str(tmp_path / "encoder.pt"), "--arch", "resnet34"])
    assert given.arch == "resnet34"


@pytest.mark.slow
def test_pictures_without_labels_teach_too_and_the_run_can_be_stopped(coco, mouse, tmp_path, monkeypatch, capsys):
    words = ["--unlabelled", mouse, "--unlabelled", coco, "--ramp", 0, "--agree", 5, "--keep", 99]
    finetune(*short(coco, *words), "--out", tmp_path / "whole")
    assert "Beside them, 42 images, which are 24" in (said := capsys.readouterr().out)
    assert "without labels" in said
    found = curves(tmp_path / "whole")
    assert all(loss > 0 for _, loss in found["training/loss, consistency"])
    best = torch.load(tmp_path / "whole" / "best.pt", weights_only=True)["state_dict"]
    step = result(tmp_path / "whole")["best"]
    saved = torch.load(tmp_path / "whole" / "checkpoints" / f"step_{step:08d}.pt", weights_only=True)
    assert all(torch.equal(value, saved["teacher"][name]) for name, value in best.items())  # the average is kept
    assert any(not torch.equal(value, saved["teacher"][name]) for name, value in saved["model"].items())

    stop_after(8, monkeypatch, *short(coco, *words), "--out", tmp_path / "stopped")
    finetune("--resume", "--out", tmp_path / "stopped")
    same_run(tmp_path / "stopped", tmp_path / "whole")


def test_a_run_is_not_resumed_on_other_keypoints(whole, hands, tmp_path):
    write_deeplabcut(tmp_path, hands[0], hands[1][:, :2], hands[2][:, :2], names=["nose", "tail"])
    with pytest.raises(
        SystemExit, match=r"--data: the run was begun on the keypoints \['wrist', .*got \['nose', 'tail'\]"
    ):
        finetune("--data", tmp_path, "--resume", "--out", whole)


def test_a_run_is_not_resumed_on_other_labels_of_the_same_keypoints(whole, coco, hands, tmp_path):
    shutil.copytree(coco, tmp_path / "coco")
    path = tmp_path / "coco" / "annotations.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["keypoints"][0] += 1
    path.write_text(json.dumps(content))
    with pytest.raises(SystemExit, match=r"--data: the run was begun on other labels, or on another split"):
        finetune("--data", tmp_path / "coco", "--resume", "--out", whole)


def test_a_resumed_run_knows_its_data_and_a_new_one_must_be_told(whole, tmp_path, capsys):
    finetune("--resume", "--out", whole)
    assert "The best model is from epoch" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        finetune("--out", tmp_path)
    assert "--data: expected a folder or a file of labels, got none." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fraction", 2], r"--fraction: expected a share in \(0, 1\], got 2"),
        (["--holdout", 1], r"--holdout: expected a share in \(0, 1\), got 1"),
        (["--flip", 2], r"--flip: expected a probability in \[0, 1\], got 2"),
        (["--scale", 1.2, 0.8], r"--scale: expected LOW <= HIGH"),
    ],
)
def test_options_out_of_range_are_named(coco, tmp_path, capsys, words, message):
    with pytest.raises(SystemExit):
        finetune(*short(coco, *words), "--out", tmp_path)
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch-size", 1], "expected"),
        (["--size", 40], r"--size: expected a multiple of 32, the stride of the map, got 40"),
        (["--weights", "gone.pt"], r"--weights: expected .* got gone.pt, which is no file"),
        (["--data", "nowhere"], r"--data: path: expected a folder or a file, got nowhere"),
    ],
)
def test_what_cannot_work_is_said_before_time_is_spent(coco, tmp_path, words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        finetune(
            *[word for word in short(coco) if words[0] != "--data" or word not in ("--data", coco)],
            *words,
            "--out",
            tmp_path,
        )
    said = str(ended.value.code) + capsys.readouterr().err
    assert re.search(message, said), said
