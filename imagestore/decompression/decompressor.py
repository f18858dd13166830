"""The Decompressor protocol: the decompressed bytes of a file, from any position."""

from __future__ import annotations

from typing import Protocol

PIECE = 1 << 20  # decompressed bytes that are read at once to be dropped


class Decompressor(Protocol):
    """Decompressed bytes with a position.

    A decompressor belongs to one thread. After a fork, parent and child may both use it: every read of the
    file names its offset, and nothing runs in the background. Closing it leaves the descriptor open.
    """

    def read(self, size: int, /) -> bytes:
        """Return the next `size` bytes, or fewer at the end of the data. Raises Damaged."""

    def seek(self, position: int, /) -> int:
        """Go to a byte of the decompressed data, or to their end; return the new position. Raises Damaged."""

    def tell(self) -> int:
        """Return the position in the decompressed data."""

    def bytes_behind(self) -> int:
        """Return how many bytes of the file follow the compressed data, once their end was reached."""

    def points(self) -> bytes:
        """Return seek points for a later decompressor that starts in the middle; empty if there are none."""

    def distrust(self) -> None:
        """Decode in the simplest way from now on, because some bytes were wrong."""

    def close(self) -> None:
        """Free everything but the descriptor."""


def skip_to(decompressor: Decompressor, position: int) -> int:
    """Read on to `position`, or to the end of the data; return the new position. Raises Damaged."""
    while decompressor.tell() < position and decompressor.read(min(PIECE, position - decompressor.tell())):
        pass
    return decompressor.tell()
