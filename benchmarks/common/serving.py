"""The processes that serve a mount: their processor time and their memory, all together."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from common.measuring import memory_of


def serving(mountpoint: Path) -> list[int]:
    """The ids of the processes that have a mountpoint among their arguments."""
    pids = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and os.fsencode(mountpoint) in (entry / "cmdline").read_bytes().split(
                b"\0"
            ):
                pids.append(int(entry.name))
    return pids


def processor_seconds(mountpoint: Path) -> float:
    """The processor time that the processes of a mount have used, in seconds; see schedstat in proc(5)."""
    total = 0
    for pid in serving(mountpoint):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def megabytes(mountpoint: Path) -> float:
    """The memory of the processes of a mount in MB: proportional set sizes, which count shared pages once."""
    return sum(map(memory_of, serving(mountpoint))) / 1e6
