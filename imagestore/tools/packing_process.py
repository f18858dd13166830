"""A process that makes the objects of a packed file by HDF5, while its parent reads and writes the bytes.

HDF5 takes as long for a small file as reading and writing its bytes. So the two go on at the same time.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import re
import signal
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from imagestore.processes import ENDING, blocked, keep_only
from imagestore.tools.packed_facts import Facts

Call = tuple[Any, ...]  # the name of a method of PackedObjects, and its arguments


class PackingProcess:
    """The process that writes one packed file. It ends with its parent."""

    def __init__(self, path: Path, top: bytes, top_facts: Facts) -> None:
        """Fork the process; see PackedObjects. It loads HDF5 meanwhile, and reports errors later."""
        self._folder = path.parent
        self._connection, theirs = Pipe()
        with blocked(*ENDING):  # Python would lose a signal that arrives in its hooks around the fork
            self._pid = os.fork()
            if self._pid == 0:
                _run(theirs, path, top, top_facts)
        theirs.close()

    def send(self, calls: list[Call]) -> None:
        """Ask for calls. Their results must be received before the next calls are sent. Raises OSError."""
        with self._named_errors():
            self._connection.send(calls)

    def receive(self) -> list[Any]:
        """The results of the calls that were sent last. Raises OSError."""
        with self._named_errors():
            answer = self._connection.recv()
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer), str(self._folder))
        return answer

    @contextlib.contextmanager
    def _named_errors(self) -> Any:  # noqa: ANN401
        try:
            yield
        except (OSError, EOFError) as error:
            raise OSError(errno.EIO, "the process that writes HDF5 has ended", str(self._folder)) from error

    def end(self) -> None:
        """End the process. A second call does nothing."""
        if self._pid:
            self._connection.close()
            with contextlib.suppress(OSError):
                os.kill(self._pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.waitpid(self._pid, 0)
            self._pid = 0


def _run(connection: Connection, path: Path, top: bytes, top_facts: Facts) -> NoReturn:
    """Make calls until the other end of the pipe is closed. Never returns."""
    with contextlib.suppress(BaseException):
        for number in ENDING:  # these signals are for the parent; this process ends when the pipe closes
            signal.signal(number, signal.SIG_IGN)
        keep_only(connection.fileno())
        gc.freeze()
        _make_calls(connection, path, top, top_facts)
    os._exit(0)


def _make_calls(connection: Connection, path: Path, top: bytes, top_facts: Facts) -> None:
    from imagestore.tools.packed_objects import PackedObjects  # loads HDF5 while the parent reads files

    objects: PackedObjects | None = None
    while True:
        calls = connection.recv()
        try:
            objects = objects or PackedObjects(path, top, top_facts)
            results = [getattr(objects, method)(*arguments) for method, *arguments in calls]
        except Exception as error:  # h5py raises many kinds of errors
            connection.send(_number_of(error))
        else:
            connection.send(results)


def _number_of(error: Exception) -> int:
    """The errno of an error; some of HDF5's have it only in their text."""
    number = getattr(error, "errno", None)
    found = re.search(r"errno = (\d+)", str(error))
    return number or (int(found[1]) if found else errno.EIO)
