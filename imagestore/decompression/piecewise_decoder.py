"""PiecewiseDecoder: bounds the output of a library's decoder that cannot do it, or does it wrongly."""

from __future__ import annotations

from typing import Protocol


class UnboundedDecoder(Protocol):
    """The decoder of one stream as a library has it."""

    eof: bool
    unused_data: bytes | None

    def decompress(self, data: bytes) -> bytes:
        """Decode all of `data`."""


class PiecewiseDecoder:
    """A decoder as joined_streams.StreamDecoder has it: the input goes to the library in small pieces."""

    def __init__(self, decoder: UnboundedDecoder, input_at_once: int) -> None:
        """`input_at_once` (bytes) bounds the memory: it is what the library decodes in one go."""
        self._decoder = decoder
        self._input_at_once = input_at_once
        self._input = memoryview(b"")
        self._output = memoryview(b"")

    @property
    def eof(self) -> bool:
        """Whether the stream has ended and all of its bytes are delivered."""
        return self._decoder.eof and not self._output

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes without more input."""
        return not (self._input or self._output or self._decoder.eof)

    @property
    def unused_data(self) -> bytes:
        """What follows the stream."""
        return (self._decoder.unused_data or b"") + self._input

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Take more compressed bytes, and return up to `max_length` bytes. Raises an error of the library."""
        if data:
            self._input = memoryview(data)
        while self._input and not self._output and not self._decoder.eof:
            piece, self._input = self._input[: self._input_at_once], self._input[self._input_at_once :]
            self._output = memoryview(self._decoder.decompress(bytes(piece)))
        delivered, self._output = bytes(self._output[:max_length]), self._output[max_length:]
        return delivered
