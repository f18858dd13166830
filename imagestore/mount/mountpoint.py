"""The folder that a store is mounted on: made ready, and checked, before anything is mounted."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from imagestore.console import UserError, note
from imagestore.mount.mount_table import is_disconnected, unmount


@contextlib.contextmanager
def mountpoint_ready(mountpoint: Path) -> Iterator[bool]:
    """Make the mountpoint where it is missing (the value: whether it was); undo that where mounting fails."""
    _clean_up_crashed(mountpoint)
    created = _make_folder(mountpoint)
    is_ours = False
    try:
        _check_mountpoint(mountpoint)
        is_ours = True
        yield created
    except BaseException:
        if is_ours:
            with contextlib.suppress(UserError):  # not mounted; else a signal came just when it was
                unmount(mountpoint, lazy=True)
        if created:
            with contextlib.suppress(OSError):
                mountpoint.rmdir()
        raise


def _clean_up_crashed(mountpoint: Path) -> None:
    if is_disconnected(mountpoint):
        note(f"{mountpoint}: the last mount crashed; cleaning up")
        unmount(mountpoint, lazy=True)


def _make_folder(mountpoint: Path) -> bool:
    if mountpoint.exists():
        return False
    try:
        mountpoint.parent.mkdir(parents=True, exist_ok=True)
        mountpoint.mkdir(mode=0o700)
    except OSError as error:
        raise UserError(
            f"{mountpoint}: cannot be made ({error.strerror}); try {another_mountpoint()}"
        ) from error
    return True


def _check_mountpoint(mountpoint: Path) -> None:
    if not mountpoint.is_dir():
        raise UserError(f"{mountpoint}: is no folder, so nothing can be mounted there")
    if mountpoint.is_mount():
        raise UserError(f"{mountpoint}: something is mounted there already; ./h5vfs.py -u {mountpoint} first")
    try:
        empty = not any(mountpoint.iterdir())
    except OSError as error:
        raise UserError(f"{mountpoint}: cannot be read ({error.strerror})") from error
    if not empty:
        raise UserError(f"{mountpoint}: is not empty; a mount would hide what is in it")


def another_mountpoint() -> str:
    return f"/tmp/{os.environ.get('USER', 'you')}/mnt"
