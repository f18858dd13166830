"""The base of the decompressors that go from front to back: ForwardDecompressor."""

from __future__ import annotations

import io
import os
from typing import IO

from imagestore.decompression.damage import CutShort, Damaged
from imagestore.decompression.decompressor import skip_to
from imagestore.decompression.joined_streams import BUFFER, JoinedStreams


class ForwardDecompressor:
    """A decompressor that goes forward only: to go back, it starts again from the front.

    A subclass says how its format is opened, which errors the library raises, and what they mean. After an
    error, a smaller read at the same position delivers what comes before the broken place.
    """

    errors: tuple[type[Exception], ...] = (EOFError, OSError)

    def __init__(self, descriptor: int) -> None:
        """Read nothing yet."""
        self._descriptor = descriptor
        self._raw = PreadFile(descriptor)
        self._file: IO[bytes] | JoinedStreams | None = None
        self._position = 0
        self._has_failed = False  # the library's decompressor has lost bytes

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, or fewer at the end of the data. Raises Damaged."""
        if self._has_failed:
            position = self._position
            self.close()
            self.seek(position)
        try:
            if self._file is None:
                self._raw = PreadFile(self._descriptor)
                self._file = self._open(io.BufferedReader(self._raw, BUFFER))
            data = self._file.read(size)
        except self.errors as error:
            self._has_failed = True
            damage = self._damage(error)
            damage.confirmed = self._file.stream_start if isinstance(self._file, JoinedStreams) else 0
            raise damage from error
        self._position += len(data)
        return data

    def _open(self, file: io.BufferedReader) -> IO[bytes] | JoinedStreams:
        """Return the decompressed data of `file`, which stands at its beginning."""
        raise NotImplementedError

    def _damage(self, error: Exception) -> Damaged:
        """Return our error for one of the library."""
        text = getattr(error, "strerror", None) or str(error)
        return CutShort(text) if isinstance(error, EOFError) else Damaged(text)

    def seek(self, position: int) -> int:
        """Decompress up to `position` and drop the bytes; return the new position. Raises Damaged."""
        if position < self._position or self._has_failed:
            self.close()
        return skip_to(self, position)

    def tell(self) -> int:
        """Return the position in the decompressed data."""
        return self._position

    def tell_compressed(self) -> int:
        """Return how many bytes of the file have been read."""
        return self._raw.tell()

    def bytes_behind(self) -> int:
        """Return how many bytes follow the last whole stream, once its end has been reached."""
        return self._raw.size() - self._file.end if isinstance(self._file, JoinedStreams) else 0

    def points(self) -> bytes:
        """Return nothing: this decompressor has no seek points."""
        return b""

    def distrust(self) -> None:
        """Start again from the front."""
        self.close()

    def close(self) -> None:
        """Free the library's decompressor. A later read starts again from the front."""
        if self._file is not None:
            self._file.close()
        self._file, self._position, self._has_failed = None, 0, False


class PreadFile(io.RawIOBase):
    """A descriptor as a file with an offset of its own, which neither a fork nor another reader changes."""

    def __init__(self, descriptor: int) -> None:
        """Begin at offset 0. `descriptor` stays open when this file is closed."""
        self._descriptor = descriptor
        self._offset = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into `buffer`; return how many bytes were read, 0 at the end of the file."""
        count = os.preadv(self._descriptor, [buffer], self._offset)
        self._offset += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the offset of the next read, as io.IOBase.seek does."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset}.get(whence)
        self._offset = offset + (self.size() if base is None else base)
        return self._offset

    def size(self) -> int:
        """Return the size of the file now, in bytes."""
        return os.fstat(self._descriptor).st_size

    def tell(self) -> int:
        """Return the offset of the next read."""
        return self._offset
