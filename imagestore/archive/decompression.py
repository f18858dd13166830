"""The compression formats, and which decoder reads each of them.

To add a format, write its decoder in a file of its own, and add an entry to FORMATS. decoder.py says what a
decoder offers.

rapidgzip reads gzip and bzip2 in the first pass. It notes seek points. With these, a later run starts in the
middle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from imagestore.archive.bzip2_decoder import Bzip2Decoder, RapidBzip2Decoder
from imagestore.archive.decoder import Decoder
from imagestore.archive.gzip_decoder import GzipDecoder, RapidGzipDecoder
from imagestore.archive.uncompressed_decoder import UncompressedDecoder
from imagestore.archive.xz_decoder import XzBlockDecoder, XzDecoder


@dataclass(frozen=True, kw_only=True)
class Compression:
    """A compression format: its name, the bytes with which a file begins, and its decoders."""

    name: str
    magic: bytes
    first_pass: Callable[[int], Decoder]
    streaming: Callable[[int], Decoder]
    fetching: Callable[[int], Decoder]
    fetching_by_points: Callable[[int, bytes], Decoder] | None = None

    def open_for_first_pass(self, descriptor: int) -> Decoder:
        """Return a decoder that goes from front to back; at the end, `points` gives its seek points."""
        return self.first_pass(descriptor)

    def open_for_streaming(self, descriptor: int) -> Decoder:
        """Return the decoder that goes from front to back with the least processor time."""
        return self.streaming(descriptor)

    def open_for_fetching(self, descriptor: int, points: bytes) -> Decoder:
        """Return a decoder for single members. `points` come from a first pass and may be empty."""
        if points and self.fetching_by_points:
            return self.fetching_by_points(descriptor, points)
        return self.fetching(descriptor)


UNCOMPRESSED = Compression(
    name="uncompressed",
    magic=b"",
    first_pass=UncompressedDecoder,
    streaming=UncompressedDecoder,
    fetching=UncompressedDecoder,
)

FORMATS = (
    Compression(
        name="gzip",
        magic=b"\x1f\x8b\x08",
        first_pass=RapidGzipDecoder.for_first_pass,
        streaming=GzipDecoder,
        fetching=GzipDecoder,
        fetching_by_points=RapidGzipDecoder.from_points,
    ),
    Compression(
        name="bzip2",
        magic=b"BZh",
        first_pass=RapidBzip2Decoder.for_first_pass,
        streaming=RapidBzip2Decoder.for_first_pass,
        fetching=Bzip2Decoder,
        fetching_by_points=RapidBzip2Decoder.from_points,
    ),
    Compression(
        name="xz",
        magic=b"\xfd7zXZ\x00",
        first_pass=XzDecoder,
        streaming=XzDecoder,
        fetching=XzBlockDecoder,
    ),
    UNCOMPRESSED,  # every file begins with its empty magic: it must stay the last
)


def compression_of(beginning: bytes) -> Compression:
    """Return the compression format of a file that begins with these bytes."""
    return next(compression for compression in FORMATS if beginning.startswith(compression.magic))
