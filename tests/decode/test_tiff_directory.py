"""tiff_directory.py: the entries that no pixel needs cost no TIFF its picture."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imagestore.decode.decode_image import decode_rgb
from imagestore.decode.tiff_directory import pixels_only, read_directory, read_whole_number
from tests.helpers.images import encode, stripes

PICTURE = stripes((60, 40))
KINDS = {
    "plain": encode(PICTURE, "TIFF"),
    "lzw": encode(PICTURE, "TIFF", compression="tiff_lzw"),
    "deflate": encode(PICTURE, "TIFF", compression="tiff_adobe_deflate"),
    "jpeg": encode(PICTURE, "TIFF", compression="jpeg", quality=100),
    "group 4": encode(PICTURE.convert("1"), "TIFF", compression="group4"),
    "palette": encode(PICTURE.quantize(4), "TIFF"),
    "CMYK": encode(PICTURE.convert("CMYK"), "TIFF"),
    "alpha": encode(PICTURE.convert("RGBA"), "TIFF"),
    "float": encode(Image.fromarray(np.linspace(0, 1, 2400, dtype=np.float32).reshape(40, 60)), "TIFF"),
    "16 bits": encode(Image.fromarray(np.arange(0, 48_000, 20, np.uint16).reshape(40, 60)), "TIFF"),
    "BigTIFF": encode(PICTURE, "TIFF", compression="tiff_lzw", big_tiff=True),
    "two pages": encode(PICTURE, "TIFF", save_all=True, append_images=[PICTURE]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_as_they_are_with_all_entries(kind: str) -> None:
    """Pillow's own reader gets the file as it is."""
    data = KINDS[kind]
    whole = Image.open(io.BytesIO(data))
    reduced = Image.open(io.BytesIO(pixels_only(data)))
    assert np.array_equal(np.asarray(whole), np.asarray(reduced))
    assert len(pixels_only(data)) == len(data)
    assert whole.is_animated == reduced.is_animated == (kind == "two pages")


def with_entries(data: bytes, *entries: tuple[int, int, int, int]) -> bytes:
    """A little-endian TIFF with more entries: tag, type, count, and the value or its place."""
    directory = read_directory(data)
    written = [*directory.entries, *(struct.pack("<HHII", *entry) for entry in entries)]
    end = struct.pack("<H", len(written)) + b"".join(sorted(written, key=lambda each: each[1::-1])) + bytes(4)
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + end


DAMAGED = {
    "a resolution of 0/0": (282, 5, 1, 0x7FFFFFFF),
    "a resolution of text": (282, 2, 4, 0x41424344),
    "a profile beyond the file": (34675, 7, 1_000_000, 4_000_000_000),
    "XMP beyond the file": (700, 1, 0xFFFFFFFF, 0xFFFFFFFF),
    "image resources that are none": (34377, 7, 40, 8),
    "an EXIF directory that is the first": (34665, 4, 1, 8),
    "an EXIF directory of text": (34665, 2, 4, 0x41424344),
    "a GPS directory beyond the file": (34853, 4, 1, 0x7FFFFFFF),
    "a date of rationals": (306, 5, 3, 0),
    "an unknown type": (271, 99, 9, 9),
    "a page number of text": (297, 2, 4, 0x41424344),
}


@pytest.mark.parametrize("entry", DAMAGED)
@pytest.mark.parametrize("kind", ["plain", "lzw"])
def test_a_damaged_entry_costs_no_picture(kind: str, entry: str) -> None:
    assert np.array_equal(decode_rgb(with_entries(KINDS[kind], DAMAGED[entry])), PICTURE)


def test_the_orientation_is_found_beside_all_of_them() -> None:
    turned = with_entries(KINDS["lzw"], *DAMAGED.values(), (0x0112, 3, 1, 8))
    assert read_whole_number(turned, 0x0112) == 8
    assert np.array_equal(decode_rgb(turned), np.rot90(np.asarray(PICTURE)))


def test_a_next_page_beyond_the_file_costs_no_picture() -> None:
    data = KINDS["plain"]
    directory = read_directory(data)
    end = directory.start + 2 + 12 * len(directory.entries)
    assert np.array_equal(decode_rgb(data[:end] + b"\xff\xff\xff\x7f" + data[end + 4 :]), PICTURE)


def test_a_directory_never_has_millions_of_entries() -> None:
    data = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**60) + bytes(4 << 20)
    assert len(read_directory(data).entries) == 65_535


@given(st.binary(max_size=100), st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b""]))
def test_no_bytes_raise_an_error(body: bytes, start: bytes) -> None:
    assert len(pixels_only(start + body)) >= len(start)
