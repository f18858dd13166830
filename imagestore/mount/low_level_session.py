"""A mount by libfuse 3's low-level interface, from mounting to unmounting, served by several processes.

Each process has an opened /dev/fuse of its own, which is a clone of the first. So the kernel knows which
process has taken a request. If that process is killed, the kernel answers the request with an error at once,
and another process takes its place. If the first process is killed, all end, and the kernel ends the
connection.

The processes wait in a fixed order: the kernel wakes the first one that has nothing to do. So a single reader
is served by one process, whose memory is warm; in turns, they would take half as much time again. The others
come in when many read.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import gc
import os
import select
import signal
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from imagestore.mount.low_level_library import PROTOTYPES, Arguments, Buffer, Operations
from imagestore.mount.low_level_requests import LowLevelRequests
from imagestore.processes import ENDING, end_with_parent

FUSE_DEV_IOC_CLONE = 0x8004E500  # linux/fuse.h
SECONDS_TO_BEGIN = 1.0  # a process that ends earlier may do so again and again
FAILED = 1  # a status such as libfuse's main function returns


def serve(
    requests: LowLevelRequests,
    mountpoint: Path,
    options: Sequence[str],
    processes: int,
    on_mounted: Callable[[], None],
    on_serving: Callable[[], None],
) -> int:
    """Mount, and answer requests until unmounted or ended by a signal; returns 0, or FAILED if not mounted.

    `on_mounted` is called once it is mounted, before the other processes start, and `on_serving` after that.
    libfuse writes the reason for a failure to standard error.
    """
    library = requests.library
    with _session(requests, options) as session, _Signals() as signals:
        if not session or library.fuse_session_mount(session, os.fsencode(mountpoint)):
            return FAILED
        others = _OtherProcesses(requests, session, signals)
        try:
            _answer(requests, session, signals, once=True)  # before, no other process may answer
            on_mounted()
            for number in range(1, processes):
                others.start(number)
            on_serving()
            _answer(requests, session, signals, on_child_ended=others.replace_killed)
        finally:
            library.fuse_session_unmount(session)
            others.end()
    return 0


@contextlib.contextmanager
def _session(requests: LowLevelRequests, options: Sequence[str]) -> Iterator[int | None]:
    """libfuse's session, or None if it does not take the options."""
    library = requests.library
    callbacks = {name: PROTOTYPES[name](callback) for name, callback in requests.callbacks().items()}
    addresses = {name: ctypes.cast(callback, ctypes.c_void_p).value for name, callback in callbacks.items()}
    operations = Operations(**addresses)
    words = ["h5vfs", "-o", ",".join(options)]
    arguments = Arguments(len(words), (ctypes.c_char_p * len(words))(*map(os.fsencode, words)), 0)
    size = ctypes.sizeof(operations)
    requests.connection_options = library.fuse_parse_conn_info_opts(ctypes.byref(arguments))
    session = library.fuse_session_new(ctypes.byref(arguments), ctypes.byref(operations), size, None)
    try:
        yield session
    finally:
        library.fuse_opt_free_args(ctypes.byref(arguments))
        if session:
            library.fuse_session_destroy(session)
        del callbacks  # libfuse has called them until now


class _Signals:
    """The signals that have arrived: whether one asks for the end, and whether a child process has ended.

    A context manager. Signals that are ignored (nohup) stay so.
    """

    is_end_requested = has_child_ended = False

    def __enter__(self) -> _Signals:
        """Begin to watch. A signal also makes the descriptor in `descriptors` readable."""
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.descriptors = [self._reader]
        handled = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
        self._handlers = {number: signal.signal(number, self._request_end) for number in handled}
        self._handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, self._note_child)
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        return self

    def _request_end(self, signum: int, frame: FrameType | None) -> None:
        self.is_end_requested = True

    def _note_child(self, signum: int, frame: FrameType | None) -> None:
        self.has_child_ended = True

    def clear(self) -> None:
        """Forget that a child process has ended, and empty the pipe that says so."""
        self.has_child_ended = False
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4096)

    def leave_to_parent(self) -> None:
        """In a forked process: watch no more. The parent unmounts, and that ends this process."""
        signal.set_wakeup_fd(-1)
        self.descriptors = []
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)


def _answer(
    requests: LowLevelRequests,
    session: int,
    signals: _Signals,
    *,
    once: bool = False,
    on_child_ended: Callable[[], None] = lambda: None,
) -> None:
    """Answer requests, only one if `once`, until the tree is unmounted or a signal asks for the end."""
    receive, process = requests.library.fuse_session_receive_buf, requests.library.fuse_session_process_buf
    device = requests.library.fuse_session_fd(session)
    buffer = ctypes.byref(Buffer())
    os.set_blocking(device, False)
    with select.epoll() as waiting:
        waiting.register(device, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        for descriptor in signals.descriptors:
            waiting.register(descriptor, select.EPOLLIN)
        while waiting.poll() and not signals.is_end_requested:
            if signals.has_child_ended:
                signals.clear()
                on_child_ended()
            received = receive(session, buffer)
            if received > 0:
                process(session, buffer)
                if once:
                    return
            elif -received not in (errno.EINTR, errno.EAGAIN):  # EAGAIN: another process was faster
                return


# ----- the other processes -----


class _OtherProcesses:
    """The processes that serve beside this one."""

    def __init__(self, requests: LowLevelRequests, session: int, signals: _Signals) -> None:
        """None is started yet."""
        self._requests, self._session, self._signals = requests, session, signals
        self._started: dict[int, tuple[int, float]] = {}  # process id -> its number, and when it was started

    def start(self, number: int) -> None:
        """Start process number `number`."""
        parent = os.getpid()
        gc.freeze()  # a collection would copy the memory that the processes share
        process = os.fork()
        if process == 0:
            self._serve(number, parent)
        self._started[process] = number, time.monotonic()

    def _serve(self, number: int, parent: int) -> NoReturn:
        """In the new process: answer requests until the tree is unmounted or the parent ends."""
        try:
            self._signals.leave_to_parent()
            end_with_parent(signal.SIGKILL, parent)
            _clone_device(self._requests.library.fuse_session_fd(self._session))
            self._requests.process = number
            _answer(self._requests, self._session, self._signals)
        finally:
            os._exit(0)

    def replace_killed(self) -> None:
        """Start new processes for those that a signal has ended, but not if they have just begun."""
        for process, (number, started) in list(self._started.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                del self._started[process]
                if os.WIFSIGNALED(status) and time.monotonic() - started > SECONDS_TO_BEGIN:
                    self.start(number)

    def end(self) -> None:
        """End all of them."""
        for process in self._started:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def _clone_device(device: int) -> None:
    """Put a clone of an opened /dev/fuse in its place. Raises OSError: kernels before 4.2 cannot do it."""
    clone = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(clone, FUSE_DEV_IOC_CLONE, struct.pack("I", device))
    os.dup2(clone, device, inheritable=False)
    os.close(clone)
