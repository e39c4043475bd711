import math
import re

import pytest
import torch

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.finetuning.running import curves, finetune_freihand, result, run, short

from equicon.hands import FreiHAND, write_freihand
from equicon.recipes import _networks
from equicon.training import Checkpoints


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--data", "nowhere"],
            "--data: expected 'synthetic' or the folder of FreiHAND, got nowhere, which is no",
        ),
        (["--hands", 4], "--batch-size: expected at most 4, the number of images to train on, got 64"),
        (
            ["--hands", 80, "--weights", "nowhere.pt"],
            "--weights: expected 'imagenet', 'hub', 'none', 'hands-r18-quarter-simclr', 'hands-r18-quarter-peclr', ",
        ),
        (["--jitter", 0, 0, 0, 0.7], "views: hue: expected"),
        (["--out", "/proc/nowhere"], "/proc/nowhere/checkpoints cannot be written to"),
    ],
)
def test_says_what_is_wrong(tmp_path, words, message):
    with pytest.raises(SystemExit) as stopped:
        run("--out", tmp_path / "new" / "out", *words)
    assert message in str(stopped.value)
    assert not (tmp_path / "new").exists()  # a run that was refused leaves no folder


def test_data_are_looked_for_before_weights_are_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr(_networks, "fetch_published", lambda *_: pytest.fail("downloads"))
    with pytest.raises(SystemExit, match=r"^--data: expected .*, got nowhere, which is no folder"):
        run("--data", "nowhere", "--weights", "imagenet", "--out", tmp_path)


@pytest.mark.slow
def test_a_file_that_is_no_encoder_is_named(root, tmp_path):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pt")
    (tmp_path / "broken.pt").write_bytes(b"no weights")
    for name, message in (("other", "holds another network: .*Give its --arch"), ("broken", "is no state dict")):
        with pytest.raises(SystemExit, match=rf"^--weights: \S*{name}\.pt {message}"):
            run(*short(root), "--weights", tmp_path / f"{name}.pt", "--out", tmp_path / "out")


def test_fewer_images_than_a_batch_are_said(root, tmp_path):
    with pytest.raises(SystemExit, match="--batch-size: expected at most 72, the number of images to train on, got 80"):
        run(*short(root, "--batch-size", 80), "--out", tmp_path)


def test_a_run_of_another_kind_is_told_apart(root, tmp_path):
    Checkpoints(tmp_path / "checkpoints").save(3, {"kind": "pre-training", "step": 3})
    with pytest.raises(SystemExit, match=r"--out: .* holds a run of another kind, not of fine-tuning\."):
        run(*short(root), "--resume", "--out", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("step", [4, 5], ids=["between", "before a validation"])
def test_a_loss_that_is_not_finite_stops_the_run_and_it_can_go_on(tiny, root, tmp_path, monkeypatch, step):
    make_view = finetune_freihand.make_view

    def spoil(hand, augment, run):
        view = make_view(hand, augment, run)
        return view._replace(images=view.images * (math.nan if run.step == step and run.model.training else 1))

    monkeypatch.setattr(finetune_freihand, "make_view", spoil)
    with pytest.raises(SystemExit) as stopped:
        run(*short(root), "--out", tmp_path)
    monkeypatch.setattr(finetune_freihand, "make_view", make_view)
    last = tmp_path / "checkpoints" / "step_00000004.pt"
    assert f"The loss is nan at step {step}, where the learning rate is 0.00" in str(stopped.value)
    assert f"The last good checkpoint is {last}. Add --resume and a lower --lr" in str(stopped.value)
    run("--resume", "--lr", 1e-4, "--out", tmp_path)
    assert len(curves(tmp_path)["training/loss"]) == 12


def test_weights_that_are_not_finite_are_not_validated(tiny, root, tmp_path, monkeypatch):
    check = finetune_freihand.Run.check_finite

    def spoil(run):
        if run.step == 6:
            with torch.no_grad():
                run.models.kept.head.weight[0] = math.inf
        check(run)

    monkeypatch.setattr(finetune_freihand.Run, "check_finite", spoil)
    predict, predicted = finetune_freihand.predict, []

    def note(run):
        predicted.append(run.step)
        return predict(run)

    monkeypatch.setattr(finetune_freihand, "predict", note)
    with pytest.raises(SystemExit, match=r"not finite after step 5, at learning rate 0\.00.*step_00000004\.pt"):
        run(*short(root), "--out", tmp_path)
    assert predicted == [3]


@pytest.mark.slow
def test_corrupt_images_stop_the_run_or_are_passed_over_and_named(tiny, tmp_path, capsys):
    write_freihand(tmp_path / "data", 24, size=40)
    training, validation = FreiHAND(tmp_path / "data").holdout(0.25)
    broken = sorted([training.path(30), validation.path(2)])
    for path in broken:
        path.write_bytes(b"")
    words = short(tmp_path / "data")
    with pytest.raises(SystemExit, match=r"\.jpg \(index \d+\): expected a JPEG image.*Here, --skip-corrupt does that"):
        run(*words, "--out", tmp_path / "out")
    run(*words, "--skip-corrupt", "--out", tmp_path / "other")
    printed = capsys.readouterr().out
    for path in broken:
        assert printed.count(f"went on without {path}, which is corrupt") == 1
    named = re.search(r"Went on without 2 corrupt images: (\S+), (\S+)\.\n", printed)
    assert sorted(named.groups()) == [str(path) for path in broken]
    assert sorted(result(tmp_path / "other")["skipped"]) == [str(path) for path in broken]
