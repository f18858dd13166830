"""RapidgzipDecompressor, the base of the decompressors that use rapidgzip, which notes seek points."""

from __future__ import annotations

import io
import os
import resource
import weakref
from enum import Enum, auto

from imagestore.decompression.damage import Damaged
from imagestore.decompression.decompressor import Decompressor, skip_to
from imagestore.decompression.forward_decompressor import ForwardDecompressor

SPACING = 4 << 20  # compressed bytes between seek points; each takes about 21 KB of an index
WIDEST_SPACING = 8 << 20  # rapidgzip keeps up to 16 pieces of this size, decompressed
MANY_POINTS = 1024  # a larger file has its points further apart than SPACING
DENSE_SPACING = 256 << 10  # for data that expand a lot: rapidgzip decompresses up to 20 spacings at once

FEWEST_ADDRESSES = 4 << 30  # bytes of `ulimit -v`: with 2 GB rapidgzip 0.16.2 works, with 1.5 GB it crashes

PROBE = 2 << 20  # decompressed bytes; enough to judge by, as decompressors read 64 KiB ahead
PROBE_PIECE = 64 << 10  # of them are read at once
EXPANDS_A_LOT = 4  # decompressed bytes for each compressed byte, in the first megabytes
EXPANDS_TOO_MUCH = 12  # the same, in the middle of a first pass
SPACINGS_BETWEEN_MEASUREMENTS = 8  # in decompressed bytes

# All types that rapidgzip's C++ exceptions become (Cython's table), except MemoryError.
RAPIDGZIP_ERRORS = (ValueError, RuntimeError, OSError, ArithmeticError, LookupError, TypeError)


class State(Enum):
    """How a RapidgzipDecompressor decodes; its docstring has the table."""

    NOTING = auto()
    NOTING_DENSELY = auto()
    JUMPING = auto()
    PLAIN = auto()


class RapidgzipDecompressor:
    """gzip or bzip2 by rapidgzip, until a plain decompressor must take over at the same position.

    state           begins with                               bytes come from  changes to PLAIN
    --------------  ----------------------------------------  ---------------  -----------------------------
    NOTING          a first pass                              rapidgzip        on a failure; if data expand
                                                                               too much for the memory
    NOTING_DENSELY  a first pass over data whose first        rapidgzip        on a failure
                    megabytes expand a lot
    JUMPING         seek points                               rapidgzip        on a failure; if the points
                                                                               make no sense
    PLAIN           another state                             plain_decompressor    (stays PLAIN)

    A failure is an error of rapidgzip, an end of the data that is no true end, or a call of `distrust`. The
    plain decompressor finds out whether the data are broken: it delivers every byte before the broken place.

    rapidgzip runs without threads (`parallelization=1`): the processors belong to the labelling workers, and
    a file without threads survives a fork.
    """

    plain_decompressor: type[ForwardDecompressor]

    def __init__(self, descriptor: int, state: State, points: bytes = b"") -> None:
        """Begin at the front in `state`. Call `for_first_pass` or `from_points` instead of this."""
        self._descriptor = descriptor
        self._state = state
        self._position = 0
        self._spacing = DENSE_SPACING if state is State.NOTING_DENSELY else _spacing(descriptor)
        self._measured_at = (0, 0)  # positions at the last measurement: decompressed, compressed
        self._true_end: int | None = None  # where the data end, once this is known
        self._bytes_behind = 0  # of the file, behind that end
        self._open(points)

    @classmethod
    def for_first_pass(cls, descriptor: int) -> Decompressor:
        """Return a decompressor that notes seek points while it goes from front to back.

        With few addresses (`ulimit -v`) it is a plain one, which notes none.
        """
        if not _has_addresses():
            return cls.plain_decompressor(descriptor)
        dense = _expands_a_lot(cls.plain_decompressor, descriptor)
        return cls(descriptor, State.NOTING_DENSELY if dense else State.NOTING)

    @classmethod
    def from_points(cls, descriptor: int, points: bytes) -> Decompressor:
        """Return a decompressor whose seeks start at the nearest of the seek points `points`.

        With few addresses (`ulimit -v`) it is a plain one, which begins at the front.
        """
        if not _has_addresses():
            return cls.plain_decompressor(descriptor)
        return cls(descriptor, State.JUMPING, points)

    def _open(self, points: bytes) -> None:
        import rapidgzip  # only here: a plain .tar does without

        options = {"parallelization": 1, "chunk_size": self._spacing}
        try:  # it opens the file once more, and reads it without Python's interpreter lock
            self._file = rapidgzip.RapidgzipFile(self._descriptor, **options)
        except RAPIDGZIP_ERRORS:  # as without /proc
            with open(self._descriptor, "rb", closefd=False) as file:
                self._file = rapidgzip.RapidgzipFile(file, **options)
        # rapidgzip aborts the process if the interpreter ends before its files are closed.
        self._close_file = weakref.finalize(self, self._file.close)
        if points:
            try:
                self._file.import_index(io.BytesIO(points))
            except RAPIDGZIP_ERRORS:
                self._change_to_plain()

    def _change_to_plain(self) -> None:
        self._close_file()
        self._plain = self.plain_decompressor(self._descriptor)
        self._state = State.PLAIN

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, or fewer at the end of the data. Raises Damaged."""
        if size <= WIDEST_SPACING:
            return self._read(size)
        # Read in pieces, so that a measurement comes before the memory is full.
        end, pieces = self._position + size, [self._read(WIDEST_SPACING)]
        while pieces[-1] and self._position < end:
            pieces.append(self._read(min(WIDEST_SPACING, end - self._position)))
        return b"".join(pieces)

    def _read(self, size: int) -> bytes:
        if self._state is not State.PLAIN:
            data = self._read_by_rapidgzip(size)
            if data is not None:
                self._position += len(data)
                if self._state is State.NOTING and self._expands_too_much():
                    self._change_to_plain()
                return data
            self._change_to_plain()
        self._plain.seek(self._position)
        data = self._plain.read(size)
        self._position = self._plain.tell()
        return data

    def _read_by_rapidgzip(self, size: int) -> bytes | None:
        """Return the next bytes, or None on a failure."""
        try:
            data = self._file.read(size)
            return data if len(data) == size or self._ends_at(self._position + len(data)) else None
        except RAPIDGZIP_ERRORS:
            return None

    def _ends_at(self, position: int) -> bool:
        """Whether the data truly end at `position`. In a cut file, rapidgzip ends without an error."""
        if position != self._true_end and self._is_true_end(position):
            self._true_end = position
        return position == self._true_end

    def _is_true_end(self, position: int) -> bool:
        """Decode everything again with the plain decompressor, and see whether it ends without an error."""
        decompressor = self.plain_decompressor(self._descriptor)
        try:
            is_end = decompressor.seek(position) == position and decompressor.read(1) == b""
            self._bytes_behind = decompressor.bytes_behind()
            return is_end
        except Damaged:
            return False
        finally:
            decompressor.close()

    def _expands_too_much(self) -> bool:
        """Whether rapidgzip's pieces become too large for the memory; measured every few spacings."""
        before, compressed_before = self._measured_at
        if self._position - before < SPACINGS_BETWEEN_MEASUREMENTS * self._spacing:
            return False
        try:
            compressed = self._file.tell_compressed() // 8  # rapidgzip counts bits
        except RAPIDGZIP_ERRORS:
            return True  # the plain decompressor goes on
        self._measured_at = self._position, compressed
        return self._position - before > EXPANDS_TOO_MUCH * (compressed - compressed_before)

    def seek(self, position: int) -> int:
        """Go to `position`; return the new position. Raises Damaged."""
        if self._state in (State.NOTING, State.NOTING_DENSELY) and position >= self._position:
            return skip_to(self, position)  # by reading, which notes seek points and measures
        if self._state is State.PLAIN:
            self._position = self._plain.seek(position)
            return self._position
        self._position = position
        try:
            self._file.seek(position)
        except RAPIDGZIP_ERRORS:
            self._change_to_plain()
        return self._position

    def tell(self) -> int:
        """Return the position in the decompressed data."""
        return self._position

    def bytes_behind(self) -> int:
        """Return how many bytes follow the last whole stream, once its end has been reached."""
        return self._plain.bytes_behind() if self._state is State.PLAIN else self._bytes_behind

    def points(self) -> bytes:
        """Return rapidgzip's index (in the format of indexed_gzip); empty in the state PLAIN."""
        if self._state is State.PLAIN:
            return b""
        exported = io.BytesIO()
        self._file.export_index(exported)
        return exported.getvalue()

    def distrust(self) -> None:
        """Decode from the front with the plain decompressor; the position stays."""
        if self._state is State.PLAIN:
            self._plain.distrust()
        else:
            self._change_to_plain()

    def close(self) -> None:
        """Free the library's decompressor."""
        if self._state is State.PLAIN:
            self._plain.close()
        else:
            self._close_file()


def _has_addresses() -> bool:
    """Whether the limit of the address space is no danger to rapidgzip."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return limit == resource.RLIM_INFINITY or limit >= FEWEST_ADDRESSES


def _spacing(descriptor: int) -> int:
    """Return the compressed bytes between two seek points of a file."""
    size = os.fstat(descriptor).st_size
    return max(SPACING, min(WIDEST_SPACING, size // MANY_POINTS))


def _expands_a_lot(plain_decompressor: type[ForwardDecompressor], descriptor: int) -> bool:
    """Whether the first megabytes of a file decompress to much more."""
    decompressor, size = plain_decompressor(descriptor), 0
    try:
        while size < PROBE and (piece := decompressor.read(PROBE_PIECE)):
            size += len(piece)
            if EXPANDS_A_LOT * decompressor.tell_compressed() >= PROBE:
                return False  # whatever follows
        return size > EXPANDS_A_LOT * decompressor.tell_compressed()
    except Damaged:
        return False
    finally:
        decompressor.close()
