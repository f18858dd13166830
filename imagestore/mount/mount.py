"""Mount a tree in one of three ways: in the background, in the foreground, or for the length of a command.

In each way, the mountpoint is prepared first (mountpoint.py), and everything that can go wrong is reported
before the function returns. The tree is served by this process in the foreground, otherwise by a new one
(server.py).
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path

from imagestore.console import UserError, note
from imagestore.mount.mount_settings import MountSettings
from imagestore.mount.mount_table import unmount, unmount_command
from imagestore.mount.mountpoint import prepared_mountpoint
from imagestore.mount.server import end_server, serve_until_unmounted, start_server
from imagestore.processes import ENDING


def mount_in_background(settings: MountSettings) -> int:
    """Start a process that serves the tree; returns 0 once the tree can be listed. Raises UserError."""
    with prepared_mountpoint(settings.mountpoint):
        start_server(settings)
        for number in ENDING:  # the tree stays mounted from here on, and the user must learn that
            signal.signal(number, signal.SIG_IGN)
    print(f"mounted on {settings.mountpoint}; to unmount: {unmount_command(settings.mountpoint)}")
    return 0


def mount_in_foreground(settings: MountSettings) -> int:
    """Serve the tree until it is unmounted or a signal ends this process; returns 0. Raises UserError."""
    with prepared_mountpoint(settings.mountpoint):
        serve_until_unmounted(settings, lambda: note(f"mounted on {settings.mountpoint}; Ctrl-C unmounts"))
    return 0


def mount_for_command(settings: MountSettings, command: Sequence[str]) -> int:
    """Mount, run a command, and unmount in any case. Raises UserError.

    Returns the command's exit status, or 128 + n if signal n ended it.
    """
    from imagestore.mount.run_command import run_command  # other mounts start without it

    with prepared_mountpoint(settings.mountpoint) as was_made:
        server = start_server(settings, end_with_caller=True)
        try:
            return run_command(command)
        finally:
            _unmount_in_any_case(settings.mountpoint)
            end_server(server)
            if was_made:
                settings.mountpoint.rmdir()


def _unmount_in_any_case(mountpoint: Path) -> None:
    """Unmount, even if processes that the command left running use the tree."""
    with contextlib.suppress(UserError):
        try:
            unmount(mountpoint)
        except UserError:
            unmount(mountpoint, lazy=True)
