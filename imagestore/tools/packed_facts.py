"""What a packed file keeps of a file or folder besides its bytes. This module does not import h5py."""

from __future__ import annotations

import os
from typing import NamedTuple


class Facts(NamedTuple):
    """Times in seconds since 1970, and st_mode."""

    created: int
    modified: int
    permissions: int


def facts_of(state: os.stat_result) -> Facts:
    """The facts of a file or folder on the disk."""
    return Facts(int(state.st_ctime), state.st_mtime_ns // 10**9, state.st_mode)
