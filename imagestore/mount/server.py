"""The process that serves a mount, from its start to its end.

    start_server           forks a process, which serves, and sends READY or an error through a pipe
    serve_until_unmounted  opens the stores, mounts, and answers requests; also used in the foreground

One thread answers requests, and other processes may answer some of them (low_level_session.py). If there is
an idle timeout, a second thread watches the time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from imagestore.console import UserError, describe_missing
from imagestore.mount import fuse_library
from imagestore.mount.bugs import note_bug
from imagestore.mount.check_can_mount import check_can_mount, without_a_mount
from imagestore.mount.fuse_library import Library
from imagestore.mount.libfuse_messages import LibfuseMessages, why_not_mounted
from imagestore.mount.mount_settings import MountSettings
from imagestore.mount.mount_table import increase_read_ahead, unmount
from imagestore.mount.serve import serve
from imagestore.processes import ENDING, blocked, end_with_parent, keep_only

READY = b"ready"
HAS_ENDED = (errno.ENOTCONN, errno.ECONNABORTED, errno.ENOENT)  # what opening a mount that has ended gives


# ----- the new process -----


def start_server(settings: MountSettings, *, end_with_caller: bool = False) -> int:
    """Start the process that serves, and wait until the tree can be listed; returns the process id.

    With `end_with_caller`, the kernel sends SIGTERM to the server when this process ends, and so the tree is
    unmounted. Raises UserError if the tree cannot be mounted.
    """
    caller = os.getpid()
    reader, writer = os.pipe()
    sys.stdout.flush()
    server: int | None = None
    try:
        with open(reader, "rb") as pipe:
            # Python would lose a signal that arrives in its hooks around the fork.
            with open(writer, "wb"), blocked(*ENDING):
                server = os.fork()
                if server == 0:
                    _run_server(settings, writer, end_with=caller if end_with_caller else None)
            answer = pipe.read()
    except BaseException:
        if server is not None:  # interrupted: nothing may be mounted afterwards
            end_server(server)
        raise
    if answer != READY:
        os.waitpid(server, 0)
        raise UserError(answer.decode("utf-8", "surrogateescape") or "the mount ended before it was ready")
    return server


def end_server(server: int) -> None:
    """Ask the process that serves to end, and wait for it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(server, signal.SIGTERM)
    os.waitpid(server, 0)


def _run_server(settings: MountSettings, writer: int, *, end_with: int | None) -> NoReturn:
    """In the new process: serve, and end. `end_with` is the parent, if its end ends this process too."""
    status, answer_pipe = 1, _AnswerPipe(writer)
    os.register_at_fork(after_in_child=answer_pipe.close)
    try:
        # Until libfuse handles signals, they may end this process at once: there is nothing to clean up.
        for number in ENDING:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        os.setsid()
        if end_with is not None:
            end_with_parent(signal.SIGTERM, end_with)
        keep_only(writer)
        serve_until_unmounted(settings, lambda: answer_pipe.send(READY))
        status = 0
    except UserError as error:
        answer_pipe.send_error(str(error))
    except ModuleNotFoundError as error:
        answer_pipe.send_error(describe_missing(error))
    except BaseException as error:
        answer_pipe.send_error(f"unexpected {type(error).__name__}: {error}")
    finally:
        os._exit(status)


class _AnswerPipe:
    """The pipe to the process that waits for an answer: READY or an error."""

    def __init__(self, writer: int) -> None:
        self._writer: int | None = writer

    def send_error(self, message: str) -> None:
        """Send an error, as `send` does."""
        self.send(message.encode("utf-8", "surrogateescape"))

    def send(self, answer: bytes) -> None:
        """Send the first answer and close the pipe; a later answer is thrown away."""
        if self._writer is None:  # another file may have the number of the pipe
            return
        with contextlib.suppress(OSError):
            os.write(self._writer, answer)
        self.close()

    def close(self) -> None:
        """Close the pipe. A second call does nothing."""
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None


# ----- serving -----


def serve_until_unmounted(settings: MountSettings, on_ready: Callable[[], None]) -> None:
    """Mount, and answer requests until the tree is unmounted or a signal ends this process.

    `on_ready` is called once the tree can be listed. Raises UserError if it cannot be mounted.
    """
    library = _usable_library(settings)
    tree, messages = settings.open_tree(settings.stores), LibfuseMessages()
    refusals: list[str] = []

    def on_mounted() -> None:
        try:
            messages.stop()
            os.chdir("/")  # another current folder would keep its file system busy
            increase_read_ahead(settings.mountpoint)
        except Exception:  # a process waits for this mount, which works
            note_bug()

    def on_serving(count: Callable[[], int]) -> None:
        _start_thread(_try_to_open, settings, on_ready, refusals)
        if settings.idle_timeout:
            _start_thread(_unmount_when_idle, count, settings.mountpoint, settings.idle_timeout)

    with messages:
        status = serve(settings, library, tree, on_mounted, on_serving)
        if status is not None:
            raise UserError(why_not_mounted(settings.mountpoint, messages.text(), status))
        if refusals:
            raise UserError(refusals[0])


def _start_thread(target: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=target, args=arguments, daemon=True).start()


def _usable_library(settings: MountSettings) -> Library:
    """The FUSE library. Raises UserError if this machine has none or does not let this user mount."""
    try:
        library = fuse_library.load_library(settings.fuse_package)
        check_can_mount(library, settings.stores, settings.mountpoint)
    except UserError as error:
        advice = without_a_mount(settings.stores, settings.mountpoint)
        raise UserError(f"{error}; {advice}") from error
    return library


def _try_to_open(settings: MountSettings, on_ready: Callable[[], None], refusals: list[str]) -> None:
    """Call `on_ready` if this user can open the mounted folder. If not, unmount it and say so in `refusals`.

    This runs in a thread of its own, since the first one answers the kernel's requests. If a signal has ended
    the mount before this thread comes to it, there is nothing to do.
    """
    try:
        os.close(os.open(settings.mountpoint, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError as error:
        if error.errno in HAS_ENDED:
            return
        options = f"; leave out -o {','.join(settings.fuse_options)}" if settings.fuse_options else ""
        refusals.append(f"{settings.mountpoint}: you cannot read what is mounted ({error.strerror}){options}")
        try:
            unmount(settings.mountpoint, lazy=True)
        except UserError:
            os.kill(os.getpid(), signal.SIGTERM)  # libfuse unmounts then
    else:
        on_ready()


# ----- the idle timeout -----


def _unmount_when_idle(count: Callable[[], int], mountpoint: Path, timeout: float) -> None:
    """Unmount once no request came for `timeout` seconds and nobody has a file open."""
    before, since = count(), time.monotonic()
    while True:
        time.sleep(min(1.0, timeout / 8))
        if count() == before:
            if time.monotonic() - since < timeout:
                continue
            with contextlib.suppress(UserError):  # in use: wait for the next time
                unmount(mountpoint)
                return
        before, since = count(), time.monotonic()
