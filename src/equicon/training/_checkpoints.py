"""Checkpoints of a run.

They are written completely or not at all, only the newest are kept, and loading one runs no code from the file.
"""

import fcntl
import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self, TextIO

import torch
from torch import Tensor

from equicon.data._files import write_whole


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints in a folder, newest last.

    Args:
        folder: The folder that holds them.
        keep: How many to keep, at least 1.

    Examples:
        >>> import tempfile, pathlib
        >>> checkpoints = Checkpoints(pathlib.Path(tempfile.mkdtemp()), keep=2)
        >>> with checkpoints.held():
        ...     paths = [checkpoints.save(step, {"step": step}) for step in (1, 2, 3)]
        >>> checkpoints.load(), len(checkpoints.paths())
        ({'step': 3}, 2)
    """

    folder: Path
    keep: int = 3

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder against other processes until this one ends, however it ends.

        If nothing was written to the folder, it is removed again.

        Raises:
            OSError: If another process holds the lock, or the folder cannot be made or written to.
        """
        made = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        lock = self.folder / "lock"
        with self._take(lock) as file:
            os.register_at_fork(after_in_child=file.close)  # a worker may outlive a killed run, and must not hold it
            try:
                yield
            finally:
                with suppress(OSError):  # if the folder is gone, or someone else has put a file there
                    if [*self.folder.iterdir()] == [lock]:
                        lock.unlink()
                        for path in made:
                            path.rmdir()

    def _take(self, lock: Path) -> TextIO:
        while True:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                file = lock.open("w")
            except OSError as error:
                raise OSError(f"{self.folder} cannot be written to: {error}") from error
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                raise OSError(f"{self.folder} is in use by another process, which is still running.") from None
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                    return file
            file.close()  # another process left the folder meanwhile, and removed the file that this one locked

    def paths(self) -> list[Path]:
        """List the checkpoints. Every file in the list was written completely."""
        found = (path for path in self.folder.glob("step_*.pt") if re.fullmatch(r"step_\d+", path.stem))
        return sorted(found, key=lambda path: int(path.stem[5:]))

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write the state after ``step`` steps. Only then remove the oldest checkpoints."""
        path = self.folder / f"step_{step:08d}.pt"
        write_state(path, state)
        for old in self.paths()[: -self.keep]:
            old.unlink()
        return path

    def load(self) -> dict[str, Any] | None:
        """Load the newest checkpoint on the CPU; give None if there is none.

        Raises:
            OSError: If the file cannot be read, although it was written completely.
        """
        if not (paths := self.paths()):
            return None
        try:
            return load_state(paths[-1])
        except (OSError, MemoryError):
            raise
        except Exception as error:  # a damaged file may raise nearly anything
            raise OSError(f"{paths[-1]} is damaged: {error}. Remove it to go on from the one before.") from error

    def check_room(self, size: int) -> None:
        """Check that the disk has room for ``keep`` checkpoints, and one more, of ``size`` bytes each.

        Raises:
            OSError: If it has not, or if the folder cannot be written to.
        """
        write_whole(self.folder / "trial", lambda file: file.write(bytes(2**20)))
        (self.folder / "trial").unlink()
        for part in self.folder.glob("*.part"):  # left behind by a run that was killed
            part.unlink()
        needed = (self.keep + 1 - len(self.paths())) * size
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise OSError(
                f"{self.folder} has room for {free / 2**20:,.0f} MiB, but {self.keep + 1} checkpoints take "
                f"{needed / 2**20:,.0f} MiB more. Make room, keep fewer (--keep), or choose another folder (--out)."
            )


def load_state(path: Path) -> dict[str, Any]:
    """Load tensors and plain values on the CPU. No code in the file can run.

    Examples:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "state.pt"
        >>> write_state(path, {"weight": torch.ones(2)})
        >>> load_state(path)
        {'weight': tensor([1., 1.])}
    """
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def write_state(path: Path, state: Any) -> None:
    """Write tensors, and nested dicts and lists of tensors, completely or not at all.

    Raises:
        OSError: If they cannot be written. An older file under that path is then still there.

    Examples:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "best.pt"
        >>> write_state(path, torch.nn.Linear(2, 1).state_dict())
        >>> path.exists()
        True
    """
    write_whole(path, lambda file: torch.save(state, file))


def size_of(state: Any) -> int:
    """Count the bytes of all tensors in nested dicts, lists and tuples.

    Examples:
        >>> size_of({"a": torch.zeros(3), "b": [torch.zeros(2, dtype=torch.uint8)]})
        14
    """
    if isinstance(state, Tensor):
        return state.numel() * state.element_size()
    if isinstance(state, dict):
        return sum(map(size_of, state.values()))
    return sum(map(size_of, state)) if isinstance(state, list | tuple) else 0


class Stop:
    """Catches the first Ctrl-C or SIGTERM inside a ``with`` block, so that a loop can save.

    A second signal acts as usual.

    Attributes:
        signal: The signal that came, or None.

    Examples:
        >>> import os, signal
        >>> with Stop() as stop:
        ...     os.kill(os.getpid(), signal.SIGTERM)  # a loop would go on to the end of its step
        >>> stop.signal.name
        'SIGTERM'
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        self.__exit__()
