"""gzip: by isal from front to back, or by rapidgzip with seek points."""

from __future__ import annotations

import io
import os
from typing import IO

from isal import igzip, isal_zlib

from imagestore.archive.damage import Damaged, WrongChecksum
from imagestore.archive.forward_decompressor import ForwardDecompressor
from imagestore.archive.rapidgzip_decompressor import RapidgzipDecompressor

ISIZE_BYTES = 4  # at the end of a gzip member: the size of its data modulo 2**32 (RFC 1952, 2.3.1)


class GzipDecompressor(ForwardDecompressor):
    """gzip by isal, which takes two thirds of zlib's time."""

    errors = (EOFError, OSError, isal_zlib.error)  # type: ignore[assignment]

    def _open(self, file: io.BufferedReader) -> IO[bytes]:
        return igzip.IGzipFile(fileobj=file, mode="rb")  # type: ignore[return-value]

    def _means_end(self, error: Exception) -> bool:
        # Like gzip itself, ignore bytes behind the last member that are no gzip.
        return self._position > 0 and str(error).startswith("Not a gzipped file")

    def _damage(self, error: Exception) -> Damaged:
        if str(error).startswith(("CRC check failed", "Incorrect length")):
            return WrongChecksum(str(error))
        return super()._damage(error)


class RapidGzipDecompressor(RapidgzipDecompressor):
    """gzip by rapidgzip: one member or several, perhaps with zeros or garbage behind them."""

    plain_decompressor = GzipDecompressor

    def _is_true_end(self, position: int) -> bool:
        """Compare with the size that stands at the end of a file of one member; else decode everything."""
        file_size = os.fstat(self._descriptor).st_size
        isize = os.pread(self._descriptor, ISIZE_BYTES, max(0, file_size - ISIZE_BYTES))
        return int.from_bytes(isize, "little") == position & 0xFFFFFFFF or super()._is_true_end(position)
