"""The process that serves a mount, from its start to its end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from imagestore.console import UserError
from imagestore.mount import fuse_library
from imagestore.mount.fuse_library import Library
from imagestore.mount.mount_table import read_further_ahead, unmount
from imagestore.mount.mountpoint import another_mountpoint
from imagestore.mount.requests import FollowingRequests, Requests
from imagestore.mount.settings import MountSettings
from imagestore.processes import ENDING, end_with_parent, keep_only
from imagestore.vfs.tree import Tree

SECONDS_OF_LOOKING_AHEAD = 0.25


def check_fuse(library: Library) -> None:
    """Raise UserError where this machine will not let this user mount anything."""
    if not Path("/dev/fuse").exists():
        raise UserError(
            "/dev/fuse is not there: modprobe fuse (root), or start the container with --device /dev/fuse "
            "--cap-add SYS_ADMIN; without it, ./h5vfs.py unpack gives plain files"
        )
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise UserError("/dev/fuse: permission denied; ask for access to it, or ./h5vfs.py unpack instead")
    helper = fuse_library.PACKAGES[library.name][2]
    if os.geteuid() != 0 and not shutil.which(helper):
        raise UserError(
            f"no {helper} to mount with as a user: apt install fuse3, or mount in a namespace of your own "
            "(unshare -rm sh -c './h5vfs.py FILE.h5 MOUNTPOINT && exec $SHELL')"
        )


def start_server(settings: MountSettings, until_parent_ends: bool = False) -> int:
    """Start the process that serves; returns its id once the tree is ready. Raises UserError."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    # A signal during the fork would be lost in Python's own hooks around it.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    parent = os.getpid()
    server = os.fork()
    if server == 0:
        os.close(reader)
        _be_server(settings, writer, parent if until_parent_ends else None)
    os.close(writer)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        with open(reader, "rb") as answers:
            answer = answers.read()
    except BaseException:  # interrupted: nothing may be mounted afterwards
        with contextlib.suppress(ProcessLookupError):
            os.kill(server, signal.SIGTERM)
        os.waitpid(server, 0)
        raise
    if answer != b"ready":
        os.waitpid(server, 0)
        raise UserError(answer.decode(errors="replace") or "the mount ended before it was ready")
    return server


def _be_server(settings: MountSettings, writer: int, parent: int | None) -> None:
    """In the new process: serve, then end; never returns."""
    status = 1
    try:
        # Nothing is to be tidied up before libfuse takes over; an exception might be lost in a fork's hooks.
        for number in ENDING:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        os.setsid()
        if parent is not None:
            end_with_parent(signal.SIGTERM, parent)
        keep_only(writer)  # a pipe or a lock of the caller would be held for ever
        status = serve_until_unmounted(settings, lambda: _tell(writer, b"ready"))
    except UserError as error:
        _tell(writer, str(error).encode(errors="surrogateescape"))
    except BaseException as error:
        _tell(writer, f"unexpected {type(error).__name__}: {error}".encode(errors="surrogateescape"))
    finally:
        os._exit(status)


def _tell(writer: int, answer: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(writer, answer)
        os.close(writer)


def serve_until_unmounted(settings: MountSettings, tell_ready: Callable[[], None]) -> int:
    """Mount and answer requests until the end. Raises UserError where it cannot be mounted."""
    library = fuse_library.load_library(settings.library)
    check_fuse(library)
    with settings.open_tree(settings.stores) as tree, tempfile.TemporaryFile() as said:
        tree.look_ahead(SECONDS_OF_LOOKING_AHEAD)
        is_ready = threading.Event()
        standard_error = _redirect(said.fileno())

        def ready() -> None:
            os.dup2(standard_error, 2)
            os.chdir("/")  # keeps no other file system busy
            read_further_ahead(settings.mountpoint)
            is_ready.set()
            tell_ready()

        requests = _requests(settings, tree, library, ready)
        if settings.idle_timeout:
            watch = threading.Thread(target=_unmount_when_idle, args=(requests, settings), daemon=True)
            watch.start()
        status = fuse_library.serve(
            library, requests.handlers(), settings.mountpoint, _options(settings, library, tree)
        )
        os.dup2(standard_error, 2)
        if not is_ready.is_set():
            said.seek(0)
            raise UserError(_why_not(settings.mountpoint, said.read().decode(errors="replace"), status))
        return 0


def _redirect(fd: int) -> int:
    """Send standard error to `fd`, as libfuse says there why it cannot mount; returns a copy of the old."""
    sys.stderr.flush()
    copy = os.dup(2)
    os.dup2(fd, 2)
    return copy


def _requests(settings: MountSettings, tree: Tree, library: Library, ready: Callable[[], None]) -> Requests:
    if settings.follow:
        return FollowingRequests(tree, library, ready, lambda: settings.open_tree(tree.files))
    return Requests(tree, library, ready)


def _options(settings: MountSettings, library: Library, tree: Tree) -> list[str]:
    name = ",".join(map(str, tree.files))
    timeout = float(fuse_library.FOREVER)
    if settings.idle_timeout:
        timeout = settings.idle_timeout / 2  # so that a look at what the kernel remembers is noticed
    if settings.follow:
        timeout = 0.0
    return fuse_library.mount_options(library, name, settings.options, timeout, not settings.follow)


def _why_not(mountpoint: Path, said: str, status: int) -> str:
    """libfuse's words, and what to do about them."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    words = lines[0] if lines else f"libfuse ended with status {status}"
    advice = ""
    if "unknown option" in words or "invalid argument" in said.lower():
        advice = "; see -o in ./h5vfs.py --help and man mount.fuse"
    elif "user_allow_other" in said:
        advice = "; the administrator must set user_allow_other in /etc/fuse.conf"
    elif any(word in said for word in ("forbidden", "ermi", "denied", "no write access")):
        advice = (
            f"; this file system may refuse mounts, or this user may not mount: try {another_mountpoint()}"
        )
    return f"{mountpoint}: cannot be mounted ({words}){advice}"


def _unmount_when_idle(requests: Requests, settings: MountSettings) -> None:
    """Unmount once nobody has asked for `idle_timeout` seconds and nobody has anything open."""
    timeout = settings.idle_timeout or 0
    seen, since = requests.count, time.monotonic()
    while True:
        time.sleep(min(1.0, timeout / 8))
        if requests.count != seen:
            seen, since = requests.count, time.monotonic()
        elif time.monotonic() - since >= timeout:
            with contextlib.suppress(UserError):  # in use: look again later
                unmount(settings.mountpoint)
                return
            seen, since = requests.count, time.monotonic()
