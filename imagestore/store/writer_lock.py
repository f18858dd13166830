"""One writer at a time, on file systems with and without locks.

A lock is a small file that names its holder and that the holder touches every few seconds. It needs
neither flock nor fcntl locks, which fail or hang on some network file systems. The lock of a process that
is gone (killed, or its node lost) is noticed and taken over. Used by writer.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import secrets
import socket
import time
from pathlib import Path

from imagestore.console import UserError

SECONDS_UNTIL_GIVEN_UP = 300.0


def acquire(lock: Path, what: Path) -> None:
    """Make the file `lock`, or raise UserError where somebody else is writing `what`."""
    draft = lock.with_name(f"{lock.name}.{secrets.token_hex(4)}")
    while True:
        draft.write_text(json.dumps({"host": _host(), "pid": os.getpid(), "started": _started(os.getpid())}))
        try:
            os.link(draft, lock)  # there with its content, or not at all; on NFS too
        except FileExistsError:
            _clear_if_abandoned(lock, what)
        except FileNotFoundError:  # somebody who took the lock cleared the draft away as well
            continue
        else:
            break
        finally:
            draft.unlink(missing_ok=True)
    for stray in lock.parent.glob(f"{glob.escape(lock.name)}.*"):
        stray.unlink(missing_ok=True)


def touch(lock: Path) -> None:
    """Show that the holder is alive."""
    with contextlib.suppress(OSError):
        os.utime(lock)


def release(lock: Path) -> None:
    """Let others write."""
    lock.unlink(missing_ok=True)


def _clear_if_abandoned(lock: Path, what: Path) -> None:
    try:
        text, age = lock.read_text(), time.time() - lock.stat().st_mtime
    except FileNotFoundError:
        return
    holder = _holder(text)
    if not _abandoned(holder, age):
        host = holder["host"].partition(" ")[0] if holder else ""
        who = f"process {holder['pid']} on {host}" if holder else "another process"
        raise UserError(
            f"{what}: {who} is writing it (last sign of life {max(age, 0):.0f} s ago); "
            f"wait until it has finished, or remove {lock} if it is gone"
        )
    aside = lock.with_name(f"{lock.name}.{secrets.token_hex(4)}")
    with contextlib.suppress(FileNotFoundError):
        lock.rename(aside)
        if aside.read_text() == text:
            aside.unlink()
        else:  # somebody else was quicker and holds it now
            aside.rename(lock)


def _holder(text: str) -> dict | None:
    with contextlib.suppress(ValueError):
        return json.loads(text)
    return None


def _abandoned(holder: dict | None, age: float) -> bool:
    if holder and holder["host"] == _host():
        return holder["started"] != _started(holder["pid"])
    return age > SECONDS_UNTIL_GIVEN_UP


def _host() -> str:
    """This host, and in a container with processes of its own (pid_namespaces(7)), which one."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> str | None:
    """When a process of this host started, in clock ticks since boot (proc(5)); None where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None
