"""Open the next of several archives in a thread while this one is used: OpenedAhead.

To open an archive and to decompress its first image takes a few hundredths of a second. With many small
archives, the writer would wait for them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from imagestore.archive.members import Member
from imagestore.archive.protocol import Archive
from imagestore.console import UserError
from imagestore.sources.open_archive import is_table


class BegunStream:
    """An open archive and its images, the first of which is read already. A context manager."""

    def __init__(self, archive: Archive) -> None:
        """Take over the archive, and read its first image. An error comes when the images are used."""
        self.archive = archive
        self._stream = archive.stream()
        self.images = self._read_first()

    def _read_first(self) -> Iterator[tuple[Member, bytes]]:
        try:
            return chain([next(self._stream)], self._stream)
        except StopIteration:
            return iter(())
        except Exception as error:
            return _raising(error)

    def __enter__(self) -> BegunStream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the archive."""
        with self.archive:
            self._stream.close()  # type: ignore[attr-defined]  # a generator


class OpenedAhead:
    """The streams of archives, of which the next one begins in a thread. A context manager."""

    def __init__(self, open_one: Callable[[Path], Archive], paths: Sequence[Path]) -> None:
        """`open_one` opens one of the archives. Open nothing yet."""
        self._open_one, self._paths = open_one, paths
        self._thread = ThreadPoolExecutor(1, "open")
        self._coming: tuple[int, Future[BegunStream]] | None = None  # with the number of its archive

    def take(self, number: int) -> BegunStream:
        """The stream of archive `number`; the next one begins now. Raises UserError."""
        try:
            if self._coming is None or self._coming[0] != number:
                self._drop()
                return self._begin(number)
            (_, stream), self._coming = self._coming, None
            return stream.result()
        finally:
            self._open_next(number + 1)

    def _begin(self, number: int) -> BegunStream:
        return BegunStream(self._open_one(self._paths[number]))

    def _open_next(self, number: int) -> None:
        """Begin the stream of an archive in the thread.

        Files of tables are opened when their turn comes: their libraries need not stand two threads.
        """
        if number < len(self._paths) and not is_table(self._paths[number]):
            self._coming = number, self._thread.submit(self._begin, number)

    def __enter__(self) -> OpenedAhead:
        return self

    def __exit__(self, *exception: object) -> None:
        self._drop()
        self._thread.shutdown()

    def _drop(self) -> None:
        """Close the archive that was opened ahead, if there is one."""
        if self._coming is not None:
            (_, stream), self._coming = self._coming, None
            with contextlib.suppress(UserError):
                stream.result().close()


def _raising(error: Exception) -> Iterator[tuple[Member, bytes]]:
    raise error
    yield
