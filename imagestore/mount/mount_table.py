"""Which stores are mounted where, as the kernel lists it, and how to unmount one.

This file knows nothing of stores, so `h5vfs.py --list` and `h5vfs.py -u` answer quickly.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imagestore.console import UserError
from imagestore.printed_commands import command_line, script

FILE_SYSTEM_TYPE = "fuse.h5vfs"
DISCONNECTED = (errno.ENOTCONN, errno.ECONNABORTED)
READ_AHEAD_KIB = 1024  # most images then come with one request
SECONDS_TO_UNMOUNT = 30


@dataclass(frozen=True)
class Mount:
    """A mounted tree."""

    mountpoint: Path
    stores: str
    device: str  # "major:minor"
    options: list[str]

    def is_crashed(self) -> bool:
        """Whether its process has ended without unmounting it."""
        return is_disconnected(self.mountpoint)


def user_mounts() -> list[Mount]:
    """All mounted trees of this user."""
    return [mount for mount in all_mounts() if f"user_id={os.getuid()}" in mount.options]


def all_mounts() -> Iterator[Mount]:
    """All mounted trees; see proc(5), /proc/[pid]/mountinfo."""
    encoding = sys.getfilesystemencoding()  # as of all paths
    with open("/proc/self/mountinfo", encoding=encoding, errors="surrogateescape", newline="\n") as lines:
        for line in lines:
            before, _, after = line.rstrip("\n").partition(" - ")
            file_system_type, source, options = after.split(" ")[:3]
            if file_system_type == FILE_SYSTEM_TYPE:
                _, _, device, _, mountpoint = before.split(" ")[:5]
                yield Mount(Path(_unescape(mountpoint)), _unescape(source), device, options.split(","))


def _unescape(text: str) -> str:
    """Undo the octal escapes of /proc files."""
    for code, character in (
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\043", "#"),
        ("\\134", "\\"),
    ):
        text = text.replace(code, character)
    return text


def find_mount(mountpoint: Path) -> Mount | None:
    """The tree that is mounted there, or None; the last one, if several are on top of each other."""
    return next((mount for mount in reversed(list(all_mounts())) if mount.mountpoint == mountpoint), None)


def is_disconnected(mountpoint: Path) -> bool:
    """Whether a mount is there whose process has crashed."""
    try:
        os.statvfs(mountpoint)  # the kernel may still answer `stat` by itself
    except OSError as error:
        return error.errno in DISCONNECTED
    return False


def increase_read_ahead(mountpoint: Path) -> None:
    """Let the kernel read more than 128 KiB at once, if this user may decide that (root may)."""
    mount = find_mount(mountpoint)
    if mount is not None:
        with contextlib.suppress(OSError):
            Path(f"/sys/class/bdi/{mount.device}/read_ahead_kb").write_bytes(b"%d" % READ_AHEAD_KIB)


def unmount(mountpoint: Path, *, lazy: bool = False) -> None:
    """Unmount a tree with umount, fusermount3 or fusermount. Raises UserError.

    With `lazy`, a tree in use disappears at once, and is unmounted when its last user is gone.
    """
    if find_mount(mountpoint) is None:
        raise UserError(f"{mountpoint}: is not mounted")
    message = ""
    for command in _unmount_commands(mountpoint, lazy):
        if not shutil.which(command[0]):
            continue
        done = subprocess.run(
            command, capture_output=True, text=True, errors="surrogateescape", timeout=SECONDS_TO_UNMOUNT
        )
        if done.returncode == 0:
            return
        message = done.stderr.strip() or message
    if "busy" in message:
        lazily = command_line(*script("h5vfs.py"), "-u", "--lazy", mountpoint)
        users = command_line("fuser", "-vm", mountpoint)
        by_whom = f" ({users} shows by whom)" if shutil.which("fuser") else ""
        raise UserError(f"{mountpoint}: in use{by_whom}; this unmounts it when its users end: {lazily}")
    reason = message or "no fusermount3, fusermount or umount"
    raise UserError(f"{mountpoint}: cannot be unmounted ({reason})")


def unmount_command(mountpoint: Path) -> str:
    """The command with which this user can unmount a tree, for a message."""
    for program in ("fusermount3", "fusermount"):
        path = shutil.which(program)
        if path and (os.geteuid() == 0 or os.stat(path).st_mode & stat.S_ISUID):
            return command_line(program, "-u", mountpoint)
    if os.geteuid() == 0 and shutil.which("umount"):
        return command_line("umount", mountpoint)
    return command_line(*script("h5vfs.py"), "-u", mountpoint)


def _unmount_commands(mountpoint: Path, lazy: bool) -> list[list[str]]:
    """The commands to try, the most likely one first."""
    path = str(mountpoint)
    fusermount = [[name, "-u", *["-z"] * lazy, path] for name in ("fusermount3", "fusermount")]
    umount = [["umount", *["-l"] * lazy, path]]
    return umount + fusermount if os.geteuid() == 0 else fusermount + umount
