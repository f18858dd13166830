"""What the tests of mounts share."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.mounts import mounted_below, servers
from tests.helpers.odd_stores import make_indexed


@pytest.fixture
def mountpoint(tmp_path: Path) -> Iterator[Path]:
    """A folder to mount on, which does not exist yet. All mounts beside it are unmounted after the test."""
    folder = tmp_path / "mnt"
    yield folder
    for mounted in mounted_below(tmp_path):
        done = subprocess.run(["umount", "-l", mounted], check=False, timeout=120)
        assert done.returncode == 0 or mounted not in mounted_below(tmp_path)  # it may just have ended
    for pid in servers(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def store(tmp_path: Path) -> tuple[Path, dict[str, bytes]]:
    """A store as `sort` leaves it, and the bytes of each file in it, by path."""
    path = tmp_path / "store.h5"
    return path, make_indexed(path)
