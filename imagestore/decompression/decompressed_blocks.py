"""The decompressed data of a file, block by block, from a thread or a process: the Blocks protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from imagestore.decompression.decompressor import Decompressor

BLOCK = 1 << 20  # decompressed bytes

OpenDecompressor = Callable[[int], Decompressor]  # opens a descriptor


@dataclass(frozen=True)
class Ending:
    """What a decompressor says at the end of its data; see Decompressor."""

    points: bytes
    bytes_behind: int


class Blocks(Protocol):
    """Blocks of a file from front to back, which something else than this thread decompresses ahead."""

    ending: Ending | None  # what the other process has said at the end of the data

    def next(self) -> bytes | memoryview:
        """Return the next block, which may change after the next call; an empty one at the end of the data.

        Raises any Exception if this did not work.
        """

    def stop(self) -> Decompressor:
        """Decompress nothing more ahead. Return a decompressor that stands anywhere, for this thread."""

    def close(self) -> None:
        """End whatever is under way."""
