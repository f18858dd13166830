"""Real mounts: what is mounted, which processes serve it, and what it holds."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.helpers.commands import ROOT

H5VFS = [sys.executable, str(ROOT / "h5vfs.py")]


def servers(mountpoint: Path) -> list[int]:
    """The ids of the processes that have this mountpoint on their command line."""
    pids = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                pids += [int(entry.name)] * (os.fsencode(mountpoint) in arguments)
    return pids


def serving(mountpoint: Path) -> list[int]:
    """The ids of the processes that answer the kernel's requests, first that which has started the others."""
    parents = {}
    for pid in servers(mountpoint):
        with contextlib.suppress(OSError):
            files = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
            if "/dev/fuse" in files:
                parents[pid] = int(_status(pid)[1])
    return sorted(parents, key=lambda pid: (parents[pid] in parents, pid))


def newest_helper(mountpoint: Path) -> int:
    """The id of the process that was started last to read with HDF5, and not to answer the kernel."""
    helpers = set(servers(mountpoint)) - set(serving(mountpoint))
    return max(helpers, key=lambda pid: (int(_status(pid)[19]), pid))


def _status(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name: the parent is number 1, the time of the start 19."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def mounted_below(folder: Path) -> list[str]:
    """The mountpoints below a folder, as the kernel lists them."""
    lines = Path("/proc/self/mountinfo").read_bytes().rstrip(b"\n").split(b"\n")
    mountpoints = [line.split(b" ")[4].decode("unicode_escape") for line in lines]  # a space is \040
    return [mountpoint for mountpoint in mountpoints if mountpoint.startswith(f"{folder}/")]


def is_mounted(mountpoint: Path) -> bool:
    """Whether something is mounted there."""
    return str(mountpoint) in mounted_below(mountpoint.parent)


def wait_until(condition: Callable[[], object], seconds: float = 60.0, pause: float = 0.05) -> None:
    """Wait until a condition is true. Fails after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(pause)


def wait_until_told(messages: Path) -> None:
    """Wait until h5vfs.py in the foreground has written into its messages that the tree is mounted."""
    wait_until(lambda: "mounted on" in messages.read_text())


def shell(*command: object, check: bool = True) -> subprocess.CompletedProcess:
    """Run a command; fails if its exit status is not 0 (if `check`), and after 60 s."""
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, check=check)


def contents_of(folder: Path) -> dict[str, bytes]:
    """The bytes of each file below a folder, by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(run: Callable[..., subprocess.CompletedProcess], *arguments: object) -> str:
    """Run h5vfs.py, which must fail with one line; returns that line."""
    done = run("h5vfs.py", *arguments, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("h5vfs: error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr
