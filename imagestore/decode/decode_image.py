"""From an image's bytes to its pixels: `decode_rgb` gives RGB, `decode_8_bits` keeps transparency and greys.

Safe in processes. In threads, too, with a restriction: while one thread decodes, warnings of other threads
may be lost; while it decodes a TIFF, all that they write to standard error is lost.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from PIL import ExifTags, Image, ImageOps

from imagestore.decode.errors import errors_as_not_an_image
from imagestore.decode.formats import format_of, open_image
from imagestore.decode.jpeg_structure import check_scans
from imagestore.decode.memory_bound import check_memory
from imagestore.decode.standard_error import silence_standard_error
from imagestore.decode.to_rgb import on_white, scale_transparent_colour, to_8_bits


def decode_rgb(data: bytes, at_least: tuple[int, int] | None = None) -> Image.Image:
    """The first frame of an encoded image as RGB, upright by its EXIF, transparency on white.

    With `at_least` (width, height), a JPEG is decoded at the smallest scale (1/1, 1/2, 1/4, 1/8) that is at
    least this size: several times as fast. Raises NotAnImage.
    """
    with errors_as_not_an_image():
        image = _load(data, lambda width, height: at_least or (width, height))
        orientation = image.getexif().get(ExifTags.Base.Orientation)
        return on_white(_make_upright(to_8_bits(image), orientation))


def _make_upright(image: Image.Image, orientation: int | None) -> Image.Image:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation or 1
    image = image.copy()
    image.info["exif"] = exif.tobytes()
    return ImageOps.exif_transpose(image)


def decode_8_bits(data: bytes, size_to_decode: Callable[[int, int], tuple[int, int]]) -> Image.Image:
    """The first frame of an encoded image as L, RGB or RGBA. Call it inside `errors_as_not_an_image`.

    `size_to_decode` returns the (width, height) that is enough for an image of a width and a height. A JPEG
    is decoded at the smallest scale (1/1, 1/2, 1/4, 1/8) that is at least as large; other formats ignore it.
    Raises NotAnImage if decoding would take too much memory or time.
    """
    return to_8_bits(_load(data, size_to_decode))


def _load(data: bytes, size_to_decode: Callable[[int, int], tuple[int, int]]) -> Image.Image:
    """The first frame in the mode of the file."""
    image = open_image(data)
    check_scans(image, data)
    full_size = image.size
    if image.format in ("JPEG", "MPO"):
        image.draft("RGB", size_to_decode(*full_size))
    check_memory(image, full_size)
    scale_transparent_colour(image)
    with silence_standard_error() if format_of(image).silence_standard_error else contextlib.nullcontext():
        image.load()
    return image
