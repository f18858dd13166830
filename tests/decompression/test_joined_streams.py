"""Streams one after another give all their data, and what follows them costs nothing."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestore.decompression.bzip2_decompressor import Bzip2Decompressor
from imagestore.decompression.gzip_decompressor import GzipDecompressor
from imagestore.decompression.joined_streams import BUFFER
from imagestore.decompression.xz_decompressor import XzDecompressor
from tests.helpers.archives import noise

FORMATS = {
    "gz": (GzipDecompressor, gzip.compress),
    "bz2": (Bzip2Decompressor, bz2.compress),
    "xz": (XzDecompressor, lzma.compress),
}
formats = pytest.mark.parametrize("format", FORMATS)


def open_streams(format, packed):
    """Return the JoinedStreams of compressed bytes, opened as the format's decompressor does."""
    return FORMATS[format][0](-1)._open(io.BufferedReader(io.BytesIO(packed)))


def member(data, header_size):
    """Return a gzip member with all the fields that a header may have (RFC 1952, 2.3)."""
    extra, name, comment = noise(header_size, 1), b"caf\xe9.tar\0", b"a comment\0"
    header = b"\x1f\x8b\x08\x1e" + bytes(6) + len(extra).to_bytes(2, "little") + extra + name + comment
    header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    packer = zlib.compressobj(wbits=-15)
    body = packer.compress(data) + packer.flush()
    return header + body + zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")


@formats
def test_any_division_into_streams_gives_the_same_bytes(format):
    data = noise(50_000, 1) + bytes(100_000)

    @settings(max_examples=60)
    @given(
        st.lists(st.integers(0, len(data)), max_size=6).map(sorted),
        st.sampled_from([0, 1, 4, 512, BUFFER + 1]),
        st.sampled_from(
            [b"", b"\n", b"\0", bytes(512), b"garbage", b"\x1f", b"\x1f\x8b", b"BZ", b"\xfd7zXZ"]
        ),
        st.lists(st.integers(500, 40_000), min_size=1, max_size=9),
    )
    def check(cuts, zeros, behind, sizes):
        compress = FORMATS[format][1]
        parts = [compress(data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        packed = bytes(zeros).join(parts)
        streams = open_streams(format, packed + behind)
        read = b""
        for i in range(len(data)):
            read += (piece := streams.read(sizes[i % len(sizes)]))
            if len(piece) < sizes[i % len(sizes)]:
                break
        assert read == data
        assert (streams.end, streams.stream_start) == (len(packed), len(data))

    check()


@pytest.mark.parametrize("size", [0, 10, 5_000, 30_000])
def test_a_gzip_header_may_cross_the_buffer(size):
    """isal finds a wrong checksum in a header that comes in two pieces."""
    data = noise(1000, 2)
    for length in range(BUFFER - 100, BUFFER, 13):
        packer = zlib.compressobj(0, wbits=31)
        first = packer.compress(bytes(length - 50)) + packer.flush()
        streams = open_streams("gz", first + member(data, size))
        assert streams.read(BUFFER * 2) == bytes(length - 50) + data


@formats
def test_a_broken_stream_tells_what_is_confirmed(format):
    compress = FORMATS[format][1]
    data = noise(3000, 1)
    streams = open_streams(format, compress(data) * 2 + compress(data)[:-20])
    assert streams.read(6000) == data * 2
    with pytest.raises(EOFError):
        streams.read(4000)
    assert streams.stream_start == 6000
