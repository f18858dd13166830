"""The chunks of a PNG: what its pixels need, its metadata, and pixels whose stream has no right end.

W3C, Portable Network Graphics (third edition), sections 5, 8 and 11.
"""

from __future__ import annotations

import binascii
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from imagestore.decode.metadata import Metadata

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, COLOUR, PALETTE = 0, 2, 3  # kinds of pixels that may have a transparent colour
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of each kind of pixels
# The pictures of an interlaced one: first column, first row, step of columns, step of rows
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
LONGEST_PROFILE = 1 << 20  # bytes of an EXIF block that is packed into a text
PIECE = 1 << 16  # bytes
BYTES_OF_ZLIB_HEADER = 2

_hexadecimal = re.compile(rb"\s*\w+\s+\d+\s+([0-9a-fA-F\s]*)")  # a name, a length, and the bytes


@dataclass(frozen=True)
class Chunk:
    """A chunk. The file may end inside it."""

    kind: bytes
    whole: memoryview  # from its length to its checksum
    length: int  # of its body as it is written

    @property
    def body(self) -> bytes:
        """What it holds."""
        return bytes(self.whole[8 : 8 + self.length])

    @property
    def is_cut(self) -> bool:
        """Whether the file ends inside it."""
        return len(self.whole) < self.length + 12

    @property
    def is_sound(self) -> bool:
        """Whether its checksum is right."""
        return self.whole[8 + self.length :] == _checksum(self.whole[4 : 8 + self.length])


def pixels_only(data: bytes) -> bytes:
    """A PNG of the chunks that its pixels need. It has an end, unless the file ends inside one of them."""
    kept: list[Chunk] = []
    header = palette = b""
    for chunk in read_chunks(data):
        if chunk.kind == b"IHDR":
            header = header or chunk.body
        elif chunk.kind == b"PLTE":
            palette = palette or chunk.body
        if _is_for_pixels(chunk, header, palette):
            kept.append(chunk)
    end = b"" if kept and kept[-1].is_cut else write_chunk(b"IEND", b"")
    return b"".join([SIGNATURE, *(chunk.whole for chunk in kept), end])


def read_metadata(data: bytes) -> Metadata:
    """The EXIF and XMP blocks of a PNG."""
    exif: list[bytes] = []
    xmp = b""
    for chunk in read_chunks(data):
        if chunk.kind in (b"eXIf", b"tEXt", b"zTXt"):
            exif += _exif_blocks(chunk)
        elif chunk.kind == b"iTXt" and chunk.body.startswith(b"XML:com.adobe.xmp\0"):
            xmp = chunk.body
    return Metadata(exif, xmp)


def _is_for_pixels(chunk: Chunk, header: bytes, palette: bytes) -> bool:
    if chunk.kind == b"tRNS":  # one of a wrong length says nothing (libpng, "Diagnostics", does the same)
        lengths = {GREY: [2], COLOUR: [6], PALETTE: range(1, len(palette) // 3 + 1)}
        return chunk.is_sound and chunk.length in lengths.get(_kind_of_pixels(header), [])
    return chunk.kind in (b"IHDR", b"IDAT") or (
        chunk.kind == b"PLTE" and _kind_of_pixels(header) == PALETTE  # in others it is a suggestion
    )


def _kind_of_pixels(header: bytes) -> int:
    return header[9] if len(header) > 9 else GREY


def _exif_blocks(chunk: Chunk) -> list[bytes]:
    """The EXIF block of a chunk. ImageMagick writes it as text, in hexadecimal digits."""
    if chunk.kind == b"eXIf":
        return [chunk.body]
    keyword, _, text = chunk.body.partition(b"\0")
    if keyword != b"Raw profile type exif":
        return []
    try:
        if chunk.kind == b"zTXt":  # a byte names the method
            text = zlib.decompressobj().decompress(text[1:], LONGEST_PROFILE)
        digits = _hexadecimal.match(text)
        return [binascii.unhexlify(b"".join(digits[1].split()))] if digits else []
    except (zlib.error, binascii.Error):
        return []


def read_chunks(data: bytes) -> Iterator[Chunk]:
    """Each chunk up to the end of the picture, or to bytes that are no chunk."""
    view = memoryview(data)
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"IEND" or not kind.isalpha():
            return
        yield Chunk(kind, view[place : place + 12 + length], length)
        place += 12 + length


def write_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its length and its checksum."""
    return struct.pack(">I", len(body)) + kind + body + _checksum(kind + body)


def _checksum(data: bytes | memoryview) -> bytes:
    return struct.pack(">I", zlib.crc32(data))


# ----- pixels whose stream has no right end -----


def with_right_end(data: bytes) -> bytes | None:
    """A PNG of `pixels_only` that did not decode, with its pixels packed again.

    None if rows are missing, or if a checksum says that they are damaged. So a file that is cut behind its
    last row is a picture, and one whose writer got only the sum over the pixels wrong.
    """
    chunks = list(read_chunks(data))
    parts = [chunk for chunk in chunks if chunk.kind == b"IDAT"]
    if not chunks or len(chunks[0].body) != 13 or not all(part.is_cut or part.is_sound for part in parts):
        return None
    packed = b"".join(part.whole[8 : 8 + part.length] for part in parts)
    pixels = _pack_again(packed, _size_of_rows(chunks[0].body))
    if pixels is None:
        return None
    others = [bytes(chunk.whole) for chunk in chunks if chunk.kind != b"IDAT"]
    return b"".join([SIGNATURE, *others, write_chunk(b"IDAT", pixels), write_chunk(b"IEND", b"")])


def _pack_again(packed: bytes, size: int) -> bytes | None:
    """The first `size` bytes of a zlib stream as a stream of their own; None if it has fewer."""
    packer = zlib.compressobj(1)
    result: list[bytes] = []
    try:
        for piece in _unpack(packed):
            result.append(packer.compress(piece[:size]))
            size -= len(piece)
            if size <= 0:
                return b"".join([*result, packer.flush()])
    except zlib.error:
        pass
    return None


def _unpack(packed: bytes) -> Iterator[bytes]:
    """The data of a zlib stream in pieces, whether its checksum is right or not. Raises zlib.error."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)  # without a header, no checksum is expected
    for start in range(BYTES_OF_ZLIB_HEADER, len(packed), PIECE):
        rest = packed[start : start + PIECE]
        while rest:
            yield unpacker.decompress(rest, PIECE)
            rest = unpacker.unconsumed_tail
    yield unpacker.flush()


def _size_of_rows(header: bytes) -> int:
    """Bytes of all rows, each with the byte that names its filter."""
    width, height, depth, kind, _, _, is_interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * CHANNELS.get(kind, 0)
    passes = PASSES if is_interlaced else ((0, 0, 1, 1),)
    sizes = ((-(-(width - x) // right), -(-(height - y) // down)) for x, y, right, down in passes)
    return sum(rows * (1 + -(-columns * bits // 8)) for columns, rows in sizes if columns > 0 < rows)
