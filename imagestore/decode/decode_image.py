"""From an image's bytes to its pixels: `decode_rgb` gives RGB, `decode_unconverted` the mode of the file.

Safe in processes. In threads, too, with a restriction: while one thread decodes, warnings of other threads
may be lost; while it decodes a TIFF, all that they write to standard error is lost.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

from PIL import Image, ImageOps

from imagestore.decode.errors import errors_as_not_an_image
from imagestore.decode.formats import FORMATS, format_of
from imagestore.decode.jpeg_structure import check_scans
from imagestore.decode.memory_bound import check_memory
from imagestore.decode.standard_error import silence_standard_error
from imagestore.decode.to_rgb import to_rgb


def decode_rgb(data: bytes, at_least: tuple[int, int] | None = None) -> Image.Image:
    """The first frame of an encoded image as RGB, upright by its EXIF, transparency on white.

    With `at_least` (width, height), a JPEG is decoded at the smallest scale (1/1, 1/2, 1/4, 1/8) that is at
    least this size: several times as fast. Raises NotAnImage.
    """
    with errors_as_not_an_image():
        image = decode_unconverted(data, lambda width, height: at_least or (width, height))
        return to_rgb(ImageOps.exif_transpose(image))


def decode_unconverted(data: bytes, size_to_decode: Callable[[int, int], tuple[int, int]]) -> Image.Image:
    """The first frame of an encoded image, in the mode of the file. Call it inside `errors_as_not_an_image`.

    `size_to_decode` returns the (width, height) that is enough for an image of a width and a height. A JPEG
    is decoded at the smallest scale (1/1, 1/2, 1/4, 1/8) that is at least as large; other formats ignore it.
    Raises NotAnImage if decoding would take too much memory or time.
    """
    image = Image.open(io.BytesIO(data), formats=tuple(FORMATS))
    check_scans(image, data)
    full_size = image.size
    image.draft("RGB", size_to_decode(*full_size))
    check_memory(image, full_size)
    with silence_standard_error() if format_of(image).silence_standard_error else contextlib.nullcontext():
        image.load()
    return image
