"""Run programs, and measure their time and memory."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.paths import ROOT

SECONDS_BETWEEN_SAMPLES = 0.02  # of memory


def seconds(action: Callable[[], object]) -> float:
    """The wall-clock time of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def median_of(
    action: Callable[[], object], runs: int = 3, before: Callable[[], object] | None = None
) -> float:
    """The median time of `runs` calls in seconds; `before` is called before each, untimed."""
    timings = []
    for _ in range(runs):
        if before:
            before()
        timings.append(seconds(action))
    return statistics.median(timings)


def command(*arguments: object, **options: object) -> subprocess.CompletedProcess:
    """Run a script of the checkout ("h5vfs.py"), or another program. Raises CalledProcessError."""
    first, *rest = map(str, arguments)
    program = [sys.executable, str(ROOT / first)] if first.endswith(".py") else [first]
    return subprocess.run(program + rest, check=True, capture_output=True, text=True, **options)


def is_installed(program: str) -> bool:
    """Whether a program that is a yardstick is installed; if not, a message says so."""
    found = shutil.which(program) is not None
    if not found:
        print(f"{program} is not installed: left out of the comparison", file=sys.stderr)
    return found


def peak_memory(arguments: Sequence[object], **options: object) -> int:
    """Run a program to its end; return the most bytes that it and its descendants held at one time."""
    process = subprocess.Popen(
        list(map(str, arguments)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )
    with PeakMemory(process.pid) as memory:
        status = process.wait()
    if status:
        raise subprocess.CalledProcessError(status, arguments)
    return memory.peak


@dataclass
class PeakMemory:
    """A context manager that samples the memory of a process and its descendants; `peak` is in bytes.

    Each process counts with its proportional set size: a page that n processes share counts 1/n in each. So
    forked workers do not count the pages of their parent again.
    """

    pid: int
    peak: int = 0
    _done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> PeakMemory:
        """Start sampling."""
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop sampling."""
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(SECONDS_BETWEEN_SAMPLES):
            self.peak = max(self.peak, sum(map(memory_of, process_tree(self.pid))))


def process_tree(pid: int) -> list[int]:
    """A process and all its living descendants."""
    pids = [pid]
    for parent in pids:  # the list grows meanwhile
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                pids += map(int, task.read_text().split())
            except OSError:
                continue
    return pids


def memory_of(pid: int) -> int:
    """The proportional set size of one process in bytes; 0 if it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
