"""Any HDF5 file, asked through a helper process: what is in a group, its attributes, its bytes.

HDF5 may crash or loop on a damaged file, and nobody can stop it from within. So it only ever runs in a
child process: one that dies, or says nothing for SECONDS_TO_ANSWER, costs its caller an OSError (EIO), and
the next question starts another. What the objects are and how they read is in hdf5_objects; this room is
the boundary. Used by tree. Not thread-safe; after a fork, each process gets a helper of its own.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from imagestore.console import first_line
from imagestore.hdf5.objects import Entry, Objects
from imagestore.processes import ENDING, blocked, keep_only

SECONDS_TO_ANSWER = float(os.environ.get("IMAGESTORE_HDF5_SECONDS", "20"))


ENTRIES_AT_ONCE = 512


class HelperProcess:
    """One HDF5 file behind a process boundary; the process starts with the first question."""

    def __init__(self, path: Path, fd: int, follow_external: bool = False) -> None:
        """`fd` is `path`, open for reading: the helper reads that file, whatever has its name by then."""
        self.path, self.fd, self.follow_external = path, fd, follow_external
        self._connection: Connection | None = None
        self._pid = self._owner = 0

    def entries(self, group: bytes) -> Iterator[Entry]:
        """What a group holds, sorted by name. Raises OSError (EIO) where it cannot be known."""
        self._ask("entries", group)
        while batch := self._answer():
            yield from batch

    def entry(self, path: bytes) -> Entry:
        """One object by its path. Raises OSError."""
        self._ask("entry", path)
        return self._answer()

    def attributes(self, path: bytes) -> dict[str, bytes]:
        """An object's attributes: text as UTF-8, all else as JSON. Raises OSError."""
        self._ask("attributes", path)
        return self._answer()

    def read(self, path: bytes, offset: int, size: int) -> bytes:
        """Bytes of a dataset as a file, a NumPy header included where it has one. Raises OSError."""
        self._ask("read", path, offset, size)
        return self._answer()

    def close(self) -> None:
        """End the helper process."""
        if self._connection is None:
            return
        self._connection.close()
        self._connection = None
        if self._owner == os.getpid():
            with contextlib.suppress(OSError):
                os.kill(self._pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.waitpid(self._pid, 0)

    def _ask(self, *question: object) -> None:
        if self._connection is None or self._owner != os.getpid():
            self._connection = self._start()
        try:
            self._connection.send(question)
        except OSError as error:
            self._give_up(error)

    def _answer(self) -> Any:  # noqa: ANN401
        if self._connection is None:
            raise OSError(errno.EIO, "HDF5 was not asked", str(self.path))
        try:
            if not self._connection.poll(SECONDS_TO_ANSWER):
                raise TimeoutError(f"HDF5 has not answered for {SECONDS_TO_ANSWER:.0f} s")
            answer = self._connection.recv()
        except (OSError, EOFError) as error:
            self._give_up(error)
        if isinstance(answer, OSError):
            raise answer
        return answer

    def _give_up(self, error: BaseException) -> NoReturn:
        self.close()
        raise OSError(
            errno.EIO, f"damaged: HDF5 gave up on it ({error or 'crashed'})", str(self.path)
        ) from error

    def _start(self) -> Connection:
        ours, theirs = multiprocessing.Pipe()
        self._owner = os.getpid()
        with blocked(*ENDING):  # a signal during the fork would be lost in Python's own hooks around it
            self._pid = os.fork()
            if self._pid == 0:
                _child(theirs, self)
        theirs.close()
        return ours


def _child(connection: Connection, helper: HelperProcess) -> NoReturn:
    """Answer questions until the other end is closed; never returns."""
    with contextlib.suppress(BaseException):
        gc.freeze()
        # A copy of /dev/fuse that is kept open here would outlive a crashed mount.
        keep_only(helper.fd, connection.fileno())
        for number in ENDING:  # they are for the mount; this end goes when the pipe closes
            signal.signal(number, signal.SIG_IGN)
        _serve(connection, helper)
    os._exit(0)


def _serve(connection: Connection, helper: HelperProcess) -> None:
    objects: Objects | None = None
    while True:
        try:
            name, *arguments = connection.recv()
        except EOFError:
            return
        try:
            objects = objects or Objects(helper.fd, helper.path, helper.follow_external)
            _reply(connection, getattr(objects, name), arguments)
        except MemoryError:
            connection.send(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), str(helper.path)))
        except Exception as error:  # whatever h5py makes of a damaged file
            connection.send(OSError(errno.EIO, first_line(error), str(helper.path)))


def _reply(connection: Connection, method: Callable[..., object], arguments: list) -> None:
    answer = method(*arguments)
    if not isinstance(answer, Iterator):
        connection.send(answer)
        return
    batch: list[Entry] = []
    sent = time.monotonic()
    for entry in answer:
        batch.append(entry)
        # Long before nobody waits any more, too: to know the size of a file may take a while.
        if len(batch) == ENTRIES_AT_ONCE or time.monotonic() - sent > SECONDS_TO_ANSWER / 20:
            connection.send(batch)
            batch, sent = [], time.monotonic()
    if batch:
        connection.send(batch)
    connection.send([])
