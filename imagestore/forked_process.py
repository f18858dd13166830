"""A process that was forked from this one to serve it: ForkedProcess."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from typing import NoReturn

from imagestore.processes import STOPPING, blocked, end_with_parent


class ForkedProcess:
    """A process that runs `serve` with its end of a pipe, as the one that forked it sees it.

    It ignores the signals that the other one handles. It ends when `serve` returns or raises, and when the
    thread ends that forked it, even if that is killed.
    """

    def __init__(self, serve: Callable[[Connection], object]) -> None:
        """Fork the process. Raises OSError."""
        self.connection, theirs = Pipe()
        parent = self._parent = os.getpid()
        try:
            with blocked(*STOPPING):  # Python would lose a signal that arrives in its hooks around the fork
                self.pid = os.fork()
                if not self.pid:
                    _run(serve, theirs, parent)
        except OSError:
            self.connection.close()
            raise
        finally:
            theirs.close()

    def end(self) -> None:
        """Kill the process, and wait until it is gone. A second call does nothing.

        A process that was forked later, and has a copy of this object, closes its end of the pipe alone.
        """
        self.connection.close()
        if self.pid and self._parent == os.getpid():
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            self.pid = 0


def _run(serve: Callable[[Connection], object], connection: Connection, parent: int) -> NoReturn:
    """Serve in the process that was forked. Never returns."""
    try:
        for signum in STOPPING:  # the other process handles them
            signal.signal(signum, signal.SIG_IGN)
        end_with_parent(signal.SIGKILL, parent)
        gc.freeze()  # a collection would make copies of the memory that the two processes share
        serve(connection)
    finally:
        os._exit(1)  # whatever happened; nothing may go on in this copy of the program
