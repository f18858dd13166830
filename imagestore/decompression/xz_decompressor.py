"""xz: by the standard library from front to back, or by the list of blocks that an xz file holds.

xz needs no seek points, because the file lists its own blocks. A file of one block can only be read from the
front.
"""

from __future__ import annotations

import io
import lzma
from typing import IO

from imagestore.decompression.damage import Damaged, WrongChecksum
from imagestore.decompression.forward_decompressor import ForwardDecompressor
from imagestore.decompression.joined_streams import JoinedStreams

MAGIC = b"\xfd7zXZ\x00"
BLOCKS_IN_MEMORY = 2


class XzDecompressor(ForwardDecompressor):
    """xz by the standard library."""

    errors: tuple[type[Exception], ...] = (EOFError, OSError, lzma.LZMAError)

    def _open(self, file: io.BufferedReader) -> IO[bytes] | JoinedStreams:
        return JoinedStreams(file, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ), MAGIC)

    def _damage(self, error: Exception) -> Damaged:
        if not isinstance(error, (EOFError, OSError)):
            return WrongChecksum(str(error))
        return super()._damage(error)


class XzBlockDecompressor(XzDecompressor):
    """xz by the list of blocks, so that a seek goes to the nearest block."""

    _uses_blocks = True

    def _open(self, file: io.BufferedReader) -> IO[bytes] | JoinedStreams:
        if not self._uses_blocks:
            return super()._open(file)
        import xz  # only here: it is slower than lzma if nothing is skipped

        self.errors = (*XzDecompressor.errors, xz.XZError)
        try:
            strategy = xz.RollingBlockReadStrategy(BLOCKS_IN_MEMORY)
            return xz.XZFile(file, block_read_strategy=strategy)  # type: ignore[return-value]
        except xz.XZError:  # such as for bytes behind the last block, which lzma ignores
            self._uses_blocks = False
            file.seek(0)
            return super()._open(file)

    def seek(self, position: int) -> int:
        """Go to the block that holds `position` and decompress up to it. Raises Damaged."""
        if self._uses_blocks and self._file is None:
            self.read(0)  # opens the file
        if self._uses_blocks and self._file is not None:
            self._position = self._file.seek(position)  # type: ignore[union-attr]
        return super().seek(position)

    def distrust(self) -> None:
        """Start again from the front, without the list of blocks."""
        super().distrust()
        self._uses_blocks = False
