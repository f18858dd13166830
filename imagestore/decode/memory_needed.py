"""How much memory decoding an image takes, by what its header says."""

from __future__ import annotations

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from imagestore.decode.errors import NotAnImage
from imagestore.decode.formats import format_of
from imagestore.decode.jpeg_structure import is_progressive_jpeg
from imagestore.decode.memory_bound import VARIABLE, memory_bound
from imagestore.decode.webp_chunks import read_size

COMPRESSION, STRIP_ROWS, TILE_WIDTH, TILE_ROWS = 259, 278, 322, 323  # tags of a TIFF
UNCOMPRESSED = 1
BYTES_OF_WEBP_PIXEL = 16  # 12 of its reader, 4 of the picture
# Bytes of a pixel in Pillow. All other modes take 4.
BYTES_OF_MODE = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}


def check_memory(needed: int, size: tuple[int, int]) -> None:
    """Raise NotAnImage if `needed` bytes are too many for a picture of this width and height."""
    bound = memory_bound()
    if needed > bound:
        takes = f"{size[0]:,} x {size[1]:,} pixels would take {needed >> 20:,} MB to decode"
        raise NotAnImage(f"{takes}, more than {bound >> 20:,} MB: {VARIABLE} sets the bound")


def check_canvas(data: bytes) -> None:
    """Raise NotAnImage if a WebP is too large. Its reader takes memory as soon as the file is opened."""
    if size := read_size(data):
        check_memory(size[0] * size[1] * BYTES_OF_WEBP_PIXEL, size)


def memory_needed(image: Image.Image, scale: int = 1, *, is_turned: bool = False) -> int:
    """Bytes that decoding an opened image takes at most, until it is RGB. The file is not counted.

    A JPEG may be decoded at 1/`scale` of its size. `is_turned` says that it must be turned upright.
    """
    pixels = -(-image.width // scale) * -(-image.height // scale)
    per_pixel = _bytes_per_pixel(image) + (4 if is_turned else 0)
    return pixels * per_pixel + _reader_bytes(image)


def _bytes_per_pixel(image: Image.Image) -> int:
    """Bytes of a pixel, with those of the copies that are made on the way to RGB."""
    stored = BYTES_OF_MODE.get(image.mode, 4)
    if image.has_transparency_data:
        return stored + (4 if image.mode == "RGBA" else 8)  # RGBA, and RGB on white
    if image.mode == "RGB":
        return stored
    return stored + (6 if image.mode.startswith(("I", "F")) else 5)  # grey levels may come before RGB


def _reader_bytes(image: Image.Image) -> int:
    """Bytes that the reader holds beside the picture."""
    if image.format == "TIFF":
        return _strip_bytes(image)
    if is_progressive_jpeg(image):
        return _coefficient_bytes(image)
    if image.format == "PPM" and image.tile[0][0] == "raw":  # only text and 16 bits are read in Python
        return 0
    return image.width * image.height * format_of(image).reader_bytes_per_pixel


def _strip_bytes(image: Image.Image) -> int:
    """Bytes of the part of a TIFF that is decompressed at a time."""
    if image.tag_v2.get(COMPRESSION, UNCOMPRESSED) == UNCOMPRESSED:
        return 0
    width = image.tag_v2.get(TILE_WIDTH, image.width)
    rows = image.tag_v2.get(TILE_ROWS) or min(image.tag_v2.get(STRIP_ROWS, image.height), image.height)
    return width * rows * 4


def _coefficient_bytes(image: JpegImageFile) -> int:
    """Bytes of all DCT coefficients, at full size: libjpeg holds them while it decodes a progressive JPEG."""
    samples = [horizontal * vertical for _, horizontal, vertical, _ in image.layer]
    return image.width * image.height * 2 * sum(samples) // max(*samples, 1)
