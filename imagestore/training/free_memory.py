"""How much memory this process may still use."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

# Files of a control group: its limit, and the memory it uses, in bytes.
VERSION_1_FILES = ("memory.limit_in_bytes", "memory.usage_in_bytes")
VERSION_2_FILES = ("memory.max", "memory.current")


def available_memory() -> int:
    """Bytes this process may still use: the least that the machine and its control groups leave."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        free = int(fields["MemAvailable"].split()[0]) * 1024
        groups = os.fsdecode(Path("/proc/self/cgroup").read_bytes())
        free = min([free, *left_by_control_groups(groups, Path("/sys/fs/cgroup"))])
    except (OSError, KeyError):
        pass  # not Linux, or no control groups: the machine's memory is the limit
    return max(free, 0)


def left_by_control_groups(groups: str, mountpoint: Path) -> Iterator[int]:
    """Bytes that each control group with a limit leaves: the process's group, and all groups around it.

    `groups` is the text of /proc/self/cgroup: lines "number:controllers:/path", without controllers in
    version 2. `mountpoint` is where the groups are folders. Slurm sets the limit of a job on a folder above
    that of the job's step.
    """
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = mountpoint / "memory" if controllers else mountpoint
        limit, used = VERSION_1_FILES if controllers else VERSION_2_FILES
        innermost = top / path.strip("/")
        for group in (innermost, *innermost.parents[: len(innermost.parents) - len(top.parents)]):
            # The files may be missing here, or say "max" if there is no limit.
            with contextlib.suppress(OSError, ValueError):
                yield int((group / limit).read_bytes()) - int((group / used).read_bytes())
