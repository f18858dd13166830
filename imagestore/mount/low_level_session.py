"""A mount by libfuse 3's low-level interface, from mounting to unmounting, served by several processes.

Each process has an opened /dev/fuse of its own, which is a clone of the first. So the kernel knows which
process has taken a request. If that process is killed, the kernel answers the request with an error at once,
and the others go on. If the first process is killed, the others end too, and the kernel ends the connection.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import os
import signal
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from imagestore.mount.low_level_library import PROTOTYPES, Arguments, Operations
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
    with _session(requests, options) as session:
        # A signal waits until libfuse handles it: now it would leave a mount without a server.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        handlers = _set_default_handlers()
        try:
            if not session or library.fuse_session_mount(session, os.fsencode(mountpoint)):
                return FAILED
            children = []
            try:
                requests.on_mounted = lambda: library.fuse_session_exit(session)
                library.fuse_session_loop(session)  # until the kernel's first request is answered
                library.fuse_session_reset(session)
                on_mounted()
                children = [_fork(requests, session, number) for number in range(1, processes)]
                library.fuse_set_signal_handlers(session)
                on_serving()
                signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
                library.fuse_session_loop(session)
                library.fuse_remove_signal_handlers(session)
            finally:
                library.fuse_session_unmount(session)
                _end(children)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
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


def _set_default_handlers() -> dict[signal.Signals, object]:
    """libfuse handles signals that have their default action. Signals that are ignored (nohup) stay so."""
    handled = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
    return {number: signal.signal(number, signal.SIG_DFL) for number in handled}


# ----- the other processes -----


def _fork(requests: LowLevelRequests, session: int, number: int) -> int:
    """Start one more process that serves; returns its id."""
    parent = os.getpid()
    gc.freeze()  # a collection would copy the memory that the processes share
    process = os.fork()
    if process == 0:
        _serve_too(requests, session, number, parent)
    return process


def _serve_too(requests: LowLevelRequests, session: int, number: int, parent: int) -> NoReturn:
    """In a new process: answer requests until the tree is unmounted or the parent ends."""
    try:
        for signal_number in ENDING:  # these are for the parent, which unmounts
            signal.signal(signal_number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        end_with_parent(signal.SIGKILL, parent)
        _clone_device(requests.library.fuse_session_fd(session))
        requests.process = number
        requests.library.fuse_session_loop(session)
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
