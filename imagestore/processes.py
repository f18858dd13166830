"""The CPUs that a process may use, signals, and child processes.

Imports nothing slow: a script calls `let_interrupts_end_python` before its other imports.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from imagestore.control_groups import cpu_quotas, own_groups

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Warnings of batch systems before they end a job, and of a terminal that is closed.
WARNINGS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU, signal.SIGHUP)
STOPPING = (signal.SIGINT, signal.SIGTERM, *WARNINGS)  # each asks for an orderly end
WARNED = 1  # the exit status after a warning
PR_SET_PDEATHSIG = 1  # prctl(2)


# ----- signals -----


def let_interrupts_end_python() -> None:
    """Until `console.main` takes over, let Ctrl-C end Python without a traceback: the imports take a moment.

    If SIGINT is ignored (nohup, a background job of a shell), it stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


class Stop:
    """The signal that asked for an orderly end, if there was one."""

    signum: int | None = None

    @property
    def requested(self) -> bool:
        """Whether to finish the current work and end."""
        return self.signum is not None

    @property
    def status(self) -> int:
        """The exit status: 130 for SIGINT, 143 for SIGTERM, 1 for a warning, 0 without a signal."""
        if self.signum is None:
            return 0
        return WARNED if self.signum in WARNINGS else 128 + self.signum


@contextlib.contextmanager
def stopping() -> Iterator[Stop]:
    """Watch the signals of STOPPING. The first one is noted; a later SIGINT interrupts at once.

    If SIGHUP is ignored (nohup), it stays ignored.
    """
    stop = Stop()

    def note_signal(signum: int, frame: FrameType | None) -> None:
        if stop.signum is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt
        stop.signum = signum

    watched = [n for n in STOPPING if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, note_signal) for number in watched}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def blocked(*signals: signal.Signals) -> Iterator[None]:
    """Let signals wait until the block is left; processes started inside do not see them at all.

    The mask of this thread is not enough. Another thread (NumPy's library starts some) may take a signal, and
    then Python calls the handler here. So the handlers wait too, if this is the main thread, which has them.
    """
    arrived: list[int] = []
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        handled = [number for number in signals if callable(signal.getsignal(number))]
        handlers = {number: signal.signal(number, lambda n, _: arrived.append(n)) for number in handled}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number in arrived:
            signal.raise_signal(number)


# ----- CPUs -----


def cpu_count() -> int:
    """The CPUs this process may use: the least of its affinity, its quota, and its share of a Slurm job.

    The processes that torchrun starts on a node share them.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min([allowed, *cpu_quotas(own_groups()), *_count_in_environment("SLURM_CPUS_PER_TASK")])
    return max(count // next(_count_in_environment("LOCAL_WORLD_SIZE"), 1), 1)


def thread_count(workers: int) -> int:
    """The threads of a numeric library: as OMP_NUM_THREADS says, else `workers`, but no more than CPUs.

    0 workers, which are none beside the process itself, make one thread.
    """
    return next(_count_in_environment("OMP_NUM_THREADS"), max(1, min(workers, cpu_count())))


def _count_in_environment(name: str) -> Iterator[int]:
    """The value of a variable, if it is a count. OMP_NUM_THREADS may be a list; its first number counts."""
    text = os.environ.get(name, "").partition(",")[0].strip()
    if text.isdecimal() and int(text) > 0:
        yield int(text)


def share_processors() -> None:
    """Let threads of OpenMP sleep while they wait; call it before torch is imported.

    By default they spin, which takes time from other work on a busy node: a training with two threads on two
    processors that others use as well was measured 4 to 7 times as slow.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def load_numpy_without_threads() -> None:
    """Import NumPy; its linear algebra, which a store does not need, starts no threads.

    The threads take a fifth of the time that a mount needs to start. Programs that this process starts later
    have the threads that they want.
    """
    with _variable("OPENBLAS_NUM_THREADS", "1"):
        import numpy  # noqa: F401


@contextlib.contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Set a variable of the environment in this block, unless the user has set it."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


# ----- child processes -----


def end_with_parent(signum: signal.Signals, parent: int) -> None:
    """Have the kernel send this process a signal when its parent ends. If `parent` is gone, end now."""
    import ctypes  # here: it is slow to import, and few processes need it

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signum)
    if os.getppid() != parent:
        os._exit(1)


def keep_only(*descriptors: int) -> None:
    """Close every file that this process inherited but these, and send the standard ones to /dev/null.

    Otherwise a pipe, a lock or /dev/fuse would stay open for as long as this process lives.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    first = 3
    for descriptor in sorted(descriptors):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))
