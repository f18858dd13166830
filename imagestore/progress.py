"""How far a long run is: a bar on a terminal, a line now and then in a log. Imports nothing slow."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from imagestore.console import note

SECONDS_BETWEEN_LOG_LINES = 10.0
SECONDS_BEFORE_A_BAR = 0.3  # shorter work shows no bar


class Progress(Protocol):
    """How far a long run is."""

    def update(self, n: int = 1) -> object:
        """Count `n` more units as done."""


@contextlib.contextmanager
def progress(total: int | None, description: str, unit: str = "images") -> Iterator[Progress]:
    """Show progress on standard error: a tqdm bar on a terminal, elsewhere a line now and then."""
    if not sys.stderr.isatty():
        yield LogProgress(total, description, unit)
        return
    from tqdm import tqdm

    options = {"leave": False, "dynamic_ncols": True, "delay": SECONDS_BEFORE_A_BAR}
    with tqdm(total=total, desc=description, unit=f" {unit}", **options) as bar:
        yield bar


@dataclass
class LogProgress:
    """Progress for a log file: a line now and then, in place of a bar that is drawn again and again."""

    total: int | None
    description: str
    unit: str
    done: int = 0

    def __post_init__(self) -> None:
        """Start the clock."""
        self.started = self.last = time.monotonic()

    def update(self, n: int = 1) -> None:
        """Count `n` more units as done; write a line if the last one is old enough."""
        self.done += n
        now = time.monotonic()
        if now - self.last >= SECONDS_BETWEEN_LOG_LINES:
            self.last = now
            note(self._line(self.done / (now - self.started)))

    def _line(self, rate: float) -> str:
        if not self.total:
            return f"{self.description}: {self.done:,} {self.unit}, {rate:,.0f}/s"
        left = (self.total - self.done) / rate if rate else 0
        done = f"{self.done:,} of {self.total:,} {self.unit}"
        return f"{self.description}: {done}, {rate:,.0f}/s, {left:,.0f} s left"
