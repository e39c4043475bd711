import json
import os

import pytest
import torch

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.pretraining.running import curve, pretrain_freihand, run, short

from equicon.recipes import _networks


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--data", "nowhere"],
            "--data: expected 'synthetic', 'stream', a folder, a file of labels or a video, got nowhere, which is no",
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
def test_a_loss_that_is_not_finite_stops_the_run_and_it_can_go_on(tiny, photos, tmp_path, monkeypatch):
    views, made = pretrain_freihand.two_views, []

    def spoil(*given):
        x1, *others = views(*given)
        made.append(x1)
        return (x1 * float("nan") if len(made) == 15 else x1, *others)  # two batches make a step

    monkeypatch.setattr(pretrain_freihand, "two_views", spoil)
    with pytest.raises(SystemExit) as stopped:
        run(*short(photos), "--out", tmp_path)
    monkeypatch.setattr(pretrain_freihand, "two_views", views)
    last = tmp_path / "checkpoints" / "step_00000006.pt"
    assert "The loss is nan at step 7, where the learning rate is 0.00" in str(stopped.value)
    assert f"The last good checkpoint is {last}. Add --resume and a lower --lr" in str(stopped.value)
    run("--resume", "--lr", 1e-4, "--out", tmp_path)
    assert len(curve(tmp_path)) == 12


def test_weights_that_are_not_finite_are_never_saved(tiny, photos, tmp_path, monkeypatch):
    def spoil(run, *others):
        if run.step == 6:
            with torch.no_grad():
                run.encoder[0].weight[0] = float("inf")
        return saving(run, *others)

    saving = pretrain_freihand.Run.save
    monkeypatch.setattr(pretrain_freihand.Run, "save", spoil)
    with pytest.raises(SystemExit, match=r"not finite after step 5, at learning rate 0\.000.*step_00000004.pt"):
        run(*short(photos), "--out", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_corrupt_image_stops_the_run_or_is_passed_over_and_named(tiny, photos, tmp_path, capsys, workers):
    (tmp_path / "photos").mkdir()
    odd = tmp_path / "photos" / os.fsdecode(b"07 caf\xe9.jpg")  # no UTF-8, which the captured output takes strictly
    for path in photos.iterdir():
        (tmp_path / "photos" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "photos" / "07.jpg").rename(odd)
    (tmp_path / "photos" / "08.jpg").rename(tmp_path / "photos" / os.fsdecode(b"08 \xff.jpg"))
    odd.write_bytes(b"")
    words = short(tmp_path / "photos", "--workers", workers)
    with pytest.raises(
        SystemExit, match=r"^\S*07 caf\\udce9\.jpg \(index 7\): expected a JPEG image.*Here, --skip-corrupt does that"
    ):
        run(*words, "--out", tmp_path / "out")
    run(*words, "--skip-corrupt", "--out", tmp_path / "other")
    said = str(odd).replace("\udce9", r"\udce9")
    assert f"Went on without 1 corrupt images: {said}." in capsys.readouterr().out
    assert json.loads((tmp_path / "other" / "result.json").read_text())["skipped"] == [str(odd)]
