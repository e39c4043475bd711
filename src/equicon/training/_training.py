"""A training run in progress: its parts, its progress, and the hooks that a program fills in."""

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
    """The weights to start from cannot be read or do not fit. The message names the option.

    Examples:
        >>> try: raise WeightsError("--weights: nowhere.pt is no file.")
        ... except WeightsError as error: print(error)
        --weights: nowhere.pt is no file.
    """


class RunData(Protocol):
    """The data that a run learns from and is measured on. ``str(data)`` describes it to the user.

    Examples:
        >>> class Squares:
        ...     count, counts = 20, (20,)
        ...     def skipped(self): return []
        >>> data: RunData = Squares()
    """

    @property
    def count(self) -> int:
        """The number of images in an epoch."""

    @property
    def counts(self) -> tuple[int, ...]:
        """The number of images in each data set of the mixture. Resuming a run compares it."""

    def skipped(self) -> list[Path]:
        """List the corrupt images that were replaced by other images."""


D = TypeVar("D", bound=RunData)


class Training(ABC, Generic[D]):
    """A training run: its model, data and progress. A program derives a class from it, and passes that to ``launch``.

    The hooks are called in this order: ``check_arguments``, ``make_views`` and ``build`` (to see whether they work),
    ``load_data``, ``build`` and ``make_optimizer``, ``preview``, ``measure``, ``loop``, ``measure``, ``results``,
    ``say``. The program writes the loop: it increases ``step``, and it saves at the end and whenever saving is ``due``.

    Args:
        args: The options, of which ``device``, ``precision``, ``epochs``, ``batch_size``, ``lr``, ``warmup``, ``seed``,
            ``weights``, ``out`` and ``resume`` are read.
        checkpoints: The checkpoints of the run.
        ranks: The processes of the run.

    Attributes:
        kind: The kind of the run. A run cannot be resumed from a checkpoint of another kind.
        data: The data that it learns from.
        model: The model, on the device.
        optimizer: The optimizer of the model.
        scaler: The gradient scaler, which is active in float16 only.
        step: The number of steps that are done.
        steps: The number of steps in all.
        per_epoch: The number of steps in an epoch, not always a whole number.
        skipped: The corrupt images that were replaced by other images.

    Examples:
        >>> class Regress(Training):
        ...     kind = "regression"
        ...     def load_data(self): return Squares(self.args)
        ...     def build(self, weights): return torch.nn.Linear(2, 1)
        ...     def make_views(self): return presets.peclr()
        ...     def make_optimizer(self, model): return torch.optim.Adam(model.parameters(), self.args.lr)
        ...     def loop(self, journal, stop): ...  # give true if a signal came
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
        """Open the data that the run learns from.

        Raises:
            ValueError: If that fails. If the text begins with the name of an option, the error is about that option,
                else about ``--data``.
        """

    @abstractmethod
    def build(self, weights: str) -> nn.Module:
        """Build the model from the given weights: ``args.weights``, or ``"none"`` if a checkpoint is loaded afterwards.

        Raises:
            WeightsError: If the weights cannot be read.
        """

    @abstractmethod
    def make_views(self) -> EquivariantTransform:
        """Make the transform that draws the views.

        Raises:
            ValueError: If an option of the views is out of range.
        """

    @abstractmethod
    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Make the optimizer of the model. The model is already on the device."""

    @abstractmethod
    def loop(self, journal: Journal, stop: Stop) -> bool:
        """Train to the end, or until a signal comes to any rank; then save. Say whether a signal came."""

    def check_arguments(self) -> None:
        """End the program if options contradict each other. This runs before anything is read or written.

        Raises:
            ValueError: If there is nothing to learn from. ``load_data`` says what the text is.
        """

    def preview(self) -> None:
        """Show something before the first step, on the first rank."""

    @property
    def unmeasured(self) -> bool:
        """Whether to measure before the first step of this launch. By default, only a new run does."""
        return self.step == 0

    def measure(self, journal: Journal) -> None:
        """Measure what the model has learned so far, unless this was done before the run was stopped."""

    def results(self) -> dict[str, Any]:
        """Write what the model has learned, and give the entries for ``result.json``."""
        return {}

    def describe(self) -> str:
        """Describe what is about to be trained."""
        return f"{self.kind} on {self.place}; {self.steps:,} steps of {self.images:,} images"

    def say(self) -> None:
        """Print the results for the user at the end."""

    @property
    def title(self) -> str:
        """The name that the progress bar shows."""
        return self.kind

    @property
    def accumulate(self) -> int:
        """The number of batches in a step."""
        return 1

    @property
    def few(self) -> str:
        """A hint for the error that there are fewer images than a batch has."""
        return ""

    # --- what every run does

    def start(self, data: D, saved: Mapping[str, Any] | None) -> None:
        """Build the model and the optimizer on the device, and restore them if the run is resumed.

        Args:
            data: The data that it learns from, with as many images as when the run was begun.
            saved: The state of a checkpoint; None for a new run.
        """
        args = self.args
        self.data = data
        self.steps = max(1, round(args.epochs * (data.count // args.batch_size / self.accumulate)))
        self.per_epoch = self.steps / args.epochs
        self._start = time.monotonic()
        if self.device.type == "cuda" and self.device.index is not None:
            torch.cuda.set_device(self.device)  # for code that names no device, such as the thread that pins memory
        torch.manual_seed(args.seed)
        model = self.build("none" if saved else args.weights)
        if self.ranks.world > 1 and self.device.type == "cuda":
            # torch has no such thing on a CPU, where each rank normalises its own images.
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.optimizer = self.make_optimizer(self.model)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        if saved:
            self.restore(saved)

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over the state of a checkpoint. Override this together with ``state``."""
        self.step, self.skipped = saved["step"], saved["skipped"]
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scaler.load_state_dict(saved["scaler"])
        self._start -= 60 * saved["minutes"]

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint holds.

        Random generators, schedule and sampler need no state: they are functions of the seed and the step.
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
        """The number of images in a step."""
        return int(self.args.batch_size) * self.accumulate

    @property
    def place(self) -> str:
        """The device and, if there are several, the number of ranks."""
        several = f" on each of {self.ranks.world} ranks" if self.ranks.world > 1 else ""
        return f"{self.args.device}{several}"

    @property
    def minutes(self) -> float:
        """The time spent so far, including the time before the run was resumed."""
        return (time.monotonic() - self._start) / 60

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self._rate(self.step)

    def _rate(self, step: int) -> float:
        return learning_rate(step, self.steps, peak=self.args.lr, warmup=self.args.warmup)

    def due(self, epochs: float) -> bool:
        """Say whether something that happens every so many epochs is to happen after this step."""
        return epochs > 0 and self.step % max(1, round(epochs * self.per_epoch)) == 0

    def check_count(self, count: int) -> None:
        """End the program if an epoch of ``count`` images is smaller than a batch."""
        if count < self.args.batch_size:
            wrong = f"expected at most {count}, the number of images to train on, got {self.args.batch_size}.{self.few}"
            sys.exit(f"--batch-size: {wrong}")

    def save(self, journal: Journal) -> None:
        """Save a run whose losses are finite so far, and name the corrupt images that it has met.

        Raises:
            NotFiniteError: If a loss, a weight or a moment of the optimizer is not finite.
            OSError: If the checkpoint cannot be written.
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
        """Check the weights and the moments of the optimizer.

        Raises:
            NotFiniteError: If one of them is infinite or not a number.
        """
        if not (is_finite(self.model.state_dict()) and is_finite(self.optimizer.state_dict())):
            last = self.step - 1
            raise NotFiniteError(
                f"Weights or moments are not finite after step {last}, at learning rate {self._rate(last):.3g}."
            )
