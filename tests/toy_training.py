"""A run so small that only its life is left of it: a line is fitted to points that a seed and a step give."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

import equicon as eq
from equicon.training import ALONE, Checkpoints, Training, WeightsError, seed_of


def options(**changed) -> argparse.Namespace:
    plain = {"device": "cpu", "precision": "float32", "epochs": 2.0, "lr": 0.1, "warmup": 0.25, "seed": 0}
    files = {"batch_size": 4, "weights": "none", "resume": False, "keep": 3, "out": Path("out"), "data": "points"}
    return argparse.Namespace(**plain | files | changed)


@dataclass
class Points:
    counts: tuple[int, ...] = (40,)
    corrupt: tuple[Path, ...] = ()

    @property
    def count(self) -> int:
        return sum(self.counts)

    def skipped(self) -> list[Path]:
        return list(self.corrupt)

    def __str__(self) -> str:
        return f"{self.count} points"


class Toy(Training[Points]):
    """Notes what is asked of it in ``calls``."""

    kind = "toy"

    def __init__(self, args: argparse.Namespace, checkpoints: Checkpoints, ranks=ALONE) -> None:
        super().__init__(args, checkpoints, ranks)
        self.calls: list[str] = []

    def check_arguments(self):
        self.calls.append("check_arguments")

    def make_views(self):
        self.calls.append("make_views")
        return eq.RandomRotation(getattr(self.args, "degrees", 45.0))

    def load_data(self):
        self.calls.append("load_data")
        return Points()

    def build(self, weights):
        self.calls.append(f"build from {weights}")
        if weights not in ("none", "imagenet"):
            raise WeightsError(f"--weights: {weights} is no file.")
        return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))

    def make_optimizer(self, model):
        self.calls.append("make_optimizer")
        return torch.optim.Adam(model.parameters(), 0.1)

    def preview(self):
        self.calls.append("preview")

    def measure(self, journal):
        self.calls.append(f"measure at {self.step}")

    def loop(self, journal, stop):
        self.calls.append(f"loop from {self.step}")
        while self.step < self.steps and not stop.signal:
            self.advance()
            journal.step(self.step - 1, self.rate, torch.tensor(1.0), "")
        self.save(journal)
        return bool(stop.signal)

    def advance(self) -> None:
        generator = torch.Generator().manual_seed(seed_of(self.args.seed, 1, self.step))
        self.model(torch.rand(4, 2, generator=generator)).square().sum().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1

    def results(self):
        return {"end": self.step}

    def say(self):
        print("The end.")  # noqa: T201


def start(folder: Path, saved=None, *, data: Points | None = None, **changed) -> Toy:
    """Begin or go on with a run of 20 steps."""
    run = Toy(options(**changed), Checkpoints(folder))
    run.start(data or Points(), saved)
    return run
