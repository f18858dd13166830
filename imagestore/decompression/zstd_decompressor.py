"""zstd (.tar.zst), from front to back, with the package zstandard, which is optional."""

from __future__ import annotations

import io

from imagestore.console import UserError
from imagestore.decompression.damage import Damaged, WrongChecksum
from imagestore.decompression.forward_decompressor import ForwardDecompressor
from imagestore.decompression.joined_streams import JoinedStreams
from imagestore.decompression.piecewise_decoder import PiecewiseDecoder
from imagestore.printed_commands import pip_install

FRAME = b"\x28\xb5\x2f\xfd"
SKIPPABLE_FRAMES = tuple(bytes([i]) + b"\x2a\x4d\x18" for i in range(0x50, 0x60))  # pzstd begins with one
MAGIC = (FRAME, *SKIPPABLE_FRAMES)  # RFC 8878, 3.1.1 and 3.1.2
LARGEST_WINDOW = 1 << 31  # bytes, of `zstd --long=31`; the library takes 128 MiB by itself, as zstd does
INPUT_AT_ONCE = 4 << 10  # bytes; a block of 4 bytes may become 128 KiB, so this bounds the memory to 128 MiB


class ZstdDecompressor(ForwardDecompressor):
    """zstd: one frame, or several one after another."""

    def __init__(self, descriptor: int) -> None:
        """Read nothing yet. Raises UserError if zstandard is not installed."""
        try:
            import zstandard
        except ImportError:
            message = f".tar.zst is read with zstandard, which is not installed: {pip_install('zstandard')}"
            raise UserError(message) from None
        self._library = zstandard
        self.errors = (EOFError, OSError, zstandard.ZstdError)
        super().__init__(descriptor)

    def _open(self, file: io.BufferedReader) -> JoinedStreams:
        return JoinedStreams(file, self._new_decoder, MAGIC)

    def _new_decoder(self) -> PiecewiseDecoder:
        decompressor = self._library.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
        return PiecewiseDecoder(decompressor.decompressobj(), INPUT_AT_ONCE)

    def _damage(self, error: Exception) -> Damaged:
        if "not enough memory" in str(error):
            raise MemoryError(str(error)) from error
        return WrongChecksum("wrong checksum") if "checksum" in str(error) else super()._damage(error)
