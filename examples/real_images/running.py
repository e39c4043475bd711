"""Run the commands of pieces as processes, several at a time, and end them all when the study is stopped."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from real_images.pieces import Piece

PATIENCE = 30.0
"""Seconds that a stopped program has to save its state."""

SHOWN = 25
"""The lines of a failed program's output that are kept."""


class Job:
    """The commands of a piece, run one after the other in the background.

    Args:
        piece: The piece.
        commands: Its commands.
        log: The file for all that they print.
        env: The environment of the processes.
    """

    def __init__(self, piece: Piece, commands: Sequence[Sequence[str]], log: Path, env: Mapping[str, str]) -> None:
        self.piece, self.log, self.env = piece, log, env
        self.begun = time.monotonic()
        self._left = [list(words) for words in commands]
        self.command: list[str] = []
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        self._next()

    def _next(self) -> None:
        self.command = self._left.pop(0)
        with self.log.open("ab") as file:
            file.write(f"{shlex.join(self.command)}\n".encode())
            file.flush()
            # In a session of its own: Ctrl-C reaches the study only, which then ends its processes one by one.
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=self.env,
                start_new_session=True,
            )

    def ended(self) -> int | None:
        """Give the exit code of the first command that failed, or 0 after the last one; None while one runs."""
        code = self._process.poll()
        if code == 0 and self._left:
            self._next()
            return None
        return code

    @property
    def minutes(self) -> float:
        """The time since it began."""
        return (time.monotonic() - self.begun) / 60

    def output(self) -> str:
        """Give the last lines that were printed; of a progress bar, its last state."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(line for line in lines[-SHOWN:] if line.strip())

    def interrupt(self) -> None:
        """Ask the running program to stop. It saves its state, from which the piece goes on."""
        self._signal(signal.SIGINT)

    def wait(self, seconds: float) -> None:
        """Wait until the running program has ended, and end it with everything that it started after some time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, number)


class Jobs:
    """The pieces that run now.

    Leaving the ``with`` block early stops them all.
    """

    def __init__(self) -> None:
        self.running: list[Job] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for job in self.running:
            job.interrupt()
        limit = time.monotonic() + PATIENCE
        for job in self.running:
            job.wait(max(0.0, limit - time.monotonic()))

    def ended(self) -> list[tuple[Job, int]]:
        """Take out the jobs that have ended, with their exit codes."""
        found = [(job, code) for job in self.running if (code := job.ended()) is not None]
        self.running = [job for job in self.running if all(job is not done for done, _ in found)]
        return found
