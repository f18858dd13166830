"""Open an image by its format: only the reader that the first bytes ask for is loaded and tried."""

from __future__ import annotations

import functools
import importlib
import io
import struct

from PIL import Image

from imagestore import image_formats
from imagestore.decode import tiff_kinds
from imagestore.decode.av1_size import check_frames
from imagestore.decode.errors import NotAnImage
from imagestore.image_formats import FORMATS, ImageFormat
from imagestore.printed_commands import pip_install

BY_NAME = {row.name: row for row in FORMATS}
BYTES_OF_MARK = 16  # what Pillow gives a plugin to accept
LENIENT = [
    BY_NAME[name] for name in ("BMP", "PCX", "PPM", "SGI", "QOI", "DDS")
]  # Pillow reads strange headers
HEIF_PLUGIN = "pillow_heif"  # the only reader that is no part of Pillow


def format_of(image: Image.Image) -> ImageFormat:
    """The row of an opened image."""
    return BY_NAME.get(image.format or "", BY_NAME["JPEG"])  # Pillow calls a JPEG with several pictures MPO


def open_image(data: bytes) -> Image.Image:
    """The image in these bytes, opened and not decoded.

    Raises NotAnImage if the bytes have no known format, or nothing that reads it is installed, and the errors
    of Pillow.
    """
    row = image_formats.format_of(data)
    rows = [row] if row else LENIENT
    for each in rows:
        _load_reader(each)
    for each in rows:
        if (image := _open_as(each, data)) is not None:
            return image
    raise NotAnImage(_why_not_opened(row) if row else "not an image of a known format")


def _open_as(row: ImageFormat, data: bytes) -> Image.Image | None:
    """The image opened as this format. Unlike Image.open, it may be of any size; see memory_needed.py."""
    factory, accepts = Image.OPEN[row.name]
    accepted = accepts is None or accepts(data[:BYTES_OF_MARK])
    if not accepted or isinstance(accepted, str):  # a text says why it cannot be read
        return None
    try:
        image = factory(io.BytesIO(data), "")
    except (SyntaxError, IndexError, TypeError, struct.error):
        return None
    if row.name == "AVIF":
        check_frames(data, image.size)
    return image


@functools.cache
def _load_reader(row: ImageFormat) -> None:
    try:
        plugin = importlib.import_module(row.plugin)
    except ImportError:
        raise NotAnImage(
            f"{row.name} is read with pillow-heif, which is not installed: {pip_install('pillow-heif')}"
        ) from None
    if row.name == "TIFF":
        tiff_kinds.add_kinds()
    if row.plugin == HEIF_PLUGIN:
        plugin.register_heif_opener(thumbnails=False)  # the picture itself, at every size


def _why_not_opened(row: ImageFormat) -> str:
    from PIL import features  # takes a moment, and is hardly ever needed

    if row.feature and not features.check(row.feature):
        command = pip_install("--upgrade", "Pillow")
        return f"{row.name} cannot be read, because Pillow is built without it: {command}"
    return f"a damaged {row.name}, or a kind of it that Pillow does not read"
