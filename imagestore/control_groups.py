"""What the control groups of Linux leave to this process: memory and processor time.

Batch systems and containers set these limits. Imports nothing slow. The files:
https://docs.kernel.org/admin-guide/cgroup-v2.html and .../cgroup-v1/
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

MOUNTPOINT = Path("/sys/fs/cgroup")
MEMORY, CPU = "memory", "cpu"


def own_groups() -> str:
    """The text of /proc/self/cgroup; empty if there is none."""
    try:
        return os.fsdecode(Path("/proc/self/cgroup").read_bytes())
    except OSError:
        return ""


def memory_left(groups: str, mountpoint: Path = MOUNTPOINT) -> Iterator[int]:
    """Bytes that each control group with a limit leaves: the process's group, and all groups around it.

    `groups` is the text of /proc/self/cgroup: lines "number:controllers:/path", without controllers in
    version 2. `mountpoint` is where the groups are folders. Slurm sets the limit of a job on a folder above
    that of the job's step.
    """
    for group, is_version_1 in _folders(groups, MEMORY, mountpoint):
        limit, used = ("limit_in_bytes", "usage_in_bytes") if is_version_1 else ("max", "current")
        # The files may be missing here, or say "max" if there is no limit.
        with contextlib.suppress(OSError, ValueError):
            yield _number(group / f"memory.{limit}") - _number(group / f"memory.{used}")


def cpu_quotas(groups: str, mountpoint: Path = MOUNTPOINT) -> Iterator[int]:
    """CPUs that each control group with a quota allows, rounded up. See `memory_left`."""
    for group, is_version_1 in _folders(groups, CPU, mountpoint):
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            if is_version_1:
                quota, period = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
            else:
                quota, period = map(int, (group / "cpu.max").read_bytes().split())
            if quota > 0:  # -1 is no quota
                yield math.ceil(quota / period)


def _folders(groups: str, controller: str, mountpoint: Path) -> Iterator[tuple[Path, bool]]:
    """The folder of each group that counts, with whether it is of version 1."""
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = mountpoint / controller if controllers else mountpoint
        innermost = top / path.strip("/")
        for group in (innermost, *innermost.parents[: len(innermost.parents) - len(top.parents)]):
            yield group, bool(controllers)


def _number(file: Path) -> int:
    return int(file.read_bytes())
