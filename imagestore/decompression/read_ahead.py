"""Decompress in a thread, ahead of the one that uses the bytes: ReadAhead."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from imagestore.decompression.decompressor import Decompressor, skip_to

BLOCK = 1 << 20  # decompressed bytes that are read at once
BLOCKS_AHEAD = 4


class ReadAhead:
    """A decompressor for one pass from front to back, which another decompressor serves from a thread.

    Most libraries release the interpreter lock while they decompress. rapidgzip 0.16.2 keeps it in `read`:
    then only system calls of the other thread go on meanwhile. If something goes wrong, or for a step back,
    the other decompressor takes over at the same position without the thread, so that errors come at the
    same places. Do not use it after a fork.
    """

    def __init__(self, decompressor: Decompressor) -> None:
        """Take over a decompressor that stands at the beginning. Read nothing yet."""
        self._decompressor = decompressor
        self._thread = ThreadPoolExecutor(1, "decompress")
        self._coming: deque[Future[bytes]] = deque()
        self._block, self._used = b"", 0  # the bytes that came last, and how many of them are read
        self._position = 0
        self._is_ahead = True

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, or fewer at the end of the data. Raises Damaged."""
        data = self._read_ahead(size) if self._is_ahead else None
        if data is None:
            return self._read_directly(size)
        self._position += len(data)
        return data

    def _read_ahead(self, size: int) -> bytes | None:
        """The next bytes from the thread; None if reading ahead has ended."""
        pieces = []
        while size and (self._used < len(self._block) or self._next_block()):
            piece = self._block[self._used : self._used + size]
            self._used += len(piece)
            size -= len(piece)
            pieces.append(piece)
        if not self._is_ahead:
            return None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _next_block(self) -> bool:
        """Wait for the next block; return False at the end of the data, or if reading ahead has ended."""
        while len(self._coming) <= BLOCKS_AHEAD:
            self._coming.append(self._thread.submit(self._decompressor.read, BLOCK))
        try:
            self._block, self._used = self._coming.popleft().result(), 0
        except Exception:  # whatever it is, reading directly raises it again at its place
            self._stop()
        return self._is_ahead and self._block != b""

    def _stop(self) -> None:
        """End the thread; from now on, read directly."""
        self._is_ahead = False
        self._thread.shutdown(cancel_futures=True)
        self._coming.clear()
        self._block, self._used = b"", 0

    def _read_directly(self, size: int) -> bytes:
        if self._decompressor.tell() != self._position:
            self._decompressor.seek(self._position)
        data = self._decompressor.read(size)
        self._position += len(data)
        return data

    def seek(self, position: int) -> int:
        """Go to a byte of the decompressed data, or to their end; return the new position. Raises Damaged."""
        if position >= self._position:
            return skip_to(self, position)
        self._stop()
        self._position = self._decompressor.seek(position)
        return self._position

    def tell(self) -> int:
        """Return the position in the decompressed data."""
        return self._position

    def bytes_behind(self) -> int:
        """Return how many bytes of the file follow the compressed data, once their end was reached."""
        self._stop()
        return self._decompressor.bytes_behind()

    def points(self) -> bytes:
        """Return the seek points of the other decompressor."""
        self._stop()
        return self._decompressor.points()

    def distrust(self) -> None:
        """Decode in the simplest way from now on, because some bytes were wrong."""
        self._stop()
        self._decompressor.distrust()

    def close(self) -> None:
        """End the thread, and close the other decompressor."""
        self._stop()
        self._decompressor.close()
