"""What libfuse says while it mounts, and what that means for the user."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from imagestore.mount.mountpoint import suggested_mountpoint
from imagestore.printed_commands import command_line, script

MOST_MESSAGES = 64 << 10  # bytes


class LibfuseMessages:
    """What libfuse writes to standard error while it mounts.

    libfuse gives the reason for a failure only there. A context manager: standard error goes to a pipe until
    `stop`. What does not fit into the pipe is lost; the reason comes first.
    """

    def __enter__(self) -> LibfuseMessages:
        self._reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        sys.stderr.flush()
        self._standard_error = os.dup(2)
        os.dup2(writer, 2)
        os.close(writer)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        os.close(self._standard_error)
        os.close(self._reader)

    def stop(self) -> None:
        """Give standard error back."""
        os.dup2(self._standard_error, 2)

    def text(self) -> str:
        """What libfuse wrote."""
        with contextlib.suppress(BlockingIOError):  # nothing
            return os.read(self._reader, MOST_MESSAGES).decode(errors="replace")
        return ""


def why_not_mounted(mountpoint: Path, messages: str, status: int) -> str:
    """Why the tree cannot be mounted, in libfuse's words, and what to do about it."""
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    reason = lines[0] if lines else f"libfuse ended with status {status}"
    advice = ""
    if "unknown option" in reason or "invalid argument" in messages.lower():
        advice = f"; see man mount.fuse and: {command_line(*script('h5vfs.py'), '--help')}"
    elif "user_allow_other" in messages:
        advice = "; the administrator must set user_allow_other in /etc/fuse.conf"
    elif any(word in messages for word in ("forbidden", "ermi", "denied", "no write access")):
        advice = (
            f"; this file system may refuse mounts, or this user may not mount: try {suggested_mountpoint()}"
        )
    return f"{mountpoint}: cannot be mounted ({reason}){advice}"
