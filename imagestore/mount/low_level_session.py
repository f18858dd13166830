"""A mount by libfuse 3's low-level interface, from mounting to unmounting, served by several processes.

Each process has an opened /dev/fuse of its own, which is a clone of the first. So the kernel knows which
process has taken a request. If that process is killed, the kernel answers the request with an error at once,
and the others go on. If the first process is killed, the others end too, and the kernel ends the connection.

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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from imagestore.mount.low_level_library import PROTOTYPES, Arguments, Buffer, Operations
from imagestore.mount.low_level_requests import LowLevelRequests
from imagestore.processes import ENDING, end_with_parent

FUSE_DEV_IOC_CLONE = 0x8004E500  # linux/fuse.h
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
    with _session(requests, options) as session, _Ending() as ending:
        if not session or library.fuse_session_mount(session, os.fsencode(mountpoint)):
            return FAILED
        children: list[int] = []
        try:
            _answer(requests, session, ending, once=True)  # before, no other process may answer
            on_mounted()
            children = [_fork(requests, session, ending, number) for number in range(1, processes)]
            on_serving()
            _answer(requests, session, ending)
        finally:
            library.fuse_session_unmount(session)
            _end(children)
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
    session = library.fuse_session_new(ctypes.byref(arguments), ctypes.byref(operations), size, None)
    try:
        yield session
    finally:
        library.fuse_opt_free_args(ctypes.byref(arguments))
        if session:
            library.fuse_session_destroy(session)
        del callbacks  # libfuse has called them until now


class _Ending:
    """Whether a signal has asked for the end. A context manager; signals that are ignored (nohup) stay so."""

    is_requested = False

    def __enter__(self) -> _Ending:
        """Begin to watch. A signal makes `descriptor` readable, too."""
        self.descriptor, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        handled = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
        self._handlers = {number: signal.signal(number, self._request) for number in handled}
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        return self

    def _request(self, signum: int, frame: FrameType | None) -> None:
        self.is_requested = True

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self.descriptor)
        os.close(self._writer)


def _answer(requests: LowLevelRequests, session: int, ending: _Ending, *, once: bool = False) -> None:
    """Answer requests, only one if `once`, until the tree is unmounted or a signal asks for the end."""
    receive, process = requests.library.fuse_session_receive_buf, requests.library.fuse_session_process_buf
    device = requests.library.fuse_session_fd(session)
    buffer = ctypes.byref(Buffer())
    os.set_blocking(device, False)
    with select.epoll() as waiting:
        waiting.register(device, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        waiting.register(ending.descriptor, select.EPOLLIN)
        while waiting.poll() and not ending.is_requested:
            received = receive(session, buffer)
            if received > 0:
                process(session, buffer)
                if once:
                    return
            elif -received not in (errno.EINTR, errno.EAGAIN):  # EAGAIN: another process was faster
                return


# ----- the other processes -----


def _fork(requests: LowLevelRequests, session: int, ending: _Ending, number: int) -> int:
    """Start one more process that serves; returns its id."""
    parent = os.getpid()
    gc.freeze()  # a collection would copy the memory that the processes share
    process = os.fork()
    if process == 0:
        _serve_too(requests, session, ending, number, parent)
    return process


def _serve_too(
    requests: LowLevelRequests, session: int, ending: _Ending, number: int, parent: int
) -> NoReturn:
    """In a new process: answer requests until the tree is unmounted or the parent ends."""
    try:
        signal.set_wakeup_fd(-1)
        for signal_number in ENDING:  # these are for the parent, which unmounts
            signal.signal(signal_number, signal.SIG_IGN)
        end_with_parent(signal.SIGKILL, parent)
        _clone_device(requests.library.fuse_session_fd(session))
        requests.process = number
        _answer(requests, session, ending)
    finally:
        os._exit(0)


def _clone_device(device: int) -> None:
    """Put a clone of an opened /dev/fuse in its place. Raises OSError: kernels before 4.2 cannot do it."""
    clone = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(clone, FUSE_DEV_IOC_CLONE, struct.pack("I", device))
    os.dup2(clone, device, inheritable=False)
    os.close(clone)


def _end(children: list[int]) -> None:
    """End the other processes."""
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
