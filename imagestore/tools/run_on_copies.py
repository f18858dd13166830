"""Run a program on copies of its stores (scratch_copies.py), and pass signals on to it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from imagestore.console import UserError
from imagestore.processes import STOPPING
from imagestore.staged_stores import VARIABLE
from imagestore.tools.scratch_copies import Staged, clean, stage


def run_on_copies(stores: Sequence[Path], places: Sequence[Path], job: str, command: Sequence[str]) -> int:
    """Run `command`, in which the word {} stands for the stores, on copies if possible; its exit status.

    It is 128 + N if signal N ended the command. Signals are passed on to it. Raises UserError.
    """
    with _gets_signals(_Program()) as program:
        clean(places)
        staged = stage(stores, places, job)
        try:
            return program.run(_with_stores(command, staged.stores), staged)
        finally:
            if staged.lock >= 0:
                os.close(staged.lock)
            clean(places)


def _with_stores(command: Sequence[str], stores: Sequence[Path]) -> list[str]:
    return [word for part in command for word in (map(str, stores) if part == "{}" else [part])]


@dataclass
class _Program:
    """A child process, and the signals that this process gets for it."""

    running: subprocess.Popen | None = None
    is_starting: bool = False
    early_signals: list[int] = field(default_factory=list)  # that came while it was started

    def pass_on(self, signum: int, frame: FrameType | None) -> None:
        """Pass a signal on. One that comes before the start ends this process."""
        if self.running:
            self.running.send_signal(signum)
        elif self.is_starting:
            self.early_signals.append(signum)
        else:
            raise SystemExit(128 + signum)

    def run(self, words: Sequence[str], staged: Staged) -> int:
        """Run the program until it ends, with the lock of its copies open. Raises UserError."""
        self.is_starting = True
        environment = os.environ | ({VARIABLE: str(staged.listing)} if staged.listing else {})
        kept = [staged.lock] if staged.lock >= 0 else []
        try:
            self.running = subprocess.Popen(words, pass_fds=kept, env=environment)
        except OSError as error:
            raise UserError(f"{words[0]}: {error.strerror}") from None
        for signum in self.early_signals:
            self.running.send_signal(signum)
        status = self.running.wait()
        return status if status >= 0 else 128 - status


@contextlib.contextmanager
def _gets_signals(program: _Program) -> Iterator[_Program]:
    """Let a program get the signals of STOPPING; a terminal sends SIGINT to it by itself."""
    numbers = [number for number in STOPPING if number != signal.SIGINT]
    before = {number: signal.signal(number, program.pass_on) for number in numbers}
    try:
        yield program
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
