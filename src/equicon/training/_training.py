"""A training run in progress: what it is made of, how far it is, and the hooks that make it one's own."""

import argparse
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import nn

from equicon._transforms.base import EquivariantTransform
from equicon.training._checkpoints import Checkpoints, Stop
from equicon.training._journal import Journal, NotFiniteError
from equicon.training._model import is_finite
from equicon.training._options import PRECISIONS
from equicon.training._ranks import ALONE, Ranks
from equicon.training._schedule import learning_rate


class WeightsError(Exception):
    """Weights to begin with that cannot be had or do not fit; the text names the option.

    Examples:
        >>> try: raise WeightsError("--weights: nowhere.pt is no file.")
        ... except WeightsError as error: print(error)
        --weights: nowhere.pt is no file.
    """


class RunData(Protocol):
    """What a run learns from and is measured on; as text, what people are told of it.

    Examples:
        >>> class Squares:
        ...     count, counts = 20, (20,)
        ...     def skipped(self): return []
        >>> data: RunData = Squares()
    """

    @property
    def count(self) -> int:
        """How many images make an epoch."""

    @property
    def counts(self) -> tuple[int, ...]:
        """How many each data set has, of those that are mixed; a run that is resumed is checked by them."""

    def skipped(self) -> list[Path]:
        """List the corrupt images that others stood in for."""


D = TypeVar("D", bound=RunData)


class Training(ABC, Generic[D]):
    """A run: what is trained, on what, and how far it is. A programme derives from it and hands that to ``launch``.

    The hooks are called in this order: ``check_arguments``, ``make_views`` and ``build`` (to see that it can be done),
    ``load_data``, ``build`` and ``make_optimizer``, ``preview``, ``measure``, ``loop``, ``measure``, ``results``,
    ``say``. The loop is the programme's own: it counts ``step`` up, and saves where it is ``due`` and at the end.

    Args:
        args: The options, of which ``device``, ``precision``, ``epochs``, ``batch_size``, ``lr``, ``warmup``, ``seed``,
            ``weights``, ``out`` and ``resume`` are read.
        checkpoints: Where its states are kept.
        ranks: The processes of the run.

    Attributes:
        kind: What a checkpoint is of; a run of another kind is not resumed.
        data: What it learns from.
        model: What is trained, on the device.
        optimizer: Its optimizer.
        scaler: The gradient scaler, which does nothing but in float16.
        step: Steps done.
        steps: Steps in all.
        per_epoch: Steps to an epoch, not always a whole number.
        skipped: Corrupt images that others stood in for.

    Examples:
        >>> class Regress(Training):
        ...     kind = "regression"
        ...     def load_data(self): return Squares(self.args)
        ...     def build(self, weights): return torch.nn.Linear(2, 1)
        ...     def make_views(self): return presets.peclr()
        ...     def make_optimizer(self, model): return torch.optim.Adam(model.parameters(), self.args.lr)
        ...     def loop(self, journal, stop): ...  # true if a signal came
    """

    kind: ClassVar[str]
    data: D
    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler

    def __init__(self, args: argparse.Namespace, checkpoints: Checkpoints, ranks: Ranks = ALONE) -> None:
        self.args, self.checkpoints, self.ranks = args, checkpoints, ranks
        self.device, self.dtype = torch.device(args.device), PRECISIONS[args.precision]
        self.step = self.steps = 0
        self.per_epoch = 0.0
        self.skipped: list[str] = []
        self._start = time.monotonic()

    # --- hooks

    @abstractmethod
    def load_data(self) -> D:
        """Open what it learns from.

        Raises:
            ValueError: If that cannot be done. A text that begins with the name of an option is about it, and any
                other about ``--data``.
        """

    @abstractmethod
    def build(self, weights: str) -> nn.Module:
        """Build the model from ``args.weights``, or, where its state is restored anyway, from ``"none"``.

        Raises:
            WeightsError: If the weights cannot be had.
        """

    @abstractmethod
    def make_views(self) -> EquivariantTransform:
        """Make the views that it learns from.

        Raises:
            ValueError: If an option of them is out of range.
        """

    @abstractmethod
    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Make the optimizer of the model, which is on the device by now."""

    @abstractmethod
    def loop(self, journal: Journal, stop: Stop) -> bool:
        """Train to the end, or until a signal comes to any rank: then save what is whole. Say whether one came."""

    def check_arguments(self) -> None:
        """End the programme where options do not go together, before anything is read or written.

        Raises:
            ValueError: If there is nothing to learn from; the text as in ``load_data``.
        """

    def preview(self) -> None:
        """Show something before the first step, on the first rank."""

    @property
    def unmeasured(self) -> bool:
        """Whether it is to be measured before it goes on: by default where it begins."""
        return self.step == 0

    def measure(self, journal: Journal) -> None:
        """Measure what it has learned so far, unless that was done before it was stopped."""

    def results(self) -> dict[str, Any]:
        """Write what it has learned, and give what ``result.json`` says of it."""
        return {}

    def describe(self) -> str:
        """Say what is about to be trained."""
        return f"{self.kind} on {self.place}; {self.steps:,} steps of {self.images:,} images"

    def say(self) -> None:
        """Print what a person wants to know at the end."""

    @property
    def title(self) -> str:
        """What the progress bar says."""
        return self.kind

    @property
    def accumulate(self) -> int:
        """How many batches make a step."""
        return 1

    @property
    def few(self) -> str:
        """What to do about fewer images than a batch."""
        return ""

    # --- what a run does

    def start(self, data: D, saved: Mapping[str, Any] | None) -> None:
        """Build the model and its optimizer on the device, both as they were saved where they were.

        Args:
            data: What it learns from, with as many images as the run was begun on.
            saved: The state of a checkpoint; None at the beginning.
        """
        args = self.args
        self.data = data
        self.steps = max(1, round(args.epochs * (data.count // args.batch_size / self.accumulate)))
        self.per_epoch = self.steps / args.epochs
        self._start = time.monotonic()
        if self.device.type == "cuda" and self.device.index is not None:
            torch.cuda.set_device(self.device)  # for what asks for no device, such as the thread that pins memory
        torch.manual_seed(args.seed)
        model = self.build("none" if saved else args.weights)
        if self.ranks.world > 1 and self.device.type == "cuda":
            # On a CPU, torch cannot, and each rank normalises alone.
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.optimizer = self.make_optimizer(self.model)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        if saved:
            self.restore(saved)

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over the state of a checkpoint; derive from it what ``state`` adds."""
        self.step, self.skipped = saved["step"], saved["skipped"]
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scaler.load_state_dict(saved["scaler"])
        self._start -= 60 * saved["minutes"]

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint holds.

        Random generators, schedule and sampler have no state: they are functions of the seed and the step.
        """
        return {
            "kind": self.kind,
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "skipped": self.skipped,
            "counts": list(self.data.counts),
            "minutes": self.minutes,
        }

    @property
    def images(self) -> int:
        """How many images make a step."""
        return int(self.args.batch_size) * self.accumulate

    @property
    def place(self) -> str:
        """The device, and on how many ranks each."""
        several = f" on each of {self.ranks.world} ranks" if self.ranks.world > 1 else ""
        return f"{self.args.device}{several}"

    @property
    def minutes(self) -> float:
        """Time spent, before the run was resumed too."""
        return (time.monotonic() - self._start) / 60

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self._rate(self.step)

    def _rate(self, step: int) -> float:
        return learning_rate(step, self.steps, peak=self.args.lr, warmup=self.args.warmup)

    def due(self, epochs: float) -> bool:
        """Say whether something that is done every so many epochs is to be done after this step."""
        return epochs > 0 and self.step % max(1, round(epochs * self.per_epoch)) == 0

    def check_count(self, count: int) -> None:
        """End the programme where so many images to an epoch are fewer than a batch has."""
        if count < self.args.batch_size:
            wrong = f"expected at most {count}, the images to train on, got {self.args.batch_size}.{self.few}"
            sys.exit(f"--batch-size: {wrong}")

    def save(self, journal: Journal) -> None:
        """Save a run whose losses so far are finite, and name the corrupt images that it met.

        Raises:
            NotFiniteError: If a loss, a weight or a moment is not finite.
            OSError: If it cannot be written.
        """
        journal.flush()
        known = {str(path) for paths in self.ranks.gather(self.data.skipped()) for path in paths}
        new = sorted(known - set(self.skipped))
        if new:
            more = [f"... and without {len(new) - 5} more"] if len(new) > 5 else []
            journal.say("\n".join([f"went on without {path}, which is corrupt" for path in new[:5]] + more))
            self.skipped += new
        if not self.ranks.first:
            return
        self.check_finite()
        self.checkpoints.save(self.step, self.state() | {"journal": journal.state()})

    def check_finite(self) -> None:
        """Check weights and moments.

        Raises:
            NotFiniteError: If one of them is infinite or not a number.
        """
        if not (is_finite(self.model.state_dict()) and is_finite(self.optimizer.state_dict())):
            last = self.step - 1
            raise NotFiniteError(
                f"Weights or moments are not finite after step {last}, at learning rate {self._rate(last):.3g}."
            )
