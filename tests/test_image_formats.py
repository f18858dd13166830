"""What a file's name and its first bytes tell about its format."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from imagestore.image_formats import FORMATS, begins_as_image, format_of, has_image_suffix, suffix_of
from tests.helpers.image_kinds import ico

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
PSD = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 8, 8, 8, 3)
WRITTEN = {  # by Pillow: format -> (mode, suffix)
    "JPEG": ("RGB", ".jpg"), "PNG": ("RGB", ".png"), "GIF": ("P", ".gif"), "WEBP": ("RGB", ".webp"),
    "TIFF": ("RGB", ".tif"), "BMP": ("RGB", ".bmp"), "AVIF": ("RGB", ".avif"), "JPEG2000": ("RGB", ".jp2"),
    "PPM": ("RGB", ".ppm"), "ICO": ("RGBA", ".ico"), "PCX": ("RGB", ".pcx"), "SGI": ("RGB", ".sgi"),
    "DDS": ("RGB", ".dds"), "MPO": ("RGB", ".jpg"), "DIB": ("RGB", ".dib"), "QOI": ("RGB", ".qoi"),
}  # fmt: skip


def encoded(format: str, mode: str = "RGB", size: tuple[int, int] = (33, 20), **how: object) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 1 if mode in "1LP" else "orange").save(file, format, **how)
    return file.getvalue()


def can_write(format: str) -> bool:
    return format != "AVIF" or features.check("avif")


@pytest.mark.parametrize("format", [format for format in WRITTEN if can_write(format)])
@pytest.mark.parametrize("size", [(33, 20), (1, 1), (200, 3)])
def test_the_first_bytes_tell_the_format(format: str, size: tuple[int, int]) -> None:
    mode, suffix = WRITTEN[format]
    if format == "QOI":
        data = b"qoif" + struct.pack(">IIBB", *size, 3, 0) + bytes(8)
    elif format == "ICO":  # Pillow leaves the picture out of a list if it is very small
        data = ico(encoded("PNG", mode, size))
    else:
        data = encoded(format, mode, size)
    assert begins_as_image(data)
    assert suffix_of(data) == suffix
    assert suffix_of(data[:512]) == suffix


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
@pytest.mark.parametrize("format", ["PPM", "PCX", "SGI", "BMP", "DIB"])
def test_the_depths_of_formats_with_short_marks(format: str, mode: str) -> None:
    if (format, mode) == ("SGI", "1"):
        mode = "RGBA"
    assert begins_as_image(encoded(format, mode))


def test_heic_and_psd_are_told_too() -> None:
    assert suffix_of(HEIC) == ".heic"
    assert suffix_of(PSD) == ".psd"


@pytest.mark.parametrize(
    "text", [b"P1\n2 2\n0 1\n1 0\n", b"P2 2 1 255 0 99\n", b"P3\n# by hand\n1 1\n255\n1 2 3\n"]
)
def test_netpbm_as_text_is_an_image(text: bytes) -> None:
    assert suffix_of(text) == ".ppm"


@pytest.mark.parametrize(
    "name", ["a.jpg", "b/A.JPEG", "a.b.Tif", "a.webp", "a.HEIC", "a.jp2", "a.tga", "a.pgm"]
)
def test_a_suffix_tells_an_image(name: str) -> None:
    assert has_image_suffix(name)


@pytest.mark.parametrize(
    "name", ["a.txt", "jpg", "a.eps", "a.wmf", "a.ps", "a.pdf", ".jpg/a", "a.jpg.txt", ""]
)
def test_other_names_are_no_images(name: str) -> None:
    assert not has_image_suffix(name)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"text", b"BMW makes cars, and no images", b"P1 is the first, P2 the second", b"P5 12 apostles",
        b"P3 12 14 16 are numbers", b"P1 2 3 4 5 6", b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"\xd7\xcd\xc6\x9a" + bytes(40),
        b"\n\5\1\x08" + b"some more text of a file that begins with a new line" * 3, b"qoif is a format",
        b"\0\0\1\0" + b"\1\0" * 20, b"\0\0\1\0\1\0" + bytes(40), b"\x01\xda" + bytes(200),
        b"\x01\xda\0\1" * 100,
        b"\0\0\0\x18ftypisom\0\0\2\0isommp41" + bytes(40), b"RIFF\0\0\0\0WAVE", b"8BPS is Photoshop's",
        b"DDS makes teeth",
    ],
)  # fmt: skip
def test_other_bytes_are_no_images(data: bytes) -> None:
    assert not begins_as_image(data)
    assert suffix_of(data) == ""


def test_a_tga_needs_its_name() -> None:
    tga = encoded("TGA")
    assert format_of(tga).name == "TGA"
    assert not begins_as_image(tga)
    assert has_image_suffix("a.tga")


@pytest.mark.parametrize("type", ["u1", "i1", "<u2", ">u2", "<i4", ">i4", "<f4", "<f8", "<i8"])
def test_ramps_and_small_numbers_are_no_images(type: str) -> None:
    for start in range(256):
        for step in (0, 1, 2, 16, 255):
            numbers = (start + step * np.arange(256)) % 256
            assert not begins_as_image(numbers.astype(type).tobytes()), (start, step)


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=150),
    st.sampled_from(["<i2", ">i2", "<i4", ">i4", "<f4"]),
)
def test_arrays_of_small_numbers_are_no_images(numbers: list[int], type: str) -> None:
    assert not begins_as_image(np.array(numbers).astype(type).tobytes())


@given(st.text())
def test_text_is_no_image(text: str) -> None:
    assert not begins_as_image(text.encode())


@given(st.binary(max_size=600), st.sampled_from(FORMATS))
def test_no_first_bytes_break_a_check(data: bytes, row) -> None:
    row.begins(data)
    for mark in (
        b"\0\0\1\0",
        b"\n\5\1",
        b"\x01\xda",
        b"P6 ",
        b"BM",
        b"qoif",
        b"\0\0\0\x20ftyp",
        b"\x28\0\0\0",
    ):
        row.begins(mark + data)
