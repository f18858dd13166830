"""png_chunks.py: whole pixels are a picture, whatever stands in the other chunks and behind the last row."""

from __future__ import annotations

import itertools
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from imagestore.decode.decode_image import decode_rgb
from imagestore.decode.errors import NotAnImage
from tests.helpers.images import blobs, encode, stripes

PICTURE = stripes((160, 120))
PIXELS = np.asarray(PICTURE)
PNG = encode(PICTURE, "PNG")
BEHIND_HEADER = 33


def chunk(kind: bytes, body: bytes, *, wrong: int = 0) -> bytes:
    """A chunk; `wrong` is added to its checksum."""
    checksum = (zlib.crc32(kind + body) + wrong) & 0xFFFFFFFF
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], 8
    while place < len(png):
        length, kind = struct.unpack_from(">I4s", png, place)
        found.append((kind, png[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def with_chunk(extra: bytes, png: bytes = PNG) -> bytes:
    return png[:BEHIND_HEADER] + extra + png[BEHIND_HEADER:]


LARGE = zlib.compress(os.urandom(1024) * 2000)  # 2 MB once unpacked
PHYS = struct.pack(">IIB", 2835, 2835, 1)
OTHER_CHUNKS = {
    "a large packed text": chunk(b"zTXt", b"Comment\0\0" + LARGE),
    "a text that claims 90 MB": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(90_000_000))),
    "a text of an unknown method": chunk(b"zTXt", b"Comment\0\x09" + zlib.compress(b"text")),
    "a large international text": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LARGE),
    "many texts": b"".join(chunk(b"zTXt", b"k%d\0\0" % i + zlib.compress(b"x" * 900_000)) for i in range(80)),
    "a text with a wrong sum": chunk(b"tEXt", b"Comment\0text", wrong=1),
    "a keyword that is the reader's own": chunk(b"tEXt", b"transparency\0text"),
    "a large profile": chunk(b"iCCP", b"ICC Profile\0\0" + LARGE),
    "a broken profile": chunk(b"iCCP", b"ICC Profile\0\0nonsense"),
    "a profile of an unknown method": chunk(b"iCCP", b"ICC Profile\0\x09" + zlib.compress(b"x")),
    "a profile without anything": chunk(b"iCCP", b""),
    "a profile with a wrong sum": chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(b"x"), wrong=1),
    "a size with a wrong sum": chunk(b"pHYs", PHYS, wrong=1),
    "a short size": chunk(b"pHYs", b"\0"),
    "an empty gamma": chunk(b"gAMA", b""),
    "a gamma with a wrong sum": chunk(b"gAMA", struct.pack(">I", 45455), wrong=1),
    "short primaries": chunk(b"cHRM", b"1234567"),
    "a short intent": chunk(b"sRGB", b""),
    "an empty time": chunk(b"tIME", b""),
    "a damaged EXIF block": chunk(b"eXIf", b"\0\x08\0\x02\x01\x12\0\x03"),
    "an EXIF block that is no hexadecimal text": chunk(
        b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n      10\nzzzz\n")
    ),
    "an animation that is cut": chunk(b"acTL", b"\0\0\0\2"),
    "an animation of a frame outside": chunk(b"fcTL", struct.pack(">5I2H2B", 0, 999, 999, 9, 9, 1, 1, 0, 0)),
    "a suggested palette": chunk(b"PLTE", b"\0\0\0\xff\xff\xff"),
    "a short transparent colour": chunk(b"tRNS", b"\0"),
    "a long transparent colour": chunk(b"tRNS", bytes(9)),
    "a transparent colour with a wrong sum": chunk(b"tRNS", bytes(6), wrong=1),
    "an unknown chunk": chunk(b"vpAg", bytes(9)),
    "an unknown chunk with a wrong sum": chunk(b"vpAg", bytes(9), wrong=1),
}


@pytest.mark.parametrize("kind", OTHER_CHUNKS)
def test_no_other_chunk_costs_a_picture(kind: str) -> None:
    assert np.array_equal(decode_rgb(with_chunk(OTHER_CHUNKS[kind])), PIXELS)
    behind_pixels = PNG[:-12] + OTHER_CHUNKS[kind] + PNG[-12:]
    assert np.array_equal(decode_rgb(behind_pixels), PIXELS)


def test_chunks_between_those_of_the_pixels_do_not_matter() -> None:
    [(_, header), (_, packed), _] = chunks(PNG)
    halves = [chunk(b"IDAT", packed[:50]), chunk(b"tEXt", b"a\0b"), chunk(b"IDAT", packed[50:])]
    png = PNG[:8] + chunk(b"IHDR", header) + b"".join(halves) + chunk(b"IEND", b"")
    assert np.array_equal(decode_rgb(png), PIXELS)


def test_a_profile_of_a_text_turns_the_picture() -> None:
    """ImageMagick writes EXIF so."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + bytes(4)
    text = b"\nexif\n%8d\n" % len(exif) + exif.hex().encode() + b"\n"
    png = with_chunk(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)))
    assert decode_rgb(png).size == (120, 160)


# ----- the end -----


def with_pixels(packed: bytes, *, wrong: int = 0) -> bytes:
    return PNG[:BEHIND_HEADER] + chunk(b"IDAT", packed, wrong=wrong) + chunk(b"IEND", b"")


ROWS = zlib.decompress(chunks(PNG)[1][1])
PACKED = zlib.compress(ROWS)
ENDS = {
    "no end": PNG[:-12],
    "an end with a wrong sum": PNG[:-4] + b"abcd",
    "half an end": PNG[:-6],
    "other bytes behind the end": PNG + b"garbage" * 1000,
    "other bytes in place of the end": PNG[:-12] + b"garbage" * 1000,
    "zeros in place of the end": PNG[:-12] + bytes(5000),
    "no sum of the last chunk": PNG[:-16],
    "no sum of the pixels": with_pixels(PACKED)[: -12 - 8],
    "a wrong sum of the pixels": with_pixels(PACKED[:-4] + b"abcd"),
    "a wrong sum of the chunk": with_pixels(PACKED, wrong=1),
    "no last block of the pixels": PNG[:BEHIND_HEADER] + chunk(b"IDAT", PACKED)[:-9],
    "more rows than the header says": with_pixels(zlib.compress(ROWS + ROWS[:1000])),
    "bytes behind the pixels": with_pixels(PACKED + b"more"),
}


@pytest.mark.parametrize("kind", ENDS)
def test_whole_rows_are_a_picture_without_a_right_end(kind: str) -> None:
    assert np.array_equal(decode_rgb(ENDS[kind]), PIXELS)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA"])
@pytest.mark.parametrize("interlaced", [False, True])
def test_rows_of_every_mode_are_counted(mode: str, interlaced: bool) -> None:
    """The sum of the pixels is wrong, so all rows are unpacked and packed again."""
    for size in ((1, 1), (9, 7), (37, 21)):
        image = blobs(size).convert(mode)
        png = interlace(image) if interlaced else encode(image, "PNG")
        parts = [(kind, body[:-4] + b"abcd" if kind == b"IDAT" else body) for kind, body in chunks(png)]
        damaged = png[:8] + b"".join(itertools.starmap(chunk, parts))
        assert np.array_equal(decode_rgb(damaged), decode_rgb(png))


def interlace(image: Image.Image) -> bytes:
    """An interlaced PNG (Adam7), which Pillow does not write: each pass is a picture of its own."""
    png = encode(image, "PNG")
    header = dict(chunks(png))[b"IHDR"]
    rows = b""
    for x, y, right, down in (
        (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
    ):  # fmt: skip
        part = np.asarray(image)[y::down, x::right]
        if part.size:
            packed = np.packbits(part, axis=1) if image.mode == "1" else part
            rows += b"".join(b"\0" + row.tobytes() for row in packed)
    others = [(kind, body) for kind, body in chunks(png) if kind not in (b"IHDR", b"IDAT", b"IEND")]
    parts = [(b"IHDR", header[:8] + header_depth(image) + b"\0\0\1"), *others, (b"IDAT", zlib.compress(rows))]
    return png[:8] + b"".join(itertools.starmap(chunk, [*parts, (b"IEND", b"")]))


def header_depth(image: Image.Image) -> bytes:
    """Bits and kind of the pixels as `interlace` writes them."""
    return {"1": b"\1\0", "L": b"\x08\0", "P": b"\x08\3", "RGBA": b"\x08\6"}[image.mode]


def with_byte(data: bytes, place: int) -> bytes:
    """The data with another byte at a place."""
    return data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]


REFUSED = {
    "missing rows": with_pixels(zlib.compress(ROWS[:-100])),
    "a cut before the last row": PNG[: len(PNG) // 2],
    "damaged pixels": with_byte(encode(blobs(), "PNG"), 9000),
    "a header with a wrong sum": PNG[:29] + b"abcd" + PNG[33:],
}


@pytest.mark.parametrize("kind", REFUSED)
def test_pixels_that_are_not_whole_are_no_picture(kind: str) -> None:
    with pytest.raises(NotAnImage):
        decode_rgb(REFUSED[kind])
