"""The folder on which a tree is mounted: made and checked before anything is mounted."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from imagestore.console import UserError, note
from imagestore.mount.mount_table import find_mount, is_disconnected, unmount, unmount_command
from imagestore.processes import ENDING, blocked


@contextlib.contextmanager
def prepared_mountpoint(mountpoint: Path) -> Iterator[bool]:
    """Make the mountpoint if it is missing, and check it. The value is whether it was made. Raises UserError.

    If the block raises an exception, the tree is unmounted, and a folder that was made here is removed.
    """
    _clean_up_crashed(mountpoint)
    was_made = is_usable = False
    try:
        with blocked(*ENDING):  # a signal just after the folder was made would leave it behind
            was_made = _make_folder(mountpoint)
        _check_mountpoint(mountpoint)
        is_usable = True
        yield was_made
    except BaseException:
        if is_usable:
            with contextlib.suppress(UserError):  # not mounted, or a signal came just when it was mounted
                unmount(mountpoint, lazy=True)
        if was_made:
            with contextlib.suppress(OSError):
                mountpoint.rmdir()
        raise


def _clean_up_crashed(mountpoint: Path) -> None:
    if is_disconnected(mountpoint):
        note(f"{mountpoint}: the last mount crashed; cleaning up")
        unmount(mountpoint, lazy=True)


def _make_folder(mountpoint: Path) -> bool:
    """Make the folder, for this user only; False if it exists."""
    if mountpoint.exists():
        return False
    try:
        mountpoint.parent.mkdir(parents=True, exist_ok=True)
        mountpoint.mkdir(mode=0o700)
    except OSError as error:
        raise UserError(
            f"{mountpoint}: cannot be made ({error.strerror}); try {suggested_mountpoint()}"
        ) from error
    return True


def _check_mountpoint(mountpoint: Path) -> None:
    if not mountpoint.is_dir():
        raise UserError(f"{mountpoint}: is no folder, so nothing can be mounted there")
    if mountpoint.is_mount():
        is_tree = find_mount(mountpoint) is not None
        advice = f"unmount it: {unmount_command(mountpoint)}" if is_tree else "choose another folder"
        raise UserError(f"{mountpoint}: something is mounted there already; {advice}")
    try:
        is_empty = not any(mountpoint.iterdir())
    except OSError as error:
        raise UserError(f"{mountpoint}: cannot be read ({error.strerror})") from error
    if not is_empty:
        raise UserError(f"{mountpoint}: is not empty; a mount would hide the files in it")


def suggested_mountpoint() -> str:
    """A mountpoint that works on most machines, for messages."""
    return f"/tmp/{os.environ.get('USER', 'you')}/mnt"
