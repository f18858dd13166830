"""What the structure of a JPEG says: whether it is progressive, and how many scans it has."""

from __future__ import annotations

from typing import TypeGuard

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from imagestore.decode.errors import NotAnImage

MOST_SCANS = 100  # of a progressive JPEG: each takes time. Encoders write about ten


def is_progressive_jpeg(image: Image.Image) -> TypeGuard[JpegImageFile]:
    """Whether an opened image is a JPEG whose scans refine each other."""
    return isinstance(image, JpegImageFile) and "progressive" in image.info


def check_scans(image: Image.Image, data: bytes) -> None:
    """Raise NotAnImage if an opened image is a progressive JPEG of too many scans."""
    if is_progressive_jpeg(image) and data.count(b"\xff\xda") > MOST_SCANS:
        raise NotAnImage(f"a progressive JPEG of more than {MOST_SCANS} scans; it is not decoded")
