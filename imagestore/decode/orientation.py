"""Which side of a picture is up: the one thing that is read of its metadata.

Where it cannot be read, there is none. Nothing else of the metadata is looked at, so no damage in it matters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from PIL import Image

from imagestore.decode.tiff_directory import read_whole_number

ORIENTATION_TAG = 0x0112
UPRIGHT = 1
# EXIF 2.32, 4.6.4: what the tag says -> how the picture becomes upright
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_marks = re.compile(rb"(?:Exif\0\0)*")  # some programs write several
_in_xmp = re.compile(rb"""tiff:Orientation(?:\s*=\s*["']|>)([1-8])""")


def make_upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image turned by its orientation, 1 to 8."""
    return image if orientation == UPRIGHT else image.transpose(TRANSPOSITIONS[orientation])


def exif_blocks(image: Image.Image) -> list[bytes]:
    """The EXIF block of an opened image, by its reader."""
    block = image.info.get("exif")
    return [block] if isinstance(block, bytes) else []


def read_orientation(exif: Iterable[bytes], xmp: bytes = b"") -> int:
    """The orientation, 1 to 8, by the first EXIF block that has one, or else by XMP; 1 if there is none."""
    for block in exif:
        if orientation := orientation_of_exif(block):
            return orientation
    found = _in_xmp.search(xmp)
    return int(found[1]) if found else UPRIGHT


def orientation_of_exif(block: bytes) -> int | None:
    """The orientation of an EXIF block, which is a TIFF without pixels; None if it cannot be read."""
    value = read_whole_number(block[_marks.match(block).end() :], ORIENTATION_TAG)
    return value if value == UPRIGHT or value in TRANSPOSITIONS else None
