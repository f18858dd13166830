"""A lock for the threads of one process. A forked or a pickled copy of it is free."""

from __future__ import annotations

import os
import threading


class ThreadLock:
    """A context manager that lets one thread of a process in at a time.

    After a fork, the thread that held the lock does not exist. So each process has a lock of its own.
    """

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = {}  # by the number of the process

    def __reduce__(self) -> tuple[type[ThreadLock], tuple[()]]:
        return ThreadLock, ()

    def __enter__(self) -> None:
        self._locks.setdefault(os.getpid(), threading.Lock()).acquire()

    def __exit__(self, *_: object) -> None:
        self._locks[os.getpid()].release()
