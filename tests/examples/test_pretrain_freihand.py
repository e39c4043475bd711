import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from equicon.hands import write_freihand

torchvision = pytest.importorskip("torchvision", reason="the examples need torchvision")
SCRIPT = Path(__file__).parents[2] / "examples" / "pretrain_freihand.py"
TOY = ["--epochs", "1", "--batch-size", "8", "--size", "32", "--labelled", "24"]


def run(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *TOY, *map(str, args)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error::UserWarning:equicon"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("method", ["peclr", "exact", "simclr"])
def test_learns_from_synthetic_hands(tmp_path, method):
    done = run("--hands", 24, "--method", method, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "before (random weights)" in done.stdout
    assert f"pre-train ({method})" in done.stderr
    assert "loss=" in done.stderr
    assert "img/s" in done.stderr

    encoder = torchvision.models.resnet18()
    state = torch.load(tmp_path / "encoder.pt", weights_only=True)
    missing = encoder.load_state_dict(state, strict=False)
    assert missing.missing_keys == ["fc.weight", "fc.bias"]
    assert missing.unexpected_keys == []
    errors = json.loads((tmp_path / "result.json").read_text())["probe_error_px"]
    assert all(0 < errors[name] < 32 for name in ("mean_hand", "before", "after"))
    assert (tmp_path / "views.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob("*.part"))


def test_learns_from_a_freihand_root_with_another_resnet(tmp_path):
    write_freihand(tmp_path / "freihand", 30, size=48)
    done = run("--data", tmp_path / "freihand", "--arch", "resnet34", "--workers", 1, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    state = torch.load(tmp_path / "out" / "encoder.pt", weights_only=True)
    assert torchvision.models.resnet34().load_state_dict(state, strict=False).unexpected_keys == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--data", "nowhere"], "nowhere"),
        (["--arch", "vgg11"], "argument --arch: invalid choice: 'vgg11'"),
        (["--epochs", "0"], "argument --epochs: expected a number above 0, got 0"),
        (["--batch-size", "1"], "argument --batch-size: expected at least 2, got 1"),
        (["--lr", "nan"], "argument --lr: expected a number above 0, got nan"),
        (["--hands", "4"], "--batch-size: expected at most 4, the hands to train on, got 8"),
        (["--hands", "24", "--lr", "1e30"], "The loss is nan"),
    ],
)
def test_says_what_is_wrong(tmp_path, args, message):
    done = run(*args, "--out", tmp_path)
    assert done.returncode != 0
    assert message in done.stderr
