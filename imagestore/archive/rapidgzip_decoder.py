"""gzip and bzip2 by rapidgzip, which notes seek points on its way."""

from __future__ import annotations

import io
import os
import weakref

from imagestore.archive.plain_decoders import Damaged, Forward, PlainBzip2, PlainGzip, skip

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
