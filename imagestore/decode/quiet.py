"""Keep Pillow and the C libraries below it from writing warnings: to `warnings`, and to standard error.

Both switches belong to the whole process. Several threads may hold one at the same time: the first that comes
turns it, and the last that leaves puts it back.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

# Without a handler of its own, Python prints the warnings of Pillow's logger to standard error.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class _HeldByThreads:
    """A context manager for several threads at a time around one that is for a single thread."""

    def __init__(self, open_context: Callable[[], AbstractContextManager[None]]) -> None:
        self._open_context = open_context
        self._reset()
        os.register_at_fork(after_in_child=self._reset)  # the threads that hold it do not exist there

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._holders:
                self._context = self._open_context()
                self._context.__enter__()
            self._holders += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._context.__exit__(None, None, None)


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _without_standard_error() -> Iterator[None]:
    saved = os.dup(2)
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(devnull)


ignoring_warnings = _HeldByThreads(_without_warnings)
silencing_standard_error = _HeldByThreads(_without_standard_error)  # libtiff writes there past Python
