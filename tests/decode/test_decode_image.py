"""decode_image.py: every kind of image becomes RGB; hostile files raise NotAnImage within bounds."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imagestore.colour.palette import find_palette
from imagestore.decode.decode_image import decode_rgb
from imagestore.decode.errors import NotAnImage
from tests.helpers.images import blobs, encode
from tests.helpers.small_stores import COLOURS, picture

RED = np.full((40, 30, 3), (200, 40, 50), np.uint8)


# ----- sound images -----

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
def test_every_kind_of_image_becomes_rgb(kind: str) -> None:
    image, format, colour = KINDS[kind]
    decoded = decode_rgb(encode(image, format))
    assert (decoded.mode, decoded.size) == ("RGB", (30, 40))
    assert np.abs(np.asarray(decoded, np.int64) - colour).max() <= 3


def test_an_image_on_its_side_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    assert decode_rgb(encode(Image.fromarray(RED), "JPEG", exif=exif)).size == (40, 30)


@pytest.mark.parametrize(("at_least", "size"), [(200, 200), (100, 100), (99, 100), (50, 50), (1, 25)])
def test_jpegs_are_decoded_at_the_smallest_scale(at_least: int, size: int) -> None:
    data = encode(Image.new("RGB", (200, 200)), "JPEG")
    assert decode_rgb(data, (at_least, at_least)).size == (size, size)


def test_a_jpeg_of_several_pictures_gives_the_first() -> None:
    second = Image.new("RGB", (30, 40), "blue")
    data = encode(Image.fromarray(RED), "MPO", save_all=True, append_images=[second])
    assert np.abs(np.asarray(decode_rgb(data), np.int64) - RED).max() <= 3


# ----- hostile files -----


def png(width: int, height: int, compressed: bytes) -> bytes:
    """A PNG that claims a size; its data may be shorter."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", compressed) + chunk(b"IEND", b"")


def empty_png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing, not even its end."""
    return png(width, height, zlib.compress(b"\0"))[:-12]


def jpeg(width: int, height: int, **options: object) -> bytes:
    """A JPEG of 16 x 16 pixels that claims another size."""
    data = bytearray(encode(Image.new("RGB", (16, 16), "red"), "JPEG", **options))
    start = data.find(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def jpeg_of_many_scans() -> bytes:
    data = encode(blobs(), "JPEG", progressive=True)
    start = data.rfind(b"\xff\xda")
    return data[:start] + data[start:-2] * 200 + data[-2:]


def gif(width: int, height: int) -> bytes:
    data = encode(Image.new("P", (4, 4)), "GIF")
    return data[:6] + struct.pack("<HH", width, height) + data[10:]


def damaged_tiff() -> bytes:
    data = bytearray(encode(blobs(), "TIFF", compression="tiff_lzw"))
    data[1000:1400] = b"\xa5" * 400
    return bytes(data)


def zip_file() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("image.txt", "x" * 1000)
    return file.getvalue()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "text": lambda: b"not an image" * 100,
    "HTML": lambda: b"<html>not found</html>",
    "ZIP": zip_file,
    "start of a ZIP": lambda: b"PK\x03\x04" + bytes(100),
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "JPEG cut short": lambda: encode(blobs(), "JPEG")[:9000],
    "JPEG cut to its header": lambda: encode(blobs(), "JPEG")[:200],
    "small JPEG cut short": lambda: picture(COLOURS["red"], 1)[:900],
    "PNG cut short": lambda: encode(blobs(), "PNG")[:9000],
    "WebP cut short": lambda: encode(blobs(), "WEBP")[:2000],
    "TIFF cut short": lambda: encode(blobs(), "TIFF", compression="tiff_lzw")[:9000],
    "TIFF damaged": damaged_tiff,
    "empty PNG": lambda: empty_png(10, 10),
    "empty PNG, larger than the bound": lambda: empty_png(8_000, 8_000),
    "empty PNG, enormous": lambda: empty_png(60_000, 60_000),
    "enormous PNG": lambda: png(60_000, 60_000, zlib.compress(bytes(1000))),
    "large PNG": lambda: png(12_000, 12_000, zlib.compress(bytes(36_001 * 1000), 1)),
    "enormous JPEG": lambda: jpeg(60_000, 60_000),
    "large progressive JPEG": lambda: jpeg(9_000, 9_000, progressive=True),
    "progressive JPEG without end": jpeg_of_many_scans,
    "enormous GIF": lambda: gif(65_535, 65_535),
}
DECODERS = {
    "RGB": decode_rgb,
    "small RGB": lambda data: decode_rgb(data, (32, 32)),
    "palette": find_palette,  # by decode_8_bits
}


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_in_one_line(
    kind: str, decoder: str, recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture
) -> None:
    with pytest.raises(NotAnImage) as refused:
        DECODERS[decoder](HOSTILE[kind]())
    message = str(refused.value)
    assert message and message.splitlines() == [message]
    assert not recwarn.list
    assert capfd.readouterr().err == ""


def test_many_scans_are_refused_before_decoding() -> None:
    with pytest.raises(NotAnImage, match="scans"):
        decode_rgb(jpeg_of_many_scans())


SOUND = [
    encode(Image.fromarray(RED), "JPEG"),
    encode(Image.fromarray(RED), "PNG"),
    encode(Image.fromarray(RED), "WEBP"),
    encode(Image.fromarray(RED), "TIFF", compression="tiff_lzw"),
    encode(Image.fromarray(RED).quantize(8), "GIF"),
]


@settings(max_examples=150)
@given(data=st.data())
def test_damaged_images_decode_or_raise_not_an_image(data: st.DataObject) -> None:
    """Bytes are changed anywhere in a file of any format."""
    damaged = bytearray(data.draw(st.sampled_from(SOUND)))
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(NotAnImage):
        assert decode_rgb(bytes(damaged), (16, 16)).mode == "RGB"
