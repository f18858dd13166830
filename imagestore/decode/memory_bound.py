"""The memory that decoding an image takes, and the bound on it."""

from __future__ import annotations

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from imagestore.decode.errors import NotAnImage
from imagestore.decode.formats import format_of
from imagestore.decode.jpeg_structure import is_progressive_jpeg

MOST_BYTES = 112 << 20  # to decode an image: two workers and their parent stay below 400 MB


def check_memory(image: Image.Image, full_size: tuple[int, int]) -> None:
    """Raise NotAnImage if decoding takes too much. A JPEG of `full_size` may be decoded at a smaller size."""
    needed = _memory_to_decode(image, full_size)
    if needed > MOST_BYTES:
        size = f"{image.width:,} x {image.height:,} pixels"
        raise NotAnImage(f"{size} would take {needed >> 20:,} MB to decode, more than {MOST_BYTES >> 20} MB")


def _memory_to_decode(image: Image.Image, full_size: tuple[int, int]) -> int:
    """Bytes that decoding takes at most."""
    per_pixel = _bytes_per_pixel(image.mode) + format_of(image).reader_bytes_per_pixel
    needed = image.width * image.height * per_pixel
    if is_progressive_jpeg(image):
        needed += _coefficient_bytes(image, full_size)
    return needed


def _bytes_per_pixel(mode: str) -> int:
    """Bytes of a pixel in Pillow, with those of its copy if the mode must be converted."""
    if mode == "P":
        return 1 + 4
    if mode.startswith("I;16"):
        return 2 + 4
    return 1 if mode in ("1", "L") else 4


def _coefficient_bytes(image: JpegImageFile, full_size: tuple[int, int]) -> int:
    """Bytes of all DCT coefficients, at full size: libjpeg holds them while it decodes a progressive JPEG."""
    samples = [horizontal * vertical for _, horizontal, vertical, _ in image.layer]
    return full_size[0] * full_size[1] * 2 * sum(samples) // max(samples)
