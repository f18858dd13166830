"""JoinedStreams: the data of a file that holds one compressed stream, or several one after another.

gzip calls a stream a member. All three formats allow several of them (`cat a.gz b.gz`) and zeros behind each
(RFC 1952 does not name the zeros, but gzip ignores them; .xz file format, 2.2: stream padding).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Protocol

BUFFER = 64 << 10  # compressed bytes that are read at once
WHOLE_HEADER = 32 << 10  # bytes that surely hold a stream's header; isal fails if one comes in two pieces


class StreamDecoder(Protocol):
    """The decoder of one stream; bz2, lzma and isal have one each."""

    eof: bool  # whether the stream has ended; its checksums are right then
    needs_input: bool
    unused_data: bytes  # what follows the stream

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Take more compressed bytes, and return up to `max_length` bytes. Raises an error of the library."""


class JoinedStreams:
    """The decompressed bytes of all streams of a file, from front to back.

    `end` is the offset behind the last stream that has ended. `stream_start` is where the data of the stream
    begin that is being decoded: a checksum has confirmed all bytes before it.
    """

    def __init__(
        self,
        file: io.BufferedReader,
        new_decoder: Callable[[], StreamDecoder],
        magic: bytes | tuple[bytes, ...],
    ) -> None:
        """`file` stands at the first stream. Bytes that begin with `magic` are another stream."""
        self.end = 0
        self.stream_start = 0
        self._file = file
        self._new_decoder = new_decoder
        self._magic = magic
        self._taken = 0  # compressed bytes, taken from the file
        self._position = 0  # decompressed bytes, delivered
        self._input = self._more_input()
        self._decoder: StreamDecoder | None = new_decoder()

    def _more_input(self) -> bytes:
        data = self._file.read(BUFFER)
        self._taken += len(data)
        return data

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, or fewer at the end of the last stream.

        Raises EOFError if a stream is cut short, OSError, and errors of the library.
        """
        pieces = []
        missing = size
        while missing and self._decoder is not None:
            piece = self._decode(self._decoder, missing)
            pieces.append(piece)
            missing -= len(piece)
            if self._decoder.eof:
                self._go_to_next_stream(self._decoder.unused_data)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _decode(self, decoder: StreamDecoder, size: int) -> bytes:
        """Return up to `size` bytes; none if the decoder needs more input."""
        data = b""
        if decoder.needs_input:
            data = self._input or self._more_input()
            self._input = b""
            if not data:
                raise EOFError("the compressed data end too early")
        piece = decoder.decompress(data, size)
        self._position += len(piece)
        return piece

    def _go_to_next_stream(self, behind: bytes) -> None:
        """Begin the stream that follows; `behind` is what the decoder has not used."""
        self.end = self._taken - len(behind)
        self.stream_start = self._position
        behind = behind.lstrip(b"\0")
        while len(behind) < WHOLE_HEADER and (more := self._more_input()):
            behind = (behind + more).lstrip(b"\0") if not behind else behind + more
        self._input = behind
        self._decoder = self._new_decoder() if behind.startswith(self._magic) else None

    def close(self) -> None:
        """Free the decoder."""
        self._decoder, self._input = None, b""
