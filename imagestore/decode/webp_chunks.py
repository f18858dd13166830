"""The chunks of a WebP: what its pixels need, its metadata and its size (RFC 9649)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from imagestore.decode.metadata import Metadata

PIXEL_CHUNKS = (b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF")
METADATA_FLAGS = 0x20 | 0x08 | 0x04  # of VP8X: ICC profile, EXIF, XMP


def pixels_only(data: bytes) -> bytes:
    """A WebP of the chunks that its pixels need."""
    kept: list[bytes | memoryview] = []
    for kind, chunk in _chunks(data):
        if kind == b"VP8X" and len(chunk) > 8:
            kept += [chunk[:8], bytes([chunk[8] & ~METADATA_FLAGS]), chunk[9:]]
        elif kind in PIXEL_CHUNKS:
            kept.append(chunk)
    return b"".join([b"RIFF", struct.pack("<I", 4 + sum(map(len, kept))), b"WEBP", *kept])


def read_metadata(data: bytes) -> Metadata:
    """The EXIF and XMP blocks of a WebP."""
    chunks = [(kind, bytes(chunk[8:])) for kind, chunk in _chunks(data) if kind in (b"EXIF", b"XMP ")]
    exif = [block for kind, block in chunks if kind == b"EXIF"]
    return Metadata(exif, b"".join(block for kind, block in chunks if kind == b"XMP "))


def read_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, by the first chunk; None if it does not say, or if this is no WebP."""
    start = data[:30]
    if len(start) < 30 or not start.startswith(b"RIFF") or start[8:12] != b"WEBP":
        return None
    if start[12:16] == b"VP8X":
        return _number(start[24:27]) + 1, _number(start[27:30]) + 1
    if start[12:16] == b"VP8L":
        bits = _number(start[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return _number(start[26:28]) & 0x3FFF, _number(start[28:30]) & 0x3FFF


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The kind and the bytes of each chunk; the last may be cut. An even number of bytes stands for each."""
    view = memoryview(data)
    place = 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        end = place + 8 + length + length % 2
        yield kind, view[place:end]
        place = end
