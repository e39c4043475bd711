"""Short runs of ``pretrain_freihand.py``, and how tests look at what they leave behind."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import torch
from examples.loading import load
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

pretrain_freihand = load("pretrain_freihand.py")
TOY = ["--recipe", "quick", "--size", 32, "--labelled", 24, "--groups-per-batch", 0]


def run(*words: object) -> None:
    pretrain_freihand.main([str(word) for word in (*TOY, *words)])


def reading(out: Path) -> EventAccumulator:
    return EventAccumulator(str(out / "tensorboard"), size_guidance={"scalars": 0}).Reload()


def curve(out: Path, name: str = "training/loss") -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in reading(out).Scalars(name)]


def tags(out: Path) -> dict[str, list[str]]:
    return reading(out).Tags()


def encoder(out: Path) -> dict[str, torch.Tensor]:
    return torch.load(out / "encoder.pt", weights_only=True)


def same(out: Path, other: Path) -> bool:
    ours, theirs = encoder(out), encoder(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def short(photos, *words: object) -> list[object]:
    return [
        "--data",
        photos,
        "--batch-size",
        3,
        "--accumulate",
        2,
        "--epochs",
        3,
        "--warmup",
        0.3334,
        "--save-every",
        0.5,
        "--picture-every",
        1,
        "--lr",
        1e-3,
        "--temperature",
        0.5,
        "--method",
        "peclr",
        *words,
    ]


def driver(code: str, words: list[object]) -> subprocess.CompletedProcess[str]:
    """Run Python with the tiny encoder in a process group of its own."""
    start = (
        "import os, random, signal, subprocess, sys, time\n"
        "from pathlib import Path\n"
        "import tiny_encoder\n"
        "import torch.utils.tensorboard\n"
        "from examples.pretraining.running import pretrain_freihand\n"
        "from equicon.training import Checkpoints\n"
        "pretrain_freihand.build_encoder = tiny_encoder.build_tiny_encoder\n"
        "words = sys.argv[1:]\n"
    )
    paths = os.pathsep.join(sys.path)
    threads = str(torch.get_num_threads())
    return subprocess.run(
        [sys.executable, "-c", start + textwrap.dedent(code), *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": paths},
        check=False,
        start_new_session=True,
    )
