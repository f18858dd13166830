"""Open the next of several archives in threads while this one is used: OpenedAhead.

To open an archive and to decompress its first image takes a few hundredths of a second. With many small
archives, the writer would wait for them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    """The streams of archives, of which the next ones begin in threads. A context manager."""

    def __init__(self, open_one: Callable[[Path], Archive], paths: Sequence[Path], ahead: int = 1) -> None:
        """`open_one` opens one of the archives. So many are opened `ahead`. Open nothing yet."""
        self._open_one, self._paths, self._ahead = open_one, paths, ahead
        self._threads = ThreadPoolExecutor(ahead, "open")
        self._coming: dict[int, Future[BegunStream]] = {}  # by the number of the archive

    def take(self, number: int) -> BegunStream:
        """The stream of archive `number`; the next ones begin now. Raises UserError."""
        self._drop([earlier for earlier in self._coming if earlier < number])
        stream = self._coming.pop(number, None)
        try:
            return self._begin(number) if stream is None else stream.result()
        finally:
            for next_number in range(number + 1, min(number + 1 + self._ahead, len(self._paths))):
                self._begin_ahead(next_number)

    def _begin(self, number: int) -> BegunStream:
        return BegunStream(self._open_one(self._paths[number]))

    def _begin_ahead(self, number: int) -> None:
        """Begin the stream of an archive in a thread.

        Files of tables are opened when their turn comes: their libraries need not stand two threads.
        """
        if number not in self._coming and not is_table(self._paths[number]):
            self._coming[number] = self._threads.submit(self._begin, number)

    def __enter__(self) -> OpenedAhead:
        return self

    def __exit__(self, *exception: object) -> None:
        self._drop(list(self._coming))
        self._threads.shutdown()

    def _drop(self, numbers: Iterable[int]) -> None:
        """Close archives that were opened ahead."""
        for number in numbers:
            with contextlib.suppress(UserError):
                self._coming.pop(number).result().close()


def _raising(error: Exception) -> Iterator[tuple[Member, bytes]]:
    raise error
    yield
