"""Read from blocks that are decompressed ahead, as from a decompressor: ReadAhead."""

from __future__ import annotations

from imagestore.decompression.decompressed_blocks import Blocks, OpenDecompressor
from imagestore.decompression.decompressing_processes import FEW_BLOCKS, MANY_BLOCKS, DecompressingProcesses
from imagestore.decompression.decompressing_thread import DecompressingThread
from imagestore.decompression.decompressor import Decompressor, skip_to


def read_ahead(
    open_decompressor: OpenDecompressor,
    descriptor: int,
    processes: DecompressingProcesses | None = None,
    *,
    is_slow: bool = False,
) -> ReadAhead:
    """Let one of the processes decompress a file, or a thread if none is idle.

    `is_slow`: the format takes longer to decompress than images take to be stored.
    """
    blocks: Blocks | None = None
    if processes is not None:
        blocks = processes.begin(open_decompressor, descriptor, MANY_BLOCKS if is_slow else FEW_BLOCKS)
    return ReadAhead(blocks or DecompressingThread(open_decompressor(descriptor)))


class ReadAhead:
    """A decompressor for one pass from front to back, whose blocks are decompressed ahead.

    If something goes wrong, or for a step back, another decompressor takes over at the same position and in
    this thread, so that errors come at the same places. Do not use it after a fork.
    """

    def __init__(self, blocks: Blocks) -> None:
        """Take over blocks none of which was read."""
        self._blocks = blocks
        self._block: bytes | memoryview = b""  # the one that came last
        self._used = 0  # how many of its bytes are read
        self._position = 0
        self._other: Decompressor | None = None  # once it has taken over

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, or fewer at the end of the data. Raises Damaged."""
        data = self._read_ahead(size) if self._other is None else None
        if data is None:
            data = self._take_over().read(size)
        self._position += len(data)
        return data

    def _read_ahead(self, size: int) -> bytes | None:
        """The next bytes of the blocks; None if something goes wrong."""
        pieces = []
        while size and (self._used < len(self._block) or self._next_block()):
            piece = bytes(self._block[self._used : self._used + size])
            self._used += len(piece)
            size -= len(piece)
            pieces.append(piece)
        if self._other is not None:
            return None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _next_block(self) -> bool:
        """Wait for the next block; return False at the end of the data, or if something goes wrong."""
        try:
            self._block, self._used = self._blocks.next(), 0
        except Exception:  # whatever it is, the other decompressor raises it again at its place
            self._take_over()
        return len(self._block) > 0

    def _take_over(self) -> Decompressor:
        """The other decompressor, at this position. Raises Damaged."""
        if self._other is None:
            self._block, self._used = b"", 0
            self._other = self._blocks.stop()
        if self._other.tell() != self._position:
            self._other.seek(self._position)
        return self._other

    def seek(self, position: int) -> int:
        """Go to a byte of the decompressed data, or to their end; return the new position. Raises Damaged."""
        if position >= self._position:
            return skip_to(self, position)
        self._position = self._take_over().seek(position)
        return self._position

    def tell(self) -> int:
        """Return the position in the decompressed data."""
        return self._position

    def bytes_behind(self) -> int:
        """Return how many bytes of the file follow the compressed data, once their end was reached."""
        ending = self._blocks.ending
        return self._take_over().bytes_behind() if ending is None else ending.bytes_behind

    def points(self) -> bytes:
        """Return seek points for a later decompressor that starts in the middle. Raises Damaged."""
        ending = self._blocks.ending
        return self._take_over().points() if ending is None else ending.points

    def distrust(self) -> None:
        """Decode in the simplest way from now on, because some bytes were wrong."""
        self._take_over().distrust()

    def close(self) -> None:
        """End what is under way, and close the other decompressor."""
        (self._blocks if self._other is None else self._other).close()
