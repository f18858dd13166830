"""The compression formats, and which decompressor reads each of them.

To add a format, write its decompressor in a file of its own, and add an entry to FORMATS. decompressor.py
says what a decompressor offers.

In the first pass, rapidgzip reads gzip and bzip2 and notes seek points. With these points, a later run starts
in the middle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from imagestore.decompression import (
    bzip2_decompressor,
    gzip_decompressor,
    lz4_decompressor,
    xz_decompressor,
    zstd_decompressor,
)
from imagestore.decompression.bzip2_decompressor import Bzip2Decompressor, RapidBzip2Decompressor
from imagestore.decompression.decompressor import Decompressor
from imagestore.decompression.gzip_decompressor import GzipDecompressor, RapidGzipDecompressor
from imagestore.decompression.lz4_decompressor import Lz4Decompressor
from imagestore.decompression.uncompressed import UncompressedFile
from imagestore.decompression.xz_decompressor import XzBlockDecompressor, XzDecompressor
from imagestore.decompression.zstd_decompressor import ZstdDecompressor


@dataclass(frozen=True, kw_only=True)
class Compression:
    """A compression format: its name, the bytes with which a file may begin, and its decompressors."""

    name: str
    magic: bytes | tuple[bytes, ...]
    first_pass: Callable[[int], Decompressor]
    streaming: Callable[[int], Decompressor]
    fetching: Callable[[int], Decompressor]
    fetching_by_points: Callable[[int, bytes], Decompressor] | None = None
    is_slow: bool = False  # it takes longer to decompress than images take to be stored

    def open_for_first_pass(self, descriptor: int) -> Decompressor:
        """Return a decompressor that goes from front to back; at the end, `points` gives its seek points."""
        return self.first_pass(descriptor)

    def open_for_streaming(self, descriptor: int) -> Decompressor:
        """Return the decompressor that goes from front to back with the least processor time."""
        return self.streaming(descriptor)

    def open_for_fetching(self, descriptor: int, points: bytes) -> Decompressor:
        """Return a decompressor for single members. `points` come from a first pass and may be empty."""
        if points and self.fetching_by_points:
            return self.fetching_by_points(descriptor, points)
        return self.fetching(descriptor)


UNCOMPRESSED = Compression(
    name="uncompressed",
    magic=b"",
    first_pass=UncompressedFile,
    streaming=UncompressedFile,
    fetching=UncompressedFile,
)

FORMATS = (
    Compression(
        name="gzip",
        magic=gzip_decompressor.MAGIC,
        first_pass=RapidGzipDecompressor.for_first_pass,
        streaming=GzipDecompressor,
        fetching=GzipDecompressor,
        fetching_by_points=RapidGzipDecompressor.from_points,
    ),
    Compression(
        name="bzip2",
        magic=bzip2_decompressor.MAGIC,
        first_pass=RapidBzip2Decompressor.for_first_pass,
        streaming=RapidBzip2Decompressor.for_first_pass,
        fetching=Bzip2Decompressor,
        fetching_by_points=RapidBzip2Decompressor.from_points,
        is_slow=True,
    ),
    Compression(
        name="xz",
        magic=xz_decompressor.MAGIC,
        first_pass=XzDecompressor,
        streaming=XzDecompressor,
        fetching=XzBlockDecompressor,
        is_slow=True,
    ),
    Compression(
        name="zstd",
        magic=zstd_decompressor.MAGIC,
        first_pass=ZstdDecompressor,
        streaming=ZstdDecompressor,
        fetching=ZstdDecompressor,
    ),
    Compression(
        name="lz4",
        magic=lz4_decompressor.MAGIC,
        first_pass=Lz4Decompressor,
        streaming=Lz4Decompressor,
        fetching=Lz4Decompressor,
    ),
    UNCOMPRESSED,  # every file begins with its empty magic: it must stay the last
)


def compression_of(beginning: bytes) -> Compression:
    """Return the compression format of a file that begins with these bytes."""
    return next(compression for compression in FORMATS if beginning.startswith(compression.magic))
