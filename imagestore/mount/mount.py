"""The life of a mount: the look before the leap, the background, the end.

`mount` returns when the tree is ready to be listed and leaves a process behind that serves it; everything
that can go wrong is said before. `run_in_mount` mounts for the length of one command. Used by h5vfs.py.
The serving process answers with one thread; where it may end by itself, a second one watches the clock.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from imagestore.console import UserError, note
from imagestore.mount.mount_table import unmount
from imagestore.mount.mountpoint import mountpoint_ready
from imagestore.mount.server import serve_until_unmounted, start_server
from imagestore.mount.settings import MountSettings
from imagestore.processes import ENDING


def mount(settings: MountSettings) -> int:
    """Mount in the background; returns when the tree can be listed. Raises UserError."""
    with mountpoint_ready(settings.mountpoint):
        start_server(settings)
        for number in ENDING:  # from here on it is mounted, and says so
            signal.signal(number, signal.SIG_IGN)
    print(
        f"mounted on {settings.mountpoint}; to unmount: fusermount -u {shlex.quote(str(settings.mountpoint))}"
    )
    return 0


def mount_in_foreground(settings: MountSettings) -> int:
    """Mount and serve until unmounted or interrupted. Raises UserError."""
    with mountpoint_ready(settings.mountpoint):
        return serve_until_unmounted(
            settings, lambda: note(f"mounted on {settings.mountpoint}; Ctrl-C unmounts")
        )


def run_in_mount(settings: MountSettings, command: Sequence[str]) -> int:
    """Mount, run a command, unmount whatever happens; the command's exit status, 128 + n where a signal n
    ended it. Raises UserError.
    """
    with mountpoint_ready(settings.mountpoint) as created:
        server = start_server(settings, until_parent_ends=True)
        try:
            return _run(command)
        finally:
            _end(settings.mountpoint, server)
            if created:
                settings.mountpoint.rmdir()


def _run(command: Sequence[str]) -> int:
    try:
        process = subprocess.Popen(command)
    except OSError as error:
        raise UserError(f"{command[0]}: cannot be run ({error.strerror})") from error
    # Ctrl-C goes to the command as well, which decides what to make of it; SIGTERM comes to us alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda signum, frame: process.send_signal(signum))
    status = process.wait()
    return 128 - status if status < 0 else status


def _end(mountpoint: Path, server: int) -> None:
    """Unmount for certain: from under what the command left running, if it must be."""
    with contextlib.suppress(UserError):
        try:
            unmount(mountpoint)
        except UserError:
            unmount(mountpoint, lazy=True)
    with contextlib.suppress(ProcessLookupError):
        os.kill(server, signal.SIGTERM)
    os.waitpid(server, 0)
