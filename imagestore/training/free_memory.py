"""How much memory this process may still use."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

V1_MEMORY, V2_MEMORY = (  # files of a control group: its limit, and what it uses, in bytes
    ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ("memory.max", "memory.current"),
)


def available_memory() -> int:
    """Bytes this process may still use: what the machine has left, and what its control group leaves."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
        groups = Path("/proc/self/cgroup").read_text()
        free = min([free, *left_by_groups(groups, Path("/sys/fs/cgroup"))])
    except (OSError, KeyError):
        pass  # no Linux, or no control group: the machine's memory is the bound
    return max(free, 0)


def left_by_groups(groups: str, mounted: Path) -> Iterator[int]:
    """Bytes that each control group with a limit leaves: the process's own, and all those around it.

    `groups` is what /proc/self/cgroup says, lines "number:controllers:/path" (version 2 names no
    controllers); `mounted` is where the groups are folders. The limit of a Slurm job is on a folder above
    its step's.
    """
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = mounted / "memory" if controllers else mounted
        limit, used = V1_MEMORY if controllers else V2_MEMORY
        own = top / path.strip("/")
        for group in (own, *own.parents[: len(own.parents) - len(top.parents)]):
            with contextlib.suppress(OSError, ValueError):  # not to be seen from here, or "max": no limit
                yield int((group / limit).read_text()) - int((group / used).read_text())
