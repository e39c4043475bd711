"""What pre-training and fine-tuning share: a run in progress, its schedule, and what is said when it ends early."""

import argparse
import math
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import equicon as eq
from equicon.data import CorruptImage
from equicon.training._checkpoints import Checkpoints
from equicon.training._journal import Journal, NotFiniteError
from equicon.training._options import PRECISIONS
from equicon.training._ranks import ALONE, Ranks

NORMALIZE = eq.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Training:
    """What is trained, and how far it is.

    Args:
        args: The options, of which ``device``, ``precision``, ``epochs``, ``lr``, ``warmup`` and ``seed`` are read.
        counts: Images of each data set.
        per_epoch: Steps to an epoch.
        checkpoints: Where its states are kept.
        ranks: The processes of the run.

    Attributes:
        step: Steps done.
        steps: Steps in all.
        skipped: Corrupt images that others stood in for.
        kind: What a checkpoint is of.
    """

    kind = "pre-training"

    def __init__(
        self,
        args: argparse.Namespace,
        counts: tuple[int, ...],
        per_epoch: float,
        checkpoints: Checkpoints,
        ranks: Ranks = ALONE,
    ) -> None:
        self.args, self.counts, self.checkpoints, self.ranks = args, counts, checkpoints, ranks
        self.device, self.dtype = torch.device(args.device), PRECISIONS[args.precision]
        self.steps = max(1, round(args.epochs * per_epoch))
        self.per_epoch = self.steps / args.epochs
        self.step = 0
        self.skipped: list[str] = []
        self._start = time.monotonic()
        if self.device.type == "cuda" and self.device.index is not None:
            torch.cuda.set_device(self.device)  # for what asks for no device, such as the thread that pins memory
        torch.manual_seed(args.seed)

    def prepare(
        self,
        model: nn.Module,
        make_optimizer: Callable[[nn.Module], torch.optim.Optimizer],
        saved: Mapping[str, Any] | None,
    ) -> None:
        """Put a model on the device and make its optimizer, both as they were saved where they were."""
        if (
            self.ranks.world > 1 and self.device.type == "cuda"
        ):  # on a CPU, torch cannot, and each rank normalises alone
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.optimizer = make_optimizer(self.model)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        if saved is None:
            return
        kind = saved.get("kind", "pre-training")  # there was no other kind before
        if kind != self.kind:
            sys.exit(f"--out: expected a run of {self.kind}, got one of {kind}. Give another folder.")
        # Before there were several data sets, there was one number.
        counts = tuple(saved["counts"] if "counts" in saved else [saved["count"]])
        if counts != self.counts:
            begun, got = (" + ".join(f"{count:,}" for count in each) for each in (counts, self.counts))
            sys.exit(f"--data: the run was begun on {begun} images, got {got}. Give it the same data.")
        self.step, self.skipped = saved["step"], saved["skipped"]
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scaler.load_state_dict(saved["scaler"])
        self._start -= 60 * saved["minutes"]

    @property
    def minutes(self) -> float:
        """Time spent, before the run was resumed too."""
        return (time.monotonic() - self._start) / 60

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return learning_rate(self.step, self.steps, self.args)

    def due(self, epochs: float) -> bool:
        """Say whether something that is done every so many epochs is to be done after this step."""
        return epochs > 0 and self.step % max(1, round(epochs * self.per_epoch)) == 0

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
            "counts": list(self.counts),
            "minutes": self.minutes,
        }

    def save(self, journal: Journal, skipped: list[Path]) -> None:
        """Save a run whose losses so far are finite, and name the corrupt images that it met."""
        journal.flush()
        known = {str(path) for paths in self.ranks.gather(skipped) for path in paths}
        new = sorted(known - set(self.skipped))
        if new:
            more = [f"... and without {len(new) - 5} more"] if len(new) > 5 else []
            journal.say("\n".join([f"went on without {path}, which is corrupt" for path in new[:5]] + more))
            self.skipped += new
        if not self.ranks.first:
            return
        self.check_finite()
        self.checkpoints.save(self.step, self.state())

    def check_finite(self) -> None:
        """Check weights and moments.

        Raises:
            NotFiniteError: If one of them is infinite or not a number.
        """
        if not (is_finite(self.model.state_dict()) and is_finite(self.optimizer.state_dict())):
            lr = learning_rate(self.step - 1, self.steps, self.args)
            raise NotFiniteError(
                f"Weights or moments are not finite after step {self.step - 1}, at learning rate {lr:.3g}."
            )


def learning_rate(step: int, steps: int, args: argparse.Namespace) -> float:
    """Rise linearly, then fall as half a cosine; a function of the step, so that a resumed run goes on along it."""
    warm = min(steps, round(steps * args.warmup))
    if step < warm:
        return float(args.lr * (step + 1) / warm)
    return float(args.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))))


def is_finite(state: Any) -> bool:
    """Say whether all tensors in nested dicts and lists are finite."""
    if isinstance(state, Tensor):
        return bool(state.isfinite().all())
    if isinstance(state, dict):
        state = list(state.values())
    return not isinstance(state, list) or all(map(is_finite, state))


def conclude(work: Callable[[], None], checkpoints: Checkpoints, ranks: Ranks) -> None:
    """Do the work of a run while its folder is held, and if it ends early say why and what to do."""
    wrong = ""
    try:
        with ranks.quietly(checkpoints.held()):
            work()
    except CorruptImage as error:
        wrong = f"{last_line(error)} Here, that is --skip-corrupt, and --resume if the run had begun."
    except NotFiniteError as error:
        wrong = f"{error} {last_good(checkpoints)} Add --resume and a lower --lr to go on from there."
        if not ranks.first:  # which says it, as all see the same loss
            sys.exit(1)
    except OSError as error:
        wrong = f"{error} {last_good(checkpoints)}"
    except KeyboardInterrupt:
        print(f"\nStopped. {last_good(checkpoints)} --resume goes on.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    if wrong:  # only now that the error is gone, and with it the workers that its traceback held
        sys.exit(wrong)


def last_line(error: CorruptImage) -> str:
    """Give what an error says; what comes from a worker is a traceback that ends with it."""
    return str(error).strip().splitlines()[-1].removeprefix("equicon.data._corrupt.CorruptImage: ")


def last_good(checkpoints: Checkpoints) -> str:
    paths = checkpoints.paths()
    return f"The last good checkpoint is {paths[-1]}." if paths else "There is no checkpoint yet."


def leave(signalled: signal.Signals | None, run: Training) -> None:
    """End a run that a signal stopped, which may have come to another rank."""
    number = signalled or signal.SIGTERM
    if run.ranks.first:
        print(f"\nStopped by {number.name} and saved after step {run.step} of {run.steps}: --resume goes on.")
    sys.exit(128 + number)


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """Give weights on the CPU and without the channels-last strides, so that they load anywhere."""
    return {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
