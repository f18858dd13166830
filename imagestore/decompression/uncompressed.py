"""A plain .tar: the bytes of the file as they are."""

from __future__ import annotations

import io
from typing import IO

from imagestore.decompression.forward_decompressor import ForwardDecompressor


class UncompressedFile(ForwardDecompressor):
    """The bytes of the file as they are. A seek costs nothing."""

    def _open(self, file: io.BufferedReader) -> IO[bytes]:
        return file

    def seek(self, position: int) -> int:
        """Go to `position`, or to the end of the file; return the new position."""
        self.read(0)  # opens the file
        assert self._file is not None
        self._position = self._file.seek(min(position, self._raw.size()))
        return self._position
