"""Short runs of ``finetune_freihand.py``, and how tests look at what they leave behind."""

import json
from pathlib import Path

import torch
from examples.loading import load
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from equicon.recipes import TUNED
from equicon.training import Checkpoints

finetune_freihand = load("finetune_freihand.py")
TOY = ["--recipe", "quick", "--size", 32, "--fraction", 1]


def run(*words: object) -> None:
    finetune_freihand.main([str(word) for word in (*TOY, *words)])


def short(root: Path, *words: object) -> list[object]:
    """12 steps, 6 to an epoch; validations after 3, 6, 9 and 12, and checkpoints after every second step too."""
    fixed = ["--data", root, "--holdout", 0.25, "--batch-size", 12, "--epochs", 2, "--lr", 0.003]
    return [*fixed, "--validate-every", 0.5, "--save-every", 0.34, *words]


def reading(out: Path) -> EventAccumulator:
    return EventAccumulator(str(out / "tensorboard"), size_guidance={"scalars": 0, "images": 0}).Reload()


def curves(out: Path) -> dict[str, list[tuple[int, float]]]:
    """Read all curves but those of time."""
    found = reading(out)
    names = [name for name in found.Tags()["scalars"] if "share" not in name and "per second" not in name]
    return {name: [(event.step, event.value) for event in found.Scalars(name)] for name in names}


def result(out: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((out / "result.json").read_text())
    return found


def kept(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Take the model that is kept from a checkpoint's."""
    return {name.split(".", 2)[2]: value for name, value in state.items() if name.split(".")[1] == TUNED}


def same_run(out: Path, other: Path) -> None:
    """Check that two runs gave the same in every bit that they leave behind."""
    ends = [Checkpoints(path / "checkpoints").load() for path in (out, other)]
    for name, value in ends[0]["model"].items():
        assert torch.equal(value, ends[1]["model"][name]), name
    best = [torch.load(path / "best.pt", weights_only=True) for path in (out, other)]
    assert all(torch.equal(value, best[1][name]) for name, value in best[0].items())
    assert curves(out) == curves(other)
    pictures = [[(event.step, event.width) for event in reading(path).Images("skeletons")] for path in (out, other)]
    assert pictures[0] == pictures[1]
    for name in ("validation", "best", "skipped"):
        assert result(out)[name] == result(other)[name]
    assert not list(out.rglob("*.part"))
