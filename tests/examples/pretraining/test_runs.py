import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

torchvision = pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.pretraining.running import TOY, curve, encoder, pretrain_freihand, run, same, short, tags

import equicon as eq
from equicon.hands import write_freihand
from equicon.recipes import build_encoder
from equicon.training import Checkpoints


@pytest.mark.slow
@pytest.mark.parametrize("method", ["peclr", "exact", "simclr"])
def test_learns_from_synthetic_hands(tmp_path, method, capsys):
    run("--hands", 24, "--batch-size", 8, "--epochs", 2, "--probe-every", 1, "--method", method, "--out", tmp_path)
    printed = capsys.readouterr()
    assert f"After: {method} pre-training" in printed.out
    assert printed.out.count("epoch 1\n") == 1  # the table of --probe-every
    assert f"pre-train ({method})" in printed.err
    assert "loss=" in printed.err
    assert "img/s" in printed.err

    read, _ = build_encoder("quarter_resnet18", str(tmp_path / "encoder.pt"))
    assert all(torch.equal(value, read.state_dict()[name]) for name, value in encoder(tmp_path).items())
    for name in ("views.png", "probe.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert re.search(r"probe was fitted to the features of 24 labelled images. It misses the keypoints", printed.out)
    command = printed.out.splitlines()[-1]
    assert command.endswith(f"finetune_freihand.py --weights {tmp_path}/encoder.pt --size 32")
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["arguments"]["method"] == method
    assert list(result["probes"]) == ["0", "3", "6"]
    for rows in result["probes"].values():
        assert {row["kind"] for row in rows} == {"mean", "linear"}
        assert all(0 < row["px"] < 32 and 0 < row["pa_mm"] < row["mm"] < 300 for row in rows)
    name = next(tag for tag in tags(tmp_path)["scalars"] if tag.startswith("probe, 2D [px]/linear"))
    assert [step for step, _ in curve(tmp_path, name)] == [0, 3, 6]
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.slow
def test_learns_from_a_freihand_root_with_another_resnet_and_from_weights(tmp_path):
    write_freihand(tmp_path / "freihand", 50, size=48)
    torch.save(torchvision.models.resnet34().state_dict(), tmp_path / "weights.pt")
    words = ["--data", tmp_path / "freihand", "--arch", "resnet34", "--epochs", 0.1, "--batch-size", 8, "--workers", 1]
    run(*words, "--weights", tmp_path / "weights.pt", "--out", tmp_path / "out")
    assert torchvision.models.resnet34().load_state_dict(encoder(tmp_path / "out"), strict=False).unexpected_keys == []


@pytest.mark.slow
def test_learns_from_an_endless_stream(tmp_path):
    run("--data", "stream", "--hands", 16, "--batch-size", 8, "--epochs", 1, "--out", tmp_path)
    assert len(curve(tmp_path)) == 2


def test_writes_down_what_one_wants_to_see(whole):
    assert [step for step, _ in curve(whole)] == list(range(12))
    assert all(abs(loss - math.log(5)) < 0.8 for _, loss in curve(whole))  # the mean of its batches, near chance
    rates = [rate for _, rate in curve(whole, "training/learning rate")]
    assert rates[:4] == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3])
    assert rates[4] == pytest.approx(1e-3)
    assert sorted(rates[4:], reverse=True) == rates[4:]
    assert 0 < rates[-1] < 1e-4
    found = tags(whole)
    assert found["images"] == ["views"]
    parts = {"views", "encoder", "loss", "data", "optimizer"}
    assert {tag.split("/")[1] for tag in found["scalars"] if tag.startswith("share of the step/")} == parts
    assert "training/images per second" in found["scalars"]
    assert [path.name for path in Checkpoints(whole / "checkpoints").paths()] == [
        f"step_{step:08d}.pt" for step in (8, 10, 12)
    ]


def begin(folder: Path, *words: object):
    args = pretrain_freihand.parse_args([str(word) for word in words])
    return pretrain_freihand.Run(args, Checkpoints(folder))


def test_the_views_are_those_of_the_preset(tmp_path):
    assert begin(tmp_path).make_views() == eq.presets.peclr()
    blurred = eq.Compose([eq.presets.peclr(), eq.RandomGaussianBlur(7, (0.5, 1.0), 1.0)])
    assert begin(tmp_path, "--blur", 1).make_views() == blurred
    other = begin(tmp_path, "--margin", 1, 2, "--degrees", 30, "--translate", 0, "--jitter", 0, 0, 0, 0.1)
    wanted = eq.presets.peclr(margin=(1, 2), degrees=30, translate=0, jitter=(0, 0, 0, 0.1))
    assert other.make_views() == wanted


def test_biases_and_norms_are_not_decayed(tmp_path):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2, bias=False))
    model = torch.nn.ModuleDict({"encoder": model})
    decayed, others = begin(tmp_path, "--weight-decay", 0.5).make_optimizer(model).param_groups
    assert (decayed["weight_decay"], [p.ndim for p in decayed["params"]]) == (0.5, [4, 2])
    assert (others["weight_decay"], [p.ndim for p in others["params"]]) == (0, [1, 1, 1])


@pytest.mark.slow
def test_micro_batches_make_the_same_steps(tiny, photos, whole, tmp_path):
    run(*short(photos, "--micro-batch", 3), "--out", tmp_path / "all")
    assert same(tmp_path / "all", whole)
    run(*short(photos, "--micro-batch", 2), "--out", tmp_path / "two")
    assert curve(tmp_path / "two") != curve(whole)  # batch norm sees two images, and one
    assert all(abs(loss - math.log(5)) < 0.8 for _, loss in curve(tmp_path / "two"))


@pytest.mark.slow
def test_the_script_runs_as_a_command(photos, tmp_path):
    words = [*TOY, *short(photos), "--epochs", 0.5, "--out", tmp_path]
    done = subprocess.run(
        [sys.executable, pretrain_freihand.__file__, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "The encoder is" in done.stdout
