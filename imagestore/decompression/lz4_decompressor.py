"""lz4 (.tar.lz4), from front to back, with the package lz4, which is optional."""

from __future__ import annotations

import io

from imagestore.console import UserError
from imagestore.decompression.damage import Damaged, WrongChecksum
from imagestore.decompression.forward_decompressor import ForwardDecompressor
from imagestore.decompression.joined_streams import JoinedStreams
from imagestore.decompression.piecewise_decoder import PiecewiseDecoder
from imagestore.printed_commands import pip_install

MAGIC = b"\x04\x22\x4d\x18"  # of a frame: LZ4 frame format 1.6.4
INPUT_AT_ONCE = 64 << 10  # bytes; lz4 packs at most 255 bytes into one, so this is at most 16 MiB


class Lz4Decompressor(ForwardDecompressor):
    """lz4: one frame, or several one after another."""

    errors = (EOFError, OSError, RuntimeError)

    def __init__(self, descriptor: int) -> None:
        """Read nothing yet. Raises UserError if lz4 is not installed."""
        try:
            from lz4.frame import LZ4FrameDecompressor
        except ImportError:
            message = f".tar.lz4 is read with lz4, which is not installed: {pip_install('lz4')}"
            raise UserError(message) from None
        self._library_decoder = LZ4FrameDecompressor
        super().__init__(descriptor)

    def _open(self, file: io.BufferedReader) -> JoinedStreams:
        return JoinedStreams(file, self._new_decoder, MAGIC)

    def _new_decoder(self) -> PiecewiseDecoder:
        return PiecewiseDecoder(self._library_decoder(), INPUT_AT_ONCE)

    def _damage(self, error: Exception) -> Damaged:
        return WrongChecksum("wrong checksum") if "hecksum" in str(error) else super()._damage(error)
