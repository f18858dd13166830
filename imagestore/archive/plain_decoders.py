"""Decoders that go from front to back: one small class for each kind of compression."""

from __future__ import annotations

import bz2
import io
import lzma
import os
from typing import IO, Protocol

from isal import igzip, isal_zlib

PIECE = 1 << 20


class Damaged(Exception):
    """The data end too early or are broken here; all that came before has been delivered."""


class WrongChecksum(Damaged):
    """The checksum of much that came before is another one: gzip has it at the very end, xz after a block."""


class Decoder(Protocol):
    """Decompressed bytes with a position. Only at the end does `read` give fewer than asked for."""

    def read(self, size: int, /) -> bytes:
        """The next `size` bytes. Raises Damaged."""

    def seek(self, position: int, /) -> int:
        """Go to a byte of the decompressed data. Raises Damaged."""

    def tell(self) -> int:
        """The position in the decompressed data."""

    def points(self) -> bytes:
        """What a later source over the same file needs to start in the middle; empty when nothing helps."""

    def distrust(self) -> None:
        """Decode in the plainest way from now on: what came was wrong."""

    def close(self) -> None:
        """Let go of everything but the descriptor."""


class Pread(io.RawIOBase):
    """A descriptor read with a position of one's own: neither a fork nor another handle disturbs it."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor` stays open when this is closed."""
        self._descriptor = descriptor
        self._position = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` as far as the file goes."""
        count = os.preadv(self._descriptor, [buffer], self._position)
        self._position += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As every file does."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
        self._position = offset + (self.size() if base is None else base)
        return self._position

    def size(self) -> int:
        """How long the file is now."""
        return os.fstat(self._descriptor).st_size

    def tell(self) -> int:
        """The place of the next read."""
        return self._position


def skip(source: Decoder, position: int) -> int:
    """Read on to `position`, or to the end where that comes first; returns where that is. Raises Damaged."""
    while source.tell() < position and source.read(min(PIECE, position - source.tell())):
        pass
    return source.tell()


class Forward:
    """A decoder that goes forward only: going back starts again from the front."""

    errors: tuple[type[Exception], ...] = (EOFError, OSError)

    def __init__(self, descriptor: int, points: bytes | None = None) -> None:
        """Nothing is read yet; this kind has no use for seek points."""
        self._descriptor = descriptor
        self._raw = Pread(descriptor)
        self._file: IO[bytes] | None = None
        self._position = 0

    def _open(self, file: io.BufferedReader) -> IO[bytes]:
        return file

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end. Raises Damaged."""
        try:
            if self._file is None:
                self._raw = Pread(self._descriptor)
                self._file = self._open(io.BufferedReader(self._raw, 128 << 10))
            data = self._file.read(size)
        except self.errors as error:
            data = self._broken(error)
        self._position += len(data)
        return data

    def _broken(self, error: Exception) -> bytes:
        raise Damaged(getattr(error, "strerror", None) or str(error)) from error

    def seek(self, position: int) -> int:
        """Decompress up to `position` and forget it. Raises Damaged."""
        if position < self._position:
            self.close()
        return skip(self, position)

    def tell(self) -> int:
        """The position in the decompressed data."""
        return self._position

    def tell_compressed(self) -> int:
        """How many bytes of the file were read for that."""
        return self._raw.tell()

    def points(self) -> bytes:
        """None: this decoder knows no way into the middle."""
        return b""

    def distrust(self) -> None:
        """Start again from the front."""
        self.close()

    def close(self) -> None:
        """Let go of the decoder; a read after that starts at the front."""
        if self._file is not None:
            self._file.close()
        self._file, self._position = None, 0


class Uncompressed(Forward):
    """A file as it is: seeking costs nothing."""

    def seek(self, position: int) -> int:
        """Go there, or to the end where that comes first."""
        self.read(0)  # opens it
        assert self._file is not None
        # Not before the start: Python 3.10's tarfile goes to -1 in an archive without members.
        self._position = self._file.seek(min(max(position, 0), self._raw.size()))
        return self._position


class PlainGzip(Forward):
    """gzip by isal, which takes two thirds of zlib's time."""

    errors = (EOFError, OSError, isal_zlib.error)  # type: ignore[assignment]

    def _open(self, file: io.BufferedReader) -> IO[bytes]:
        return igzip.IGzipFile(fileobj=file, mode="rb")  # type: ignore[return-value]

    def _broken(self, error: Exception) -> bytes:
        # What follows the last member and is no gzip is ignored, as gzip itself does.
        if self._position and str(error).startswith("Not a gzipped file"):
            return b""
        if str(error).startswith(("CRC check failed", "Incorrect length")):
            raise WrongChecksum(str(error)) from error
        return super()._broken(error)


class PlainBzip2(Forward):
    """bzip2 by the standard library."""

    def _open(self, file: io.BufferedReader) -> IO[bytes]:
        return bz2.BZ2File(file)


class Xz(Forward):
    """xz by the standard library from front to back; by its own list of blocks when asked to jump."""

    errors: tuple[type[Exception], ...] = (EOFError, OSError, lzma.LZMAError)

    def __init__(self, descriptor: int, points: bytes | None = None) -> None:
        """Jumping is prepared for where `points` is given, though empty."""
        super().__init__(descriptor)
        self._jumps = points is not None

    def _open(self, file: io.BufferedReader) -> IO[bytes]:
        if not self._jumps:
            return lzma.LZMAFile(file)
        import xz  # only here: it is slower than lzma where nothing is skipped

        self.errors = (*type(self).errors, xz.XZError)
        try:
            return xz.XZFile(file, block_read_strategy=xz.RollingBlockReadStrategy(2))  # type: ignore[return-value]
        except xz.XZError:  # as with something behind the last block, which lzma ignores
            self._jumps = False
            file.seek(0)
            return lzma.LZMAFile(file)

    def _broken(self, error: Exception) -> bytes:
        # Zeros may stand behind the last stream (padding, .xz format 2.2); Python takes them for a new one.
        if isinstance(error, EOFError) and os.pread(self._descriptor, 4, self._raw.size() - 4) == bytes(4):
            return b""
        if not isinstance(error, (EOFError, OSError)):
            raise WrongChecksum(str(error)) from error
        return super()._broken(error)

    def seek(self, position: int) -> int:
        """Go to the block that holds `position`, or decompress up to it."""
        if self._jumps and self._file is None:
            self.read(0)
        if self._jumps and self._file is not None:
            self._position = self._file.seek(position)
        return super().seek(position)

    def distrust(self) -> None:
        """Without the list of blocks from now on."""
        super().distrust()
        self._jumps = False
