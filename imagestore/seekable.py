"""The decompressed bytes of a file, from any place: one small class for each kind of compression.

Used by archive only. gzip and bzip2 are read by rapidgzip, which notes seek points on its way: exported
once, they let a later run start in the middle. What rapidgzip cannot read is read again by a plain
decoder, which delivers every byte before a break and then says what is wrong. xz needs no seek points,
since an xz file lists its own blocks (one that has a single block can only be read from the front).

A source belongs to one thread. It may be used after a fork, by parent and child alike: every read names
its place in the file, and nothing runs in the background.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
import weakref
from collections.abc import Callable
from typing import IO, Protocol

from isal import igzip, isal_zlib

PIECE = 1 << 20
SPACING = 4 << 20  # compressed bytes between seek points; each takes about 21 KB of an index
WIDEST_SPACING = 8 << 20  # rapidgzip keeps up to 16 such pieces, decompressed
MANY_POINTS = 1024  # from here on the points lie further apart
DENSE_SPACING = 256 << 10  # for what expands a lot: rapidgzip decompresses up to 20 spacings at once
PROBE = 4 << 20  # decompressed bytes to judge by; decoders read up to half a megabyte ahead
EXPANDS_A_LOT = 4  # decompressed to compressed bytes
EXPANDS_TOO_MUCH = 12  # where it happens in the middle of an archive
WATCH = 8  # spacings, in decompressed bytes, between two looks at that
# All that its C++ exceptions become (Cython's table), but for MemoryError.
RAPIDGZIP_ERRORS = (ValueError, RuntimeError, OSError, ArithmeticError, LookupError, TypeError)


class Damaged(Exception):
    """The data end too early or are broken here; all that came before has been delivered."""


class WrongChecksum(Damaged):
    """The checksum of much that came before is another one: gzip has it at the very end, xz after a block."""


class Source(Protocol):
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


def skip(source: Source, position: int) -> int:
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


class Rapid:
    """gzip or bzip2 by rapidgzip, watched: where it fails or ends too early, a plain decoder takes over.

    One thread, no prefetching (`parallelization=1`): the cores belong to those who label images, and a
    handle without threads survives a fork.
    """

    plain: type[Forward]

    def __init__(self, descriptor: int, points: bytes | None = None) -> None:
        """Start at the front; with `points`, seeking goes to the nearest of them."""
        self._descriptor = descriptor
        self._position = 0
        self._end = -1  # where the data are known to end
        self._watched = (0, 0)  # decompressed and compressed bytes when last looked at
        self._first_pass = not points
        self._decoder: Forward | None = None
        self._dense = points is None and self._expands_a_lot()
        if points == b"":  # a plain decoder had to take over when they were wanted: see `points`
            self._decoder = self.plain(descriptor)
        else:
            self._open(points)

    def _open(self, points: bytes | None) -> None:
        import rapidgzip  # only here: a plain .tar does without

        spacing = DENSE_SPACING if self._dense else self._spacing()
        with open(self._descriptor, "rb", closefd=False) as file:
            self._file = rapidgzip.RapidgzipFile(file, parallelization=1, chunk_size=spacing)
        # rapidgzip aborts the process when the interpreter ends before its files are closed.
        self._close = weakref.finalize(self, self._file.close)
        try:
            if points:
                self._file.import_index(io.BytesIO(points))
        except RAPIDGZIP_ERRORS:
            self.distrust()

    def _spacing(self) -> int:
        size = os.fstat(self._descriptor).st_size
        return max(SPACING, min(WIDEST_SPACING, size // MANY_POINTS))

    def _expands_a_lot(self) -> bool:
        """Whether the first megabytes do."""
        decoder = self.plain(self._descriptor)
        try:
            return len(decoder.read(PROBE)) > EXPANDS_A_LOT * decoder.tell_compressed()
        except Damaged:
            return False
        finally:
            decoder.close()

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end. Raises Damaged."""
        if size <= WIDEST_SPACING:
            return self._read(size)
        # What is large comes in pieces, so that `_watch` sees it coming.
        end, pieces = self._position + size, [self._read(WIDEST_SPACING)]
        while pieces[-1] and self._position < end:
            pieces.append(self._read(min(WIDEST_SPACING, end - self._position)))
        return b"".join(pieces)

    def _read(self, size: int) -> bytes:
        if self._decoder is None:
            try:
                data = self._file.read(size)
                if len(data) == size or self._ends_at(self._position + len(data)):
                    self._position += len(data)
                    self._watch()
                    return data
            except RAPIDGZIP_ERRORS:
                pass  # the plain decoder says what is wrong, if anything is
            self.distrust()
        return self._read_plain(size)

    def _read_plain(self, size: int) -> bytes:
        assert self._decoder is not None
        self._decoder.seek(self._position)
        data = self._decoder.read(size)
        self._position = self._decoder.tell()
        return data

    def _ends_at(self, position: int) -> bool:
        """Whether they should: rapidgzip ends without a word where a file is cut off."""
        if position != self._end and self._is_end(position):
            self._end = position
        return position == self._end

    def _is_end(self, position: int) -> bool:
        """Ask the plain decoder: a second pass over everything."""
        decoder = self.plain(self._descriptor)
        try:
            return decoder.seek(position) == position and decoder.read(1) == b""
        except Damaged:
            return False
        finally:
            decoder.close()

    def _watch(self) -> None:
        """Leave rapidgzip where its pieces become too large for the memory."""
        before, compressed_before = self._watched
        if not self._first_pass or self._dense or self._position - before < WATCH * self._spacing():
            return
        compressed = self._file.tell_compressed() // 8
        self._watched = self._position, compressed
        if self._position - before > EXPANDS_TOO_MUCH * (compressed - compressed_before):
            self.distrust()

    def distrust(self) -> None:
        """The plain decoder from here on, at the same position."""
        if self._decoder is None:
            self._close()
            self._decoder = self.plain(self._descriptor)
        else:
            self._decoder.distrust()

    def seek(self, position: int) -> int:
        """Go to a byte of the decompressed data. Raises Damaged."""
        if self._first_pass and position >= self._position:
            return skip(self, position)  # by reading: it must be watched, and leave seek points
        self._position = position
        if self._decoder is None:
            try:
                self._file.seek(position)
            except RAPIDGZIP_ERRORS:
                self.distrust()
        return self._position

    def tell(self) -> int:
        """The position in the decompressed data."""
        return self._position

    def points(self) -> bytes:
        """rapidgzip's index (the indexed_gzip format); empty where a plain decoder had to take over."""
        if self._decoder is not None:
            return b""
        exported = io.BytesIO()
        self._file.export_index(exported)
        return exported.getvalue()

    def close(self) -> None:
        """Let go of the decoder."""
        if self._decoder is not None:
            self._decoder.close()
        else:
            self._close()


class Gzip(Rapid):
    """gzip: one member or several, zeros or garbage behind them."""

    plain = PlainGzip

    def _is_end(self, position: int) -> bool:
        """By the length in the trailer of a file of one member (RFC 1952, ISIZE), else by decoding."""
        size = os.fstat(self._descriptor).st_size
        trailer = os.pread(self._descriptor, 4, max(0, size - 4))
        return int.from_bytes(trailer, "little") == position & 0xFFFFFFFF or super()._is_end(position)


class Bzip2(Rapid):
    """bzip2, whose every block and whole have checksums: rapidgzip complains where one is missing."""

    plain = PlainBzip2

    def _is_end(self, position: int) -> bool:
        return True


# How each kind begins, and what reads it.
FORMATS: list[tuple[str, bytes, Callable[[int, bytes | None], Source]]] = [
    ("gzip", b"\x1f\x8b\x08", Gzip),
    ("bzip2", b"BZh", Bzip2),
    ("xz", b"\xfd7zXZ\x00", Xz),
    ("tar", b"", Uncompressed),
]


def kind_of(head: bytes) -> str:
    """The name of the compression that a file with these first bytes has."""
    return next(name for name, magic, _ in FORMATS if head.startswith(magic))


def open_source(descriptor: int, kind: str, points: bytes | None = None) -> Source:
    """The decompressed bytes of an open file; `points` (even empty) prepares for jumping about."""
    return next(opener for name, _, opener in FORMATS if name == kind)(descriptor, points)
