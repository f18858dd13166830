"""xz: by the standard library from front to back, or by the list of blocks that an xz file holds.

xz needs no seek points, because the file lists its own blocks. A file of one block can only be read from the
front.
"""

from __future__ import annotations

import io
import lzma
import os
from typing import IO

from imagestore.archive.damage import Damaged, WrongChecksum
from imagestore.archive.forward_decompressor import ForwardDecompressor

PADDING = bytes(4)  # stream padding comes in units of four zeros (.xz file format, 2.2)
BLOCKS_IN_MEMORY = 2


class XzDecompressor(ForwardDecompressor):
    """xz by the standard library."""

    errors: tuple[type[Exception], ...] = (EOFError, OSError, lzma.LZMAError)

    def _open(self, file: io.BufferedReader) -> IO[bytes]:
        return lzma.LZMAFile(file)

    def _means_end(self, error: Exception) -> bool:
        # Python takes the padding behind the last stream for the beginning of another stream.
        return isinstance(error, EOFError) and self._ends_in_padding()

    def _ends_in_padding(self) -> bool:
        return os.pread(self._descriptor, len(PADDING), self._raw.size() - len(PADDING)) == PADDING

    def _damage(self, error: Exception) -> Damaged:
        if not isinstance(error, (EOFError, OSError)):
            return WrongChecksum(str(error))
        return super()._damage(error)


class XzBlockDecompressor(XzDecompressor):
    """xz by the list of blocks, so that a seek goes to the nearest block."""

    _uses_blocks = True

    def _open(self, file: io.BufferedReader) -> IO[bytes]:
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
            self._position = self._file.seek(position)
        return super().seek(position)

    def distrust(self) -> None:
        """Start again from the front, without the list of blocks."""
        super().distrust()
        self._uses_blocks = False
