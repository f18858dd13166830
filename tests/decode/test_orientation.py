"""orientation.py: a picture is turned upright by its EXIF or XMP, and no other tag of it matters."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, TiffTags

from imagestore.decode.decode_image import decode_rgb
from imagestore.decode.orientation import orientation_of_exif
from tests.helpers.images import encode

WIDE = Image.new("RGB", (16, 12), "orange")
MARK = b"Exif\0\0"
SHORT, LONG = 3, 4
UPRIGHT_OF_6 = (12, 16)


def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack("<HHI", tag, kind, count) + value


def directory(*entries: bytes, behind: bytes = b"") -> bytes:
    """A little-endian TIFF block whose first directory has these entries."""
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4) + behind


def orientation(number: int) -> bytes:
    return entry(0x0112, SHORT, 1, struct.pack("<HH", number, 0))


# ----- what an EXIF block says -----


BLOCKS = {
    "nothing": (b"", None),
    "only its mark": (MARK, None),
    "zeros": (bytes(40), None),
    "text": (b"http://ns.adobe.com/xap/1.0/", None),
    "a directory beyond the block": (b"II*\0\xff\xff\xff\x7f", None),
    "a directory of more entries than there are": (directory(orientation(6), orientation(6))[:30], 6),
    "no orientation": (directory(entry(0x010F, 2, 4, b"abc\0")), None),
    "one": (directory(orientation(6)), 6),
    "one behind marks": (MARK * 3 + directory(orientation(6)), 6),
    "two": (directory(orientation(6), orientation(3)), 6),
    "a long number": (directory(entry(0x0112, LONG, 1, struct.pack("<I", 8))), 8),
    "two values": (directory(entry(0x0112, SHORT, 2, struct.pack("<HH", 6, 6))), None),
    "letters": (directory(entry(0x0112, 2, 2, b"6\0\0\0")), None),
    "0": (directory(orientation(0)), None),
    "9": (directory(orientation(9)), None),
    "an unknown type beside it": (directory(entry(0x010F, 77, 4, b"abcd"), orientation(6)), 6),
    "big endian": (b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0", 6),
    "BigTIFF": (b"II+\0\x08\0\0\0" + struct.pack("<QQHHQHHI", 16, 1, 0x0112, 3, 1, 6, 0, 0), 6),
}


@pytest.mark.parametrize("kind", BLOCKS)
def test_the_orientation_of_a_block(kind: str) -> None:
    block, expected = BLOCKS[kind]
    assert orientation_of_exif(block) == expected


@given(st.binary(max_size=200), st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"]))
def test_no_block_raises_an_error(body: bytes, start: bytes) -> None:
    assert orientation_of_exif(start + body) in (None, *range(1, 9))


# ----- pictures -----


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_are_turned_as_pillow_turns_them(format: str, number: int) -> None:
    """By the corner that is red: EXIF 2.32, 4.6.4, says where the first row and column of the file belong."""
    image = Image.new("RGB", (32, 16), "white")
    image.paste("red", (0, 0, 16, 8))  # the corner of the first row and column
    exif = Image.Exif()
    exif[0x0112] = number
    options = {"lossless": True} if format == "WEBP" else {"quality": 100} if format == "JPEG" else {}
    pixels = np.asarray(decode_rgb(encode(image, format, exif=exif, **options))).astype(int)
    top, left = {1: (1, 1), 2: (1, 0), 3: (0, 0), 4: (0, 1), 5: (1, 1), 6: (1, 0), 7: (0, 0), 8: (0, 1)}[
        number
    ]
    assert pixels.shape[:2] == ((16, 32) if number < 5 else (32, 16))
    corners = {(1, 1): pixels[2, 2], (1, 0): pixels[2, -3], (0, 0): pixels[-3, -3], (0, 1): pixels[-3, 2]}
    assert {place for place, colour in corners.items() if colour[1] < 100} == {(top, left)}


def test_xmp_tells_where_exif_does_not() -> None:
    def xmp(orientation: str) -> bytes:
        return f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()

    sizes = {text: decode_rgb(encode(WIDE, "JPEG", xmp=xmp(text))).size for text in ("6", "1", "zz", "9", "")}
    assert sizes == {"6": (12, 16), "1": (16, 12), "zz": (16, 12), "9": (16, 12), "": (16, 12)}
    assert decode_rgb(encode(WIDE, "JPEG", exif=MARK + directory(orientation(1)), xmp=xmp("6"))).size == (
        16,
        12,
    )


# ----- every tag beside the orientation -----

TAGS = sorted((set(TiffTags.TAGS_V2) | set(ExifTags.TAGS)) - {0x0112})
KINDS = range(1, 14)
COUNTS = (1, 2, 3)
BEHIND = struct.pack("<10i", -1, 0, 5000, 0, 1, 2**31 - 1, -(2**31), 7, 8, 65)
PLACE_BEHIND = 8 + 2 + 2 * 12 + 4
VALUES = (bytes(4), b"\xff" * 4, b"\x01\0\0\0", b"abc\0", struct.pack("<I", PLACE_BEHIND))


def blocks(tag: int) -> Iterator[bytes]:
    """Blocks with the orientation 6, and beside it a tag of any type, count and value, in order."""
    for kind, count, value in product(KINDS, COUNTS, VALUES):
        other = entry(tag, kind, count, value)
        yield directory(*sorted([orientation(6), other], key=lambda each: each[1::-1]), behind=BEHIND)


def test_there_are_as_many_tags_as_the_scan_was_made_for() -> None:
    assert len(TAGS) >= 290


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_no_tag_costs_a_jpeg_its_picture_or_its_orientation(part: int) -> None:
    plain = encode(WIDE, "JPEG")
    for tag in TAGS[part::4]:
        for block in blocks(tag):
            segment = b"\xff\xe1" + struct.pack(">H", len(MARK + block) + 2) + MARK + block
            assert decode_rgb(plain[:2] + segment + plain[2:]).size == UPRIGHT_OF_6, block


@pytest.mark.parametrize("format", ["PNG", "WEBP", "JPEG"])
def test_no_tag_costs_a_picture_of_another_format(format: str) -> None:
    """A sample of the scan."""
    for number, tag in enumerate(TAGS[::4]):
        for block in list(blocks(tag))[number % 40 :: 40]:
            assert decode_rgb(encode(WIDE, format, exif=MARK + block)).size == UPRIGHT_OF_6, block


def test_no_tag_costs_a_tiff_its_picture() -> None:
    plain = encode(WIDE, "TIFF")
    start = struct.unpack_from("<I", plain, 4)[0]
    count = struct.unpack_from("<H", plain, start)[0]
    entries = [plain[place : place + 12] for place in range(start + 2, start + 2 + 12 * count, 12)]
    for number, tag in enumerate(tag for tag in TAGS if tag > 700):
        for kind, c, value in list(product(KINDS, COUNTS, VALUES))[number % 60 :: 60]:
            added = [*entries, orientation(6), entry(tag, kind, c, value)]
            data = plain[:4] + struct.pack("<I", len(plain)) + plain[8:] + struct.pack("<H", len(added))
            data += b"".join(sorted(added, key=lambda each: each[1::-1])) + bytes(4)
            assert decode_rgb(data).size == UPRIGHT_OF_6, (tag, kind, c, value)
