"""Decompress in a thread, ahead of the one that uses the bytes: DecompressingThread."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from imagestore.decompression.decompressed_blocks import BLOCK
from imagestore.decompression.decompressor import Decompressor

BLOCKS_AHEAD = 4


class DecompressingThread:
    """The Blocks that a decompressor makes in a thread. Do not use them after a fork.

    Most libraries release the interpreter lock while they decompress. rapidgzip 0.16.2 keeps it in `read`:
    then only system calls of the other thread go on meanwhile.
    """

    ending = None

    def __init__(self, decompressor: Decompressor) -> None:
        """Take over a decompressor that stands at the beginning. Read nothing yet."""
        self._decompressor = decompressor
        self._thread = ThreadPoolExecutor(1, "decompress")
        self._coming: deque[Future[bytes]] = deque()

    def next(self) -> bytes:
        """Wait for the next block; raises what the decompressor raises."""
        while len(self._coming) <= BLOCKS_AHEAD:
            self._coming.append(self._thread.submit(self._decompressor.read, BLOCK))
        return self._coming.popleft().result()

    def stop(self) -> Decompressor:
        """End the thread; return the decompressor."""
        self._thread.shutdown(cancel_futures=True)
        self._coming.clear()
        return self._decompressor

    def close(self) -> None:
        """End the thread, and close the decompressor."""
        self.stop().close()
