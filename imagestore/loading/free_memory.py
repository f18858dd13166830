"""How much memory this process may still use."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from imagestore.control_groups import memory_left, own_groups

PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes


def available_memory() -> int:
    """Bytes that this process may still use.

    It is the least that the machine, its control groups and the limit of the address space (`ulimit -v`)
    leave.
    """
    left = [_left_by_the_machine(), *memory_left(own_groups()), *_left_by_the_address_space()]
    return max(0, min(left))


def _left_by_the_machine() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):  # not Linux
        return PAGE * os.sysconf("SC_PHYS_PAGES")


def _left_by_the_address_space() -> list[int]:
    """What `ulimit -v` leaves, if there is such a limit."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return []
    try:
        return [limit - int(Path("/proc/self/statm").read_bytes().split()[0]) * PAGE]
    except OSError:
        return [limit]
