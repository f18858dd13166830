"""The process that serves a mount, from its start to its end.

    start_server           forks a process, which serves, and sends READY or an error through a pipe
    serve_until_unmounted  opens the stores, mounts, and answers requests; also used in the foreground

One thread answers all requests. If there is an idle timeout, a second thread watches the time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from imagestore.console import UserError, describe_missing
from imagestore.mount import fuse_library, fuse_options
from imagestore.mount.check_can_mount import check_can_mount, without_a_mount
from imagestore.mount.fuse_library import Library
from imagestore.mount.mount_settings import MountSettings
from imagestore.mount.mount_table import increase_read_ahead, unmount
from imagestore.mount.mountpoint import suggested_mountpoint
from imagestore.mount.requests import ReopeningRequests, Requests
from imagestore.printed_commands import command_line, script
from imagestore.processes import ENDING, blocked, end_with_parent, keep_only
from imagestore.vfs.tree import Tree

READY = b"ready"
SECONDS_TO_LOOK_AHEAD = 0.25
MOST_MESSAGES = 64 << 10  # bytes of what libfuse says
FOREVER = 1e9  # seconds that the kernel may keep answers: a mounted tree does not change


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
        writer, self._writer = self._writer, None
        with contextlib.suppress(OSError):
            os.write(writer, answer)
            os.close(writer)


# ----- serving -----


def serve_until_unmounted(settings: MountSettings, on_ready: Callable[[], None]) -> None:
    """Mount, and answer requests until the tree is unmounted or a signal ends this process.

    `on_ready` is called once the tree can be listed. Raises UserError if it cannot be mounted.
    """
    library = _usable_library(settings)
    tree, messages = settings.open_tree(settings.stores), _LibfuseMessages()
    refusals: list[str] = []

    def on_mounted() -> None:  # the kernel's first request calls this
        try:
            messages.stop()
            os.chdir("/")  # another current folder would keep its file system busy
            increase_read_ahead(settings.mountpoint)
        finally:  # also after a bug: a process waits for this
            threading.Thread(target=_try_to_open, args=(settings, on_ready, refusals), daemon=True).start()

    with contextlib.closing(_make_requests(settings, tree, library, on_mounted)) as requests:
        tree.look_ahead(SECONDS_TO_LOOK_AHEAD)
        with messages:
            options = _mount_options(settings, tree, library)
            if settings.idle_timeout:
                arguments = (requests, settings.mountpoint, settings.idle_timeout)
                threading.Thread(target=_unmount_when_idle, args=arguments, daemon=True).start()
            status = fuse_library.serve(library, requests.callbacks(), settings.mountpoint, options)
            if not requests.is_mounted:
                raise UserError(_failure(settings.mountpoint, messages.text(), status))
            if refusals:
                raise UserError(refusals[0])


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

    This runs in a thread of its own, since the first one answers the kernel's requests.
    """
    try:
        os.close(os.open(settings.mountpoint, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError as error:
        options = f"; leave out -o {','.join(settings.fuse_options)}" if settings.fuse_options else ""
        refusals.append(f"{settings.mountpoint}: you cannot read what is mounted ({error.strerror}){options}")
        try:
            unmount(settings.mountpoint, lazy=True)
        except UserError:
            os.kill(os.getpid(), signal.SIGTERM)  # libfuse unmounts then
    else:
        on_ready()


class _LibfuseMessages:
    """What libfuse writes to standard error while it mounts.

    libfuse gives the reason for a failure only there. A context manager: standard error goes to a pipe until
    `stop`. What does not fit into the pipe is lost; the reason comes first.
    """

    def __enter__(self) -> _LibfuseMessages:
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


def _make_requests(
    settings: MountSettings, tree: Tree, library: Library, on_mounted: Callable[[], None]
) -> Requests:
    if settings.show_replacements:
        return ReopeningRequests(tree, library, on_mounted, lambda: settings.open_tree(tree.files))
    return Requests(tree, library, on_mounted)


def _mount_options(settings: MountSettings, tree: Tree, library: Library) -> list[str]:
    timeout = FOREVER
    if settings.idle_timeout:
        timeout = settings.idle_timeout / 2  # then somebody who uses the tree causes a request in time
    if settings.show_replacements:
        timeout = 0.0
    return fuse_options.mount_options(
        library,
        stores=",".join(map(str, tree.files)),
        user_options=settings.fuse_options,
        timeout=timeout,
        kernel_cache=not settings.show_replacements,
    )


def _failure(mountpoint: Path, messages: str, status: int) -> str:
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


# ----- the idle timeout -----


def _unmount_when_idle(requests: Requests, mountpoint: Path, timeout: float) -> None:
    """Unmount once no request came for `timeout` seconds and nobody has a file open."""
    count, since = requests.count, time.monotonic()
    while True:
        time.sleep(min(1.0, timeout / 8))
        if requests.count == count:
            if time.monotonic() - since < timeout:
                continue
            with contextlib.suppress(UserError):  # in use: wait for the next time
                unmount(mountpoint)
                return
        count, since = requests.count, time.monotonic()
