"""Which image stores are mounted where, and how to unmount one.

Knows mounts as the kernel lists them, and the programs that undo them; nothing of stores, so it is quick.
Used by mount and h5vfs.py. Pure functions over /proc.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imagestore.console import UserError

SECONDS_TO_UNMOUNT = 30


FILE_SYSTEM = "fuse.h5vfs"


DISCONNECTED = (errno.ENOTCONN, errno.ECONNABORTED)


READ_AHEAD = 1024  # KiB: most images then come with one request


@dataclass(frozen=True)
class Mount:
    """A mounted tree: where, of which stores, whose; `device` is 'major:minor'."""

    mountpoint: Path
    stores: str
    device: str
    options: list[str]

    def is_crashed(self) -> bool:
        """Whether its process has ended without unmounting."""
        return is_disconnected(self.mountpoint)


def all_mounts() -> Iterator[Mount]:
    """Every mounted tree; see proc(5), /proc/[pid]/mountinfo."""
    with open("/proc/self/mountinfo", errors="surrogateescape", newline="\n") as lines:
        for line in lines:
            before, _, after = line.rstrip("\n").partition(" - ")
            kind, source, options = after.split(" ")[:3]
            if kind == FILE_SYSTEM:
                _, _, device, _, mountpoint = before.split(" ")[:5]
                yield Mount(Path(_plain(mountpoint)), _plain(source), device, options.split(","))


def _plain(escaped: str) -> str:
    """Undo the octal escapes of /proc files."""
    for code, character in (
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\043", "#"),
        ("\\134", "\\"),
    ):
        escaped = escaped.replace(code, character)
    return escaped


def own_mounts() -> list[Mount]:
    """This user's mounted trees."""
    return [mount for mount in all_mounts() if f"user_id={os.getuid()}" in mount.options]


def find_mount(mountpoint: Path) -> Mount | None:
    """What is mounted there: the last, where several are on top of each other."""
    return next((mount for mount in reversed(list(all_mounts())) if mount.mountpoint == mountpoint), None)


def is_disconnected(mountpoint: Path) -> bool:
    """Whether a mount is left there whose process has crashed."""
    try:
        mountpoint.stat()
    except OSError as error:
        return error.errno in DISCONNECTED
    return False


def read_further_ahead(mountpoint: Path) -> None:
    """Let the kernel ask for more at once than its 128 KiB, where this user may say so (root)."""
    mount = find_mount(mountpoint)
    if mount is not None:
        with contextlib.suppress(OSError):
            Path(f"/sys/class/bdi/{mount.device}/read_ahead_kb").write_text(str(READ_AHEAD))


def unmount(mountpoint: Path, lazy: bool = False) -> None:
    """Unmount with whatever can: umount, fusermount3, fusermount. Raises UserError."""
    if find_mount(mountpoint) is None:
        raise UserError(f"{mountpoint}: is not mounted")
    said = ""
    for command in _unmount_commands(mountpoint, lazy):
        if not shutil.which(command[0]):
            continue
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_TO_UNMOUNT)
        if done.returncode == 0:
            return
        said = done.stderr.strip() or said
    if "busy" in said:
        raise UserError(
            f"{mountpoint}: in use (fuser -vm {mountpoint} shows by whom); --lazy unmounts when they end"
        )
    raise UserError(f"{mountpoint}: cannot be unmounted ({said or 'no fusermount3, fusermount or umount'})")


def _unmount_commands(mountpoint: Path, lazy: bool) -> list[list[str]]:
    where = str(mountpoint)
    fusermount = [[name, "-u", *["-z"] * lazy, where] for name in ("fusermount3", "fusermount")]
    umount = [["umount", *["-l"] * lazy, where]]
    return umount + fusermount if os.geteuid() == 0 else fusermount + umount
