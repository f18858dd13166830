"""The life of a mount: the look before the leap, the background, the end.

`mount` returns when the tree is ready to be listed and leaves a process behind that serves it; everything
that can go wrong is said before. `run_in_mount` mounts for the length of one command. Used by h5vfs.py.
The serving process answers with one thread; where it may end by itself, a second one watches the clock.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagestore import fuse_adapter
from imagestore.console import ENDING, UserError, note
from imagestore.fuse_adapter import FollowingRequests, Library, Requests
from imagestore.mounts import is_disconnected, read_further_ahead, unmount
from imagestore.tree import Tree, open_tree

SECONDS_OF_LOOKING_AHEAD = 0.25
PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Settings:
    """What to mount where, and how; see the options of h5vfs.py."""

    stores: list[str]
    mountpoint: Path
    options: list[str] = field(default_factory=list)
    side_by_side: bool = False
    follow: bool = False
    follow_external: bool = False
    idle_timeout: float | None = None  # seconds
    library: str | None = None

    def open_tree(self, stores: Sequence[str | Path]) -> Tree:
        """The tree of `stores`, shown as the settings say. Raises UserError."""
        return open_tree(stores, side_by_side=self.side_by_side, follow_external=self.follow_external)


def mount(settings: Settings) -> int:
    """Mount in the background; returns when the tree can be listed. Raises UserError."""
    with _mountpoint_ready(settings.mountpoint):
        _start(settings)
        for number in ENDING:  # from here on it is mounted, and says so
            signal.signal(number, signal.SIG_IGN)
    print(
        f"mounted on {settings.mountpoint}; to unmount: fusermount -u {shlex.quote(str(settings.mountpoint))}"
    )
    return 0


def mount_in_foreground(settings: Settings) -> int:
    """Mount and serve until unmounted or interrupted. Raises UserError."""
    with _mountpoint_ready(settings.mountpoint):
        return _serve(settings, lambda: note(f"mounted on {settings.mountpoint}; Ctrl-C unmounts"))


def run_in_mount(settings: Settings, command: Sequence[str]) -> int:
    """Mount, run a command, unmount whatever happens; the command's exit status, 128 + n where a signal n
    ended it. Raises UserError.
    """
    with _mountpoint_ready(settings.mountpoint) as created:
        server = _start(settings, until_parent_ends=True)
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


# ----- before -----


@contextlib.contextmanager
def _mountpoint_ready(mountpoint: Path) -> Iterator[bool]:
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
        raise UserError(f"{mountpoint}: cannot be made ({error.strerror}); try {_elsewhere()}") from error
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


def check_fuse(library: Library) -> None:
    """Raise UserError where this machine will not let this user mount anything."""
    if not Path("/dev/fuse").exists():
        raise UserError(
            "/dev/fuse is not there: modprobe fuse (root), or start the container with --device /dev/fuse "
            "--cap-add SYS_ADMIN; without it, ./h5vfs.py unpack gives plain files"
        )
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise UserError("/dev/fuse: permission denied; ask for access to it, or ./h5vfs.py unpack instead")
    helper = fuse_adapter.PACKAGES[library.name][2]
    if os.geteuid() != 0 and not shutil.which(helper):
        raise UserError(
            f"no {helper} to mount with as a user: apt install fuse3, or mount in a namespace of your own "
            "(unshare -rm sh -c './h5vfs.py FILE.h5 MOUNTPOINT && exec $SHELL')"
        )


def _elsewhere() -> str:
    return f"/tmp/{os.environ.get('USER', 'you')}/mnt"


# ----- while -----


def _start(settings: Settings, until_parent_ends: bool = False) -> int:
    """Start the process that serves; returns its id once the tree is ready. Raises UserError."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    # A signal during the fork would be lost in Python's own hooks around it.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    server = os.fork()
    if server == 0:
        os.close(reader)
        _be_server(settings, writer, until_parent_ends)
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


def _be_server(settings: Settings, writer: int, until_parent_ends: bool) -> None:
    """In the new process: serve, then end; never returns."""
    status = 1
    try:
        # Nothing is to be tidied up before libfuse takes over; an exception might be lost in a fork's hooks.
        for number in ENDING:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        os.setsid()
        if until_parent_ends:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        _detach(writer)
        status = _serve(settings, lambda: _tell(writer, b"ready"))
    except UserError as error:
        _tell(writer, str(error).encode(errors="surrogateescape"))
    except BaseException as error:
        _tell(writer, f"unexpected {type(error).__name__}: {error}".encode(errors="surrogateescape"))
    finally:
        os._exit(status)


def _detach(writer: int) -> None:
    """Let go of the terminal and of all that the caller had open: a pipe or a lock would be held for ever."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(3, writer)
    os.closerange(writer + 1, os.sysconf("SC_OPEN_MAX"))


def _tell(writer: int, answer: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(writer, answer)
        os.close(writer)


def _serve(settings: Settings, tell_ready: Callable[[], None]) -> int:
    """Mount and answer requests until the end. Raises UserError where it cannot be mounted."""
    library = fuse_adapter.load_library(settings.library)
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
        status = fuse_adapter.serve(
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


def _requests(settings: Settings, tree: Tree, library: Library, ready: Callable[[], None]) -> Requests:
    if settings.follow:
        return FollowingRequests(tree, library, ready, lambda: settings.open_tree(tree.files))
    return Requests(tree, library, ready)


def _options(settings: Settings, library: Library, tree: Tree) -> list[str]:
    name = ",".join(map(str, tree.files))
    timeout = float(fuse_adapter.FOREVER)
    if settings.idle_timeout:
        timeout = settings.idle_timeout / 2  # so that a look at what the kernel remembers is noticed
    if settings.follow:
        timeout = 0.0
    return fuse_adapter.mount_options(library, name, settings.options, timeout, not settings.follow)


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
        advice = f"; this file system may refuse mounts, or this user may not mount: try {_elsewhere()}"
    return f"{mountpoint}: cannot be mounted ({words}){advice}"


def _unmount_when_idle(requests: Requests, settings: Settings) -> None:
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
