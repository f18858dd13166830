"""imagestore/decode.py: every kind of picture becomes RGB, and all else one kind of error."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imagestore.decode import MOST_BYTES, NotAnImage, open_image
from tests.helpers.small_stores import COLOURS, picture


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


RED = np.full((40, 30, 3), (200, 40, 50), np.uint8)
KINDS = {
    "grey": (Image.new("L", (30, 40), 77), "PNG", (77, 77, 77)),
    "16 bit": (Image.fromarray(np.full((40, 30), 77 * 257, np.uint16)), "PNG", (77, 77, 77)),
    "palette": (Image.fromarray(RED).quantize(4), "GIF", (200, 40, 50)),
    "CMYK": (Image.fromarray(RED).convert("CMYK"), "JPEG", (200, 40, 50)),
    "alpha": (Image.new("RGBA", (30, 40), (200, 40, 50, 0)), "PNG", (255, 255, 255)),
    "half alpha": (Image.new("RGBA", (30, 40), (0, 0, 0, 128)), "WEBP", (127, 127, 127)),
    "bitmap": (Image.fromarray(RED), "BMP", (200, 40, 50)),
    "one bit": (Image.new("1", (30, 40), 1), "TIFF", (255, 255, 255)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_becomes_rgb(kind: str):
    image, format_name, colour = KINDS[kind]
    decoded = open_image(encoded(image, format_name))
    assert (decoded.mode, decoded.size) == ("RGB", (30, 40))
    assert np.abs(np.asarray(decoded, np.int64) - colour).max() <= 3


def test_a_picture_on_its_side_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    assert open_image(encoded(Image.fromarray(RED), "JPEG", exif=exif)).size == (40, 30)


@pytest.mark.parametrize(("wanted", "size"), [(200, 200), (100, 100), (99, 100), (50, 50), (1, 25)])
def test_jpegs_come_no_larger_than_needed(wanted: int, size: int):
    data = encoded(Image.new("RGB", (200, 200)), "JPEG")
    assert open_image(data, (wanted, wanted)).size == (size, size)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0")),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


HOSTILE = {
    "nothing": b"",
    "text": b"<html>not found</html>",
    "zip": b"PK\x03\x04" + bytes(100),
    "enormous": png_header(60_000, 60_000),
    "larger than the bound": png_header(8_000, 8_000),
    "empty PNG": png_header(10, 10),
    "cut short": picture(COLOURS["red"], 1)[:900],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_images_raise_one_kind_of_error(kind: str):
    with pytest.raises(NotAnImage) as error:
        open_image(HOSTILE[kind], (32, 32))
    assert len(str(error.value).splitlines()) == 1


def test_what_needs_too_much_memory_is_refused_before_it_is_decoded():
    assert MOST_BYTES < 8_000 * 8_000 * 4
    for side, said in ((8_000, "would take"), (60_000, "claims to be enormous")):
        with pytest.raises(NotAnImage, match=said):
            open_image(png_header(side, side))


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_damaged_images_decode_or_raise_not_an_image(data: st.DataObject):
    """Bytes changed anywhere in a file of any format: a picture, or NotAnImage, never anything else."""
    original = bytearray(data.draw(st.sampled_from(SOUND)))
    for _ in range(data.draw(st.integers(1, 8))):
        original[data.draw(st.integers(0, len(original) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(NotAnImage):
        assert open_image(bytes(original), (16, 16)).mode == "RGB"


SOUND = [
    encoded(Image.fromarray(RED), "JPEG"),
    encoded(Image.fromarray(RED), "PNG"),
    encoded(Image.fromarray(RED), "WEBP"),
    encoded(Image.fromarray(RED), "TIFF", compression="tiff_lzw"),
    encoded(Image.fromarray(RED).quantize(8), "GIF"),
]
