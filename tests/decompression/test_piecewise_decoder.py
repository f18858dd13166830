"""Decoders of libraries in small pieces: the same bytes, the same end, and a bound on what comes at once."""

from __future__ import annotations

import lz4.frame
import pytest
import zstandard

from imagestore.decompression.piecewise_decoder import PiecewiseDecoder
from tests.helpers.archives import PACKERS, noise

DECODERS = {
    "zst": lambda: zstandard.ZstdDecompressor().decompressobj(),
    "lz4": lz4.frame.LZ4FrameDecompressor,
}
DATA = noise(70_000, 1) + bytes(300_000)


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("size", [1000, 100_000, 1_000_000])
@pytest.mark.parametrize("input_size", [999, 1 << 20])
def test_the_bytes_come_in_pieces_of_the_size_that_is_asked_for(kind, size, input_size):
    packed = PACKERS[kind](DATA) + b"behind"
    decoder, pieces = PiecewiseDecoder(DECODERS[kind](), 512), []
    given = 0
    while not decoder.eof:
        data = packed[given : given + input_size] if decoder.needs_input else b""
        given += len(data)
        pieces.append(decoder.decompress(data, size))
        assert len(pieces[-1]) <= size
    assert b"".join(pieces) == DATA
    assert decoder.unused_data + packed[given:] == b"behind"
