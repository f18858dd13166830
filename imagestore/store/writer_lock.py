"""One writer at a time, on file systems with and without locks.

The lock is a small file that names its holder. The holder touches it every few seconds. Neither flock nor
fcntl locks are used: they fail or hang on some network file systems. If the holder is gone (killed, or its
node lost), the next process takes the lock over.
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

SECONDS_UNTIL_ABANDONED = 300.0  # since the last touch by a holder on another host
SECONDS_OF_A_TAKEOVER = 0.01
TAKEOVER = ".takeover"


def acquire(lock: Path, store: Path, until_abandoned: float = SECONDS_UNTIL_ABANDONED) -> None:
    """Make the file `lock`. Raises UserError if another process holds it and so is writing `store`.

    A holder on another host is gone if it has not touched the lock for `until_abandoned` seconds.
    """
    while not _make(lock):
        _remove_if_abandoned(lock, store, until_abandoned)
    for leftover in lock.parent.glob(f"{glob.escape(lock.name)}.*"):
        if not _is_in_use(leftover):
            leftover.unlink(missing_ok=True)


def _make(lock: Path) -> bool:
    """Make a lock of this process; False if the lock exists."""
    while True:
        draft = lock.with_name(f"{lock.name}.{secrets.token_hex(4)}")
        try:
            draft.write_text(_holder_as_text(), encoding="utf-8")
        except OSError:  # a full disk
            draft.unlink(missing_ok=True)
            raise
        try:
            os.link(draft, lock)  # makes the lock with its content, or fails if it exists; on NFS too
        except FileExistsError:
            return False
        except FileNotFoundError:  # a process that took the lock has removed the draft as a leftover
            continue
        finally:
            draft.unlink(missing_ok=True)
        return True


def _is_in_use(leftover: Path) -> bool:
    """Whether a file beside the lock is the takeover file of a process that lives."""
    if leftover.suffix != TAKEOVER:
        return False
    with contextlib.suppress(FileNotFoundError):
        holder, age = _parse_holder(leftover.read_bytes()), time.time() - leftover.stat().st_mtime
        return holder is not None and not _is_abandoned(holder, age)
    return False


def _takeover_of(lock: Path) -> Path:
    """The lock of the process that removes an abandoned lock; it exists for a few milliseconds."""
    return lock.with_name(f"{lock.name}{TAKEOVER}")


def touch(lock: Path) -> None:
    """Show that the holder is alive."""
    with contextlib.suppress(OSError):
        os.utime(lock)


def release(lock: Path) -> None:
    """Let others write."""
    lock.unlink(missing_ok=True)


def _remove_if_abandoned(lock: Path, store: Path, until_abandoned: float) -> None:
    """Remove the lock of a holder that is gone. Raises UserError if the holder lives."""
    try:
        text, age = lock.read_bytes(), time.time() - lock.stat().st_mtime
    except FileNotFoundError:
        return
    holder = _parse_holder(text)
    if not _is_abandoned(holder, age, until_abandoned):
        host = holder["host"].partition(" ")[0] if holder else ""
        who = f"process {holder['pid']} on {host}" if holder else "another process"
        raise UserError(
            f"{store}: {who} is writing it (last sign of life {max(age, 0):.0f} s ago); "
            f"wait until it has finished, or remove {lock} if that process is gone"
        )
    # Other processes may try the same now. One at a time may remove the lock, if it is still the same.
    takeover = _takeover_of(lock)
    if not _make(takeover):
        _wait_for_takeover(takeover)
        return
    try:
        with contextlib.suppress(FileNotFoundError):
            if lock.read_bytes() == text:
                lock.unlink()
    finally:
        release(takeover)


def _wait_for_takeover(takeover: Path) -> None:
    """Give another process time to remove a lock; if that process was killed, remove its takeover file."""
    time.sleep(SECONDS_OF_A_TAKEOVER)
    with contextlib.suppress(FileNotFoundError):
        age = time.time() - takeover.stat().st_mtime
        if _is_abandoned(_parse_holder(takeover.read_bytes()), age):
            takeover.unlink()


def _holder_as_text() -> str:
    return json.dumps({"host": _host(), "pid": os.getpid(), "started": _start_time(os.getpid())})


def _parse_holder(text: bytes) -> dict | None:
    with contextlib.suppress(ValueError):
        return json.loads(text)
    return None


def _is_abandoned(holder: dict | None, age: float, until_abandoned: float = SECONDS_UNTIL_ABANDONED) -> bool:
    """Whether the holder is gone; `age` is the time in seconds since it touched the lock."""
    if holder and holder["host"] == _host():
        return holder["started"] != _start_time(holder["pid"])
    return age > until_abandoned


def _host() -> str:
    """The name of this host, and the number of this container's processes (pid_namespaces(7))."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _start_time(pid: int) -> str | None:
    """When a process of this host started, in clock ticks since boot (proc(5)); None if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
    except OSError:
        return None
