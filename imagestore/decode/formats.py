"""The formats that are decoded, and what is special about each. To add a format, add a row to FORMATS."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True, kw_only=True)
class Format:
    """What is special about decoding a format."""

    reader_bytes_per_pixel: int = 0  # decoded copies that the reader holds beside the image itself
    silence_standard_error: bool = False  # the C library writes messages there


FORMATS = {  # by Pillow's name
    "JPEG": Format(),
    "PNG": Format(),
    "GIF": Format(),
    "WEBP": Format(reader_bytes_per_pixel=9),
    "TIFF": Format(reader_bytes_per_pixel=4, silence_standard_error=True),
    "BMP": Format(),
}


def format_of(image: Image.Image) -> Format:
    """The row of an opened image."""
    return FORMATS.get(image.format or "", Format())  # Pillow calls a JPEG with several pictures MPO
