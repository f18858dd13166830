"""Questions about any HDF5 file, answered by a helper process: what a group holds, attributes, bytes.

HDF5 may crash or loop on a damaged file, and nobody can stop it from within. So it runs in a child process.
If the helper dies, or is silent for SECONDS_TO_ANSWER, its caller gets an OSError (EIO). The next question
then starts a new helper. If it is lost over one link of a group, only this link is damaged: the next helper
lists the others. `objects.py` finds the answers. Not thread-safe. After a fork, each process starts a helper
of its own.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import mmap
import os
import signal
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from imagestore.console import first_line
from imagestore.hdf5.attribute import Attribute
from imagestore.hdf5.element_files import ElementFiles
from imagestore.hdf5.entry import Entry
from imagestore.open_files import MostRecent
from imagestore.processes import ENDING, blocked, keep_only

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

SECONDS_TO_ANSWER = float(os.environ.get("IMAGESTORE_HDF5_SECONDS", "20"))
STEPS_IN_THAT_TIME = 4  # so each step of a long answer has a share of the seconds
MOST_LOST_LINKS = 8  # of one listing; the group itself is damaged if there are more
ENTRIES_AT_ONCE = 512


class _HelperLost(OSError):
    """The helper died or was silent, and is gone."""


class Steps:
    """A number that a helper and its parent share: how far the helper has come with its answer."""

    NONE = -1  # the number while there is nothing to tell

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)
        self.set(self.NONE)

    def set(self, number: int) -> None:
        """Tell a number."""
        struct.pack_into("q", self._memory, 0, number)

    def get(self) -> int:
        """The number that was told last."""
        return struct.unpack_from("q", self._memory)[0]


class HelperProcess:
    """One HDF5 file behind a process boundary. The process starts with the first question."""

    def __init__(
        self,
        path: Path,
        fd: int | Callable[[], int],
        follow_external: bool = False,
        recent: MostRecent | None = None,
    ) -> None:
        """`fd` is `path`, open for reading, or opens it. The helper reads this file, whatever gets its name.

        With `recent`, the process ends while many others are used.
        """
        self.path, self.follow_external = path, follow_external
        self._get_fd, self._recent = fd if callable(fd) else lambda: fd, recent
        self._connection: Connection | None = None
        self._pid = 0
        self._owner_pid = 0  # the process that started the helper
        self._steps = Steps()

    def entries(self, group: bytes) -> Iterator[Entry]:
        """The links of a group, sorted by name. Raises OSError (EIO) if they cannot be read."""
        done, lost = 0, list[int]()
        while True:
            try:
                for number_of_next, batch in self._batches(group, done, lost):
                    done = number_of_next
                    yield from map(Entry._make, batch)
                return
            except _HelperLost:
                link = self._steps.get()
                if link < done or len(lost) == MOST_LOST_LINKS:
                    raise
                lost.append(link)

    def _batches(self, group: bytes, first: int, lost: list[int]) -> Iterator[tuple[int, list[tuple]]]:
        """Entries of the links from number `first` on, each batch with the number of the next link."""
        with self._closed_if_left():
            self._ask("entries", group, first, lost)
            while batch := self._receive_answer():
                yield batch

    def element_files(self, dataset: bytes) -> ElementFiles:
        """The files that the elements of a dataset are. Raises OSError (EIO)."""
        return self._answer_to("element_files", dataset)

    def read_element(self, dataset: bytes, number: int, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` of an element as a file. Raises OSError (EIO)."""
        return self._answer_to("read_element", dataset, number, offset, size)

    def entry(self, path: bytes) -> Entry:
        """The object at a path; the root group if the path is empty. Raises OSError."""
        return self._answer_to("entry", path)

    def attributes(self, path: bytes) -> dict[str, bytes]:
        """The attributes of an object: text as UTF-8, other values as JSON. Raises OSError."""
        return self._answer_to("attributes", path)

    def typed_attributes(self, path: bytes) -> list[Attribute]:
        """All attributes of an object, those that cannot be read too. Raises OSError."""
        return self._answer_to("typed_attributes", path)

    def read(self, path: bytes, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` of a dataset as a file (see datasets_as_files). Raises OSError."""
        return self._answer_to("read", path, offset, size)

    def missing_sources(self, path: bytes) -> list[str]:
        """The sources of a virtual dataset that are not there. Raises OSError."""
        return self._answer_to("missing_sources", path)

    def release(self) -> None:
        """End the helper process; see MostRecent."""
        self.close()

    def close(self) -> None:
        """End the helper process. The next question starts another."""
        if self._connection is None:
            return
        self._connection.close()
        self._connection = None
        if self._owner_pid == os.getpid():
            with contextlib.suppress(OSError):
                os.kill(self._pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.waitpid(self._pid, 0)

    def _answer_to(self, *question: object) -> Any:  # noqa: ANN401
        with self._closed_if_left():
            self._ask(*question)
            return self._receive_answer()

    @contextlib.contextmanager
    def _closed_if_left(self) -> Iterator[None]:
        """End the helper if the caller leaves early, as by a signal: no question gets an old answer."""
        try:
            yield
        except OSError:
            raise
        except BaseException:
            self.close()
            raise

    def _ask(self, *question: object) -> None:
        """Send the name of a method of Objects and its arguments."""
        if self._recent is not None:
            self._recent.use(self)
        if self._connection is None or self._owner_pid != os.getpid():
            self._connection = self._start()
        try:
            self._steps.set(Steps.NONE)
            self._connection.send(question)
        except OSError as error:
            self._give_up(error)

    def _receive_answer(self) -> Any:  # noqa: ANN401
        if self._connection is None:
            raise OSError(errno.EIO, "the helper process for HDF5 was closed", str(self.path))
        try:
            self._wait_for_answer(self._connection)
            answer = self._connection.recv()
        except (OSError, EOFError) as error:
            self._give_up(error)
        if isinstance(answer, OSError):
            raise answer
        return answer

    def _wait_for_answer(self, connection: Connection) -> None:
        """Wait as long as the helper goes on. Raises TimeoutError."""
        while True:
            step = self._steps.get()
            seconds = SECONDS_TO_ANSWER / (1 if step == Steps.NONE else STEPS_IN_THAT_TIME)
            if connection.poll(seconds):
                return
            if self._steps.get() == step:
                raise TimeoutError(f"HDF5 has not answered for {seconds:.0f} s")

    def _give_up(self, error: BaseException) -> NoReturn:
        self.close()
        raise _HelperLost(
            errno.EIO, f"damaged: HDF5 cannot read it ({error or 'crashed'})", str(self.path)
        ) from error

    def _start(self) -> Connection:
        """Fork the helper process; return this process's end of the pipe to it."""
        import multiprocessing  # a mount of an indexed store starts without a helper

        import imagestore.hdf5.objects  # noqa: F401  (before the fork: helpers share it)

        fd = self._get_fd()
        ours, theirs = multiprocessing.Pipe()
        self._owner_pid, self._steps = os.getpid(), Steps()
        with blocked(*ENDING):  # Python would lose a signal that arrives in its hooks around the fork
            self._pid = os.fork()
            if self._pid == 0:
                _run_helper(theirs, self, fd)
        theirs.close()
        return ours


def _run_helper(connection: Connection, helper: HelperProcess, fd: int) -> NoReturn:
    """Answer questions in the helper process until the other end of the pipe is closed. Never returns."""
    with contextlib.suppress(BaseException):
        gc.freeze()
        # An inherited descriptor of /dev/fuse would stay open here after a mount has crashed.
        keep_only(fd, connection.fileno())
        for number in ENDING:  # these signals are for the parent; the helper ends when the pipe closes
            signal.signal(number, signal.SIG_IGN)
        _answer_questions(connection, helper, fd)
    os._exit(0)


def _answer_questions(connection: Connection, helper: HelperProcess, fd: int) -> None:
    from imagestore.hdf5.objects import Objects

    objects: Objects | None = None
    if helper.follow_external:  # HDF5 looks for external files in the current folder
        with contextlib.suppress(OSError):
            os.chdir(helper.path.parent)
    while True:
        try:
            method, *arguments = connection.recv()
        except EOFError:
            return
        try:
            objects = objects or Objects(fd, helper.path, helper.follow_external, helper._steps.set)
            _send_answer(connection, getattr(objects, method)(*arguments), helper._steps)
        except MemoryError:
            connection.send(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), str(helper.path)))
        except Exception as error:  # h5py raises many kinds of errors for a damaged file
            connection.send(OSError(errno.EIO, first_line(error), str(helper.path)))


def _send_answer(connection: Connection, answer: object, steps: Steps) -> None:
    """Send an answer whole, or entries in batches (number of the next link, entries) and () at the end."""
    if not isinstance(answer, Iterator):
        connection.send(answer)
        return
    batch: list[tuple] = []
    sent = time.monotonic()
    for entry in answer:
        batch.append(tuple(entry))  # which takes a third of the time to send
        # Some entries take long, since their texts must be read to know their size: do not seem silent.
        if len(batch) == ENTRIES_AT_ONCE or time.monotonic() - sent > SECONDS_TO_ANSWER / 20:
            connection.send((steps.get() + 1, batch))
            batch, sent = [], time.monotonic()
    if batch:
        connection.send((steps.get() + 1, batch))
    connection.send(())
