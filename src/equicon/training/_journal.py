"""Record a training run: a progress bar, and curves, shares of time and pictures for TensorBoard."""

import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from equicon._extra import need
from equicon._losses.levels import LossLevels
from equicon.data._files import write_whole
from equicon.training._floor import FloorWatch

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.utils.tensorboard import SummaryWriter
    from tqdm import tqdm

PAUSE = "pause"
"""The name of time that belongs to no part of a step. ``Stopwatch.mark`` takes it, and a ``Journal`` does not count
it."""


def write_figure(path: Path, figure: "Figure") -> None:
    """Write a figure of matplotlib as a PNG file, completely or not at all.

    Raises:
        OSError: If it cannot be written. An older file under that path is then still there.

    Examples:
        >>> import tempfile, pathlib
        >>> from matplotlib.figure import Figure
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "empty.png"
        >>> write_figure(path, Figure())
        >>> path.read_bytes()[1:4]
        b'PNG'
    """
    write_whole(path, lambda file: figure.savefig(file, format="png", dpi=110))


class NotFiniteError(Exception):
    """A loss, a weight or a moment of the optimizer is infinite or not a number.

    Examples:
        >>> try: raise NotFiniteError("The loss is nan at step 7, where the learning rate is 0.01.")
        ... except NotFiniteError as error: print(error)
        The loss is nan at step 7, where the learning rate is 0.01.
    """


class Stopwatch:
    """Measures how much time each part of a step takes, without waiting for the device in between.

    On an accelerator other than CUDA, it measures the time of the host.

    Args:
        device: The device that does the work.

    Examples:
        >>> watch = Stopwatch(torch.device("cpu"))
        >>> product = torch.rand(100, 100) @ torch.rand(100, 100)
        >>> watch.mark("product")
        >>> [*watch.seconds()]
        ['product']
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[tuple[str, torch.cuda.Event | float]] = []
        self.mark("")

    def mark(self, part: str) -> None:
        """Count the time since the last mark to the given part."""
        if self._device.type != "cuda":
            self._marks.append((part, time.perf_counter()))
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        self._marks.append((part, event))

    def seconds(self) -> dict[str, float]:
        """Sum up the time of each part since the last call. This waits for the device."""
        last = self._marks[-1][1]
        if isinstance(last, torch.cuda.Event):
            last.synchronize()
        spent: dict[str, float] = defaultdict(float)
        for (_, start), (part, end) in zip(self._marks, self._marks[1:], strict=False):
            if isinstance(start, torch.cuda.Event) and isinstance(end, torch.cuda.Event):
                spent[part] += start.elapsed_time(end) / 1000
            elif isinstance(start, float) and isinstance(end, float):
                spent[part] += end - start
        self._marks = [("", last)]
        return dict(spent)


class _Nowhere:
    """Stands in for TensorBoard's writer when nothing is to be written."""

    def add_scalar(self, *_: object) -> None: ...

    def add_custom_scalars_multilinechart(self, *_: object, **__: object) -> None: ...

    def add_figure(self, *_: object) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


def _open_writer(folder: Path, first: int) -> "SummaryWriter":
    need("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=first)


def _open_bar(name: str, done: int, total: int) -> "tqdm[None]":
    need("tqdm")
    from tqdm import tqdm

    return tqdm(total=total, initial=done, desc=name, unit="img")


class Journal:
    """Records a run. It keeps the losses on the device and reads them a few steps at a time.

    Args:
        folder: The folder for TensorBoard's files. If an earlier run was cut off, its entries from step ``first`` on
            become void.
        device: The device of the losses.
        first: The step at which the run begins.
        steps: The step before which the run ends.
        images: The number of images in a step.
        name: The name that the progress bar shows.
        every: The number of steps that are read at a time. Each reading waits for the device.
        quiet: Whether to write and show nothing, because another rank does. It still checks that losses are finite.
        state: What ``state`` gave when the run was saved; None at the beginning of a run.

    Raises:
        ModuleNotFoundError: If it is to write, and TensorBoard or tqdm is not installed.

    Examples:
        >>> import pathlib
        >>> cpu = torch.device("cpu")
        >>> journal = Journal(pathlib.Path("runs"), cpu, first=0, steps=9, images=4, name="", quiet=True)
        >>> with journal: journal.step(0, 0.1, torch.tensor(2.0), "epoch 1/9")
    """

    def __init__(
        self,
        folder: Path,
        device: torch.device,
        *,
        first: int,
        steps: int,
        images: int,
        name: str,
        every: int = 10,
        quiet: bool = False,
        state: Mapping[str, int] | None = None,
    ) -> None:
        self.watch = Stopwatch(device)
        self._writer = _Nowhere() if quiet else _open_writer(folder, first)
        self._bar = None if quiet else _open_bar(name, first * images, steps * images)
        self._images, self._every, self._floor = images, every, FloorWatch(steps, state)
        self._pending: list[tuple[int, float, Tensor, Mapping[str, Tensor]]] = []
        self._shown = self._note = ""
        self._leveled = False

    def step(
        self,
        step: int,
        lr: float,
        loss: Tensor,
        note: str,
        parts: Mapping[str, Tensor] = {},
        levels: Sequence[LossLevels] = (),
    ) -> None:
        """Record the learning rate and the loss of a step and, if given, the parts and the levels of the loss.

        If a contrastive loss stays near its floor for a tenth of the run, this prints advice, once.

        Args:
            step: The number of the step.
            lr: The learning rate of the step.
            loss: The loss of the step, on any device. It is read later.
            note: A text that the progress bar shows beside the loss.
            parts: The parts of the loss, by name.
            levels: Chance and floor of the loss, for each batch of the step; their means count. Give them at every step
                or at none.

        Raises:
            NotFiniteError: If the loss of this step or an earlier one is not finite. The message names the first such
                step.
        """
        values = {name: part.detach() for name, part in parts.items()}
        for name, several in zip(LossLevels._fields, zip(*levels, strict=True), strict=False):
            on_device = [level if isinstance(level, Tensor) else loss.new_full((), level) for level in several]
            values[name] = torch.stack(on_device).mean().detach()
        self._pending.append((step, lr, loss.detach(), values))
        self._note = note
        if len(self._pending) == self._every or not self._shown:
            self.flush()
        if self._bar is not None:
            self._bar.update(self._images)

    def flush(self) -> None:
        """Read the steps recorded so far and hand them to the operating system.

        Raises:
            NotFiniteError: As ``step`` does.
        """
        if self._pending:
            spent, count = self.watch.seconds(), len(self._pending)
            spent.pop(PAUSE, None)
            rows = [torch.stack([loss, *parts.values()]) for *_, loss, parts in self._pending]
            values = torch.cat(rows).cpu().split([*map(len, rows)])
            pending, self._pending = self._pending, []
            losses, levels = [], []
            for (step, lr, _, parts), row in zip(pending, values, strict=True):
                loss, *others = row.tolist()
                losses.append(loss)
                self._writer.add_scalar("training/loss", loss, step)
                named = dict(zip(parts, others, strict=True))
                if parts.keys() >= {*LossLevels._fields}:
                    levels.append(LossLevels(named["chance"], named["floor"]))
                for name, part in named.items():
                    self._writer.add_scalar(f"training/loss, {name}", part, step)
                self._writer.add_scalar("training/learning rate", lr, step)
                if not math.isfinite(loss):
                    self._writer.flush()
                    raise NotFiniteError(f"The loss is {loss} at step {step}, where the learning rate is {lr:.3g}.")
            for part, seconds in spent.items():
                self._writer.add_scalar(f"share of the step/{part}", seconds / sum(spent.values()), pending[-1][0])
            if spent:
                speed = count * self._images / sum(spent.values())
                self._writer.add_scalar("training/images per second", speed, pending[-1][0])
            self._shown = f"loss={sum(losses) / len(losses):.3f}{self._read_levels(losses, levels)}, {self._note}"
            if self._bar is not None:
                self._bar.set_postfix_str(self._shown, refresh=False)
        self._writer.flush()

    def _read_levels(self, losses: Sequence[float], levels: Sequence[LossLevels]) -> str:
        """Compare losses with their levels, if they have any, and give the text to show beside the losses."""
        if not levels:
            return ""
        chance, floor = (sum(values) / len(levels) for values in zip(*levels, strict=True))
        if not self._leveled:
            names = ["training/loss", *(f"training/loss, {name}" for name in LossLevels._fields)]
            self._writer.add_custom_scalars_multilinechart(names, category="training", title="loss")
            self._leveled = True
        if text := self._floor.read(losses, LossLevels(chance, floor)):
            self.say(text)
        return f" (chance {chance:.2f}, floor {floor:.2f})"

    def state(self) -> dict[str, int]:
        """Give what a checkpoint keeps of the journal."""
        return self._floor.state()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record values at a step. TensorBoard groups them by the part of their name before the slash."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, step: int, name: str, figure: "Figure") -> None:
        """Record a picture at a step."""
        self._writer.add_figure(name, figure, step)

    def say(self, text: str) -> None:
        """Print a line above the progress bar."""
        if self._bar is not None:
            self._bar.write(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        self._writer.close()
